"""The handle on a running sandbox, whether in this process or in another."""

from abc import ABC, abstractmethod
from typing import Any, Final

from ._api import Api
from ._books import Books
from ._config import SandboxConfig
from ._faults import FaultRule
from ._limiters import Limit, as_limit
from ._settings import to_json_types

CONTROL: Final = "/_sandbox/"


class SandboxHandle(ABC):
    """A running sandbox and its commands.

    Attributes:
        config: How it was configured.
    """

    def __init__(self, config: SandboxConfig) -> None:
        self.config = config
        self._url: str | None = None

    @property
    def url(self) -> str:
        """Where it listens, such as `http://127.0.0.1:49152`; paths of the API follow it."""
        if self._url is None:
            message = f"{type(self).__name__} is not running: enter it with `async with` first"
            raise RuntimeError(message)
        return self._url

    @property
    def api_key(self) -> str:
        """The key it accepts."""
        return self.config.api_key

    @property
    def vps_ids(self) -> tuple[str, ...]:
        """The ids of its VPSes, in the order of the list; known before it runs."""
        return self.config.vps_ids

    async def books(self) -> Books:
        """What it has done so far."""
        return Books.from_dict(await self._command("books", {}))

    async def reset_books(self) -> None:
        """Begin new books; jobs that run already are left out of them."""
        await self._command("reset_books", {})

    async def add_fault(self, rule: FaultRule) -> None:
        """Put a fault rule in force, after the ones that already are."""
        await self._command("add_fault", rule.to_dict())

    async def clear_faults(self) -> None:
        """Remove all fault rules."""
        await self._command("clear_faults", {})

    async def set_limit(self, limit: Limit | None) -> None:
        """Replace `SandboxConfig.limit`; counting starts again."""
        await self._command("set_limit", {"limit": limit and to_json_types(limit)})

    @abstractmethod
    async def _command(self, name: str, settings: dict[str, Any]) -> dict[str, Any]: ...


def execute(api: Api, name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Carry out a command of the handle.

    Raises:
        LookupError: There is no such command.
        ValueError: Its settings are wrong.
    """
    if name == "books":
        return api.books().to_dict()
    if name == "reset_books":
        api.book_keeper.clear()
    elif name == "add_fault":
        api.faults.add(FaultRule(**settings))
    elif name == "clear_faults":
        api.faults.clear()
    elif name == "set_limit":
        api.change_limit(as_limit(settings.get("limit")))
    else:
        raise LookupError(name)
    return {}
