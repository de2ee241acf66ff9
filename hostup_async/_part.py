"""A property that leads, on the class, to the class of what it returns."""

from typing import TYPE_CHECKING, Any, get_type_hints

if TYPE_CHECKING:
    part = property
else:

    class part(property):  # noqa: N801 - used as `property` is
        """A property whose value is a handle with methods of its own, such as `client.vps`.

        On the class it is that handle's class, so that `unittest.mock.create_autospec(Client)` and
        completion in an editor know `Client.vps.reset`.
        """

        def __get__(self, instance: object, owner: type[Any] | None = None) -> Any:  # noqa: ANN401 - whatever it returns
            if instance is None:
                return get_type_hints(self.fget)["return"]
            return super().__get__(instance, owner)
