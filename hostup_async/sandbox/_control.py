"""The handle on a running sandbox, whether in this process or in another."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from ._api import Api
from ._books import BookedRequest, Books
from ._config import SandboxConfig
from ._faults import FaultRule
from ._job_rules import JobRule
from ._limiters import Limit, as_limit
from ._settings import to_json_types

CONTROL: Final = "/_sandbox/"


class SandboxHandle(ABC):
    """A running sandbox and its commands."""

    def __init__(self, config: SandboxConfig) -> None:
        self._config = config
        self._url: str | None = None

    def __repr__(self) -> str:
        where = "not running" if self._url is None else f"at {self._url}"
        return f"<{type(self).__name__}, {where}: {self.config.vps} VPSes>"

    @property
    def config(self) -> SandboxConfig:
        """How it was configured."""
        return self._config

    @property
    def url(self) -> str:
        """Where it listens, such as `http://127.0.0.1:49152`; paths of the API follow it."""
        if self._url is None:
            raise self._not_running()
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

    async def request_log(self) -> tuple[BookedRequest, ...]:
        """Each request with its path, query and headers, oldest first, as the books have it.

        At most the last `SandboxConfig.log_cap` of them since the books were begun.
        """
        found = await self._command("request_log", {})
        return tuple(BookedRequest(**request) for request in found["requests"])

    async def advance(self, seconds: float) -> None:
        """Move the sandbox's time on at once: jobs, rate limits, uptimes, cooldowns, `Date`.

        What your own code waits for does not come sooner by it: its clock is another one.

        Args:
            seconds: By how much; 0 or more.

        Raises:
            ValueError: `seconds` is negative, infinite, or not a number.

        Example:
            >>> from hostup_async.sandbox import Durations, Sandbox, SandboxConfig
            >>> async def main() -> None:
            ...     slow = SandboxConfig(jobs=Durations(median=600))
            ...     async with Sandbox(slow) as sandbox:
            ...         ...  # send a reset
            ...         await sandbox.advance(600)  # its job has ended
        """
        await self._command("advance", {"seconds": seconds})

    async def freeze(self) -> None:
        """Stop the sandbox's time, so that `advance` alone moves it; see `SandboxConfig.frozen`."""
        await self._command("freeze", {})

    async def unfreeze(self) -> None:
        """Let the sandbox's time go on by itself."""
        await self._command("unfreeze", {})

    async def finish(self, vps_id: str, *, error: str | None = None) -> None:
        """End the job of a VPS now, the oldest where several are pending.

        Args:
            vps_id: The VPS.
            error: Why the job fails; None for a job that completes, whatever rules it falls under.

        Raises:
            ValueError: There is no such VPS, or it has no job that has not ended.

        Example:
            >>> async def main(sandbox: SandboxHandle) -> None:
            ...     await sandbox.finish(sandbox.vps_ids[0], error="The disk is full.")
        """
        await self._command("finish", {"vps_id": vps_id, "error": error})

    async def reset_books(self) -> None:
        """Begin new books; jobs that run already are left out of them."""
        await self._command("reset_books", {})

    async def add_fault(self, rule: FaultRule) -> None:
        """Put a fault rule in force, after the ones that already are."""
        await self._command("add_fault", rule.to_dict())

    async def clear_faults(self) -> None:
        """Remove all fault rules."""
        await self._command("clear_faults", {})

    async def add_job_rule(self, rule: JobRule) -> None:
        """Put a rule on how jobs end in force, after the ones that already are."""
        await self._command("add_job_rule", rule.to_dict())

    async def clear_job_rules(self) -> None:
        """Remove all rules on how jobs end; jobs that were accepted keep to theirs."""
        await self._command("clear_job_rules", {})

    async def set_limit(self, limit: Limit | None) -> None:
        """Replace `SandboxConfig.limit`; counting starts again."""
        await self._command("set_limit", {"limit": limit and to_json_types(limit)})

    def _not_running(self) -> RuntimeError:
        name = type(self).__name__
        return RuntimeError(f"{name} is not running: enter it with `async with` first")

    @abstractmethod
    async def _command(self, name: str, settings: dict[str, Any]) -> dict[str, Any]: ...


_Settings: TypeAlias = dict[str, Any]
_Command: TypeAlias = Callable[[Api, _Settings], _Settings | None]

_COMMANDS: Final[Mapping[str, _Command]] = {
    "books": lambda api, _: api.books().to_dict(),
    "request_log": lambda api, _: {"requests": [r.to_dict() for r in api.book_keeper.log()]},
    "reset_books": lambda api, _: api.book_keeper.clear(),
    "add_fault": lambda api, rule: api.add_fault(FaultRule(**rule)),
    "clear_faults": lambda api, _: api.faults.clear(),
    "add_job_rule": lambda api, rule: api.add_job_rule(JobRule(**rule)),
    "clear_job_rules": lambda api, _: api.job_rules.clear(),
    "set_limit": lambda api, given: api.change_limit(as_limit(given.get("limit"))),
    "advance": lambda api, given: api.clock.advance(given.get("seconds", 0)),
    "freeze": lambda api, _: api.clock.freeze(),
    "unfreeze": lambda api, _: api.clock.unfreeze(),
    "finish": lambda api, given: api.finish(given.get("vps_id", ""), given.get("error")),
}


def execute(api: Api, name: str, settings: _Settings) -> _Settings:
    """Carry out a command of the handle.

    Raises:
        LookupError: There is no such command.
        ValueError: Its settings are wrong.
    """
    command = _COMMANDS.get(name)
    if command is None:
        raise LookupError(name)
    return command(api, settings) or {}
