"""The base of each facade: an object of `hostup_async`, and the scope of its client."""

from collections.abc import Iterable
from typing import Any, Generic, Self, TypeVar, cast

from hostup_async import ClientClosed
from hostup_sync._loop import Loops
from hostup_sync._running_loop import warn_of_running_loop
from hostup_sync._work import RunningTasks

A = TypeVar("A")


class ClientScope:
    """What a client shares with the handles that came from it: its process and its works.

    Attributes:
        owner: The client, as the async package knows it; what runs ends with it.
        works: What runs.
    """

    __slots__ = ("_loops", "owner", "works")

    def __init__(self, owner: object = None) -> None:
        self._loops: Loops | None = None
        self.owner = owner
        self.works = RunningTasks()

    def __del__(self) -> None:
        if self.is_ours:  # the last who could have closed it is gone
            for work in tuple(self.works.running):
                work.drop()

    @property
    def is_ours(self) -> bool:
        """Whether this process used it first, or none did; a forked child's parent may have."""
        return self._loops is None or self._loops is Loops.current

    def check(self) -> None:
        """Refuse to block where the loop could never wake the caller.

        Raises:
            ClientClosed: This is a forked child.
            RuntimeError: This is the loop's own thread.
        """
        if not self.is_ours:
            msg = (
                "This client was used before os.fork(): its loop and its connections are the "
                "parent's. Nothing was sent: make a new client in the child."
            )
            raise ClientClosed(msg)
        self._loops = Loops.current
        if self._loops.runs_here():
            msg = (
                "A blocking call on the loop's own thread, for instance in an on_event callback, "
                "would wait for itself for ever. Nothing was sent: hand it to another thread."
            )
            raise RuntimeError(msg)
        warn_of_running_loop()

    def is_elsewhere(self) -> bool:
        """Whether a loop runs, and the caller is not on its thread."""
        return Loops.current.runs_elsewhere()


class Handle(Generic[A]):
    """An object of `hostup_async`, for code without `async`; equal to every other facade of it."""

    __slots__ = ("__weakref__", "_async", "_home")

    def __init__(self, handle: A) -> None:
        self._async = handle
        self._home = ClientScope(handle)

    @classmethod
    def _of(cls, handle: A, parent: "Handle[Any] | None" = None) -> Self:
        """The facade of something that the async package has made."""
        self = cls.__new__(cls)
        self._async = handle
        self._home = ClientScope(handle) if parent is None else parent._home  # noqa: SLF001 - one of us
        return self

    @staticmethod
    def _each(handles: object) -> list[Any]:
        """What the handles stand for; anything else goes on as it is, and is refused there."""
        if not isinstance(handles, Iterable):
            return cast("list[Any]", handles)
        each = cast("Iterable[object]", handles)
        return [getattr(one, "_async", one) for one in each]

    def _shown(self) -> str:
        """The repr of what it stands for; its own where `__init__` was refused."""
        made: object = getattr(self, "_async", None)
        return object.__repr__(self) if made is None else repr(made)

    def __eq__(self, other: object) -> bool:
        mine: object = self._async
        return isinstance(other, Handle) and mine is cast("Handle[object]", other)._async

    def __hash__(self) -> int:
        return hash(id(self._async))
