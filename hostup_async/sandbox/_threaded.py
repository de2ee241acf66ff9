"""The server in a thread of its own, for code without `async`."""

import asyncio
from contextlib import ExitStack
from functools import partial
from typing import Self

from anyio.from_thread import BlockingPortal, start_blocking_portal

from ._books import BookedRequest, Books
from ._config import SandboxConfig
from ._faults import FaultRule
from ._job_rules import JobRule
from ._limiters import Limit
from ._server import Sandbox


class ThreadedSandbox:
    """A HostUp API to try things on, for code without `async`: `Sandbox` in a thread of its own.

    Args:
        config: Its settings; the defaults are a small account without limits or faults.
        port: Port to listen on; 0 takes a free one.

    Example:
        >>> with ThreadedSandbox(SandboxConfig(vps=3)) as sandbox:
        ...     sandbox.books().total_requests
        0
    """

    def __init__(self, config: SandboxConfig | None = None, *, port: int = 0) -> None:
        self._sandbox = Sandbox(config, port=port)
        self._running: BlockingPortal | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            # The usual loop, also where the tests' policy makes one whose time jumps: waits for
            # the network take real time here.
            options = {"loop_factory": asyncio.SelectorEventLoop}
            self._running = stack.enter_context(start_blocking_portal("asyncio", options))
            stack.enter_context(self._running.wrap_async_context_manager(self._sandbox))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()

    @property
    def _portal(self) -> BlockingPortal:
        if self._running is None:
            message = "ThreadedSandbox is not running: enter it with `with` first"
            raise RuntimeError(message)
        return self._running

    @property
    def config(self) -> SandboxConfig:
        """How it was configured."""
        return self._sandbox.config

    @property
    def url(self) -> str:
        """Where it listens, such as `http://127.0.0.1:49152`; paths of the API follow it."""
        return self._sandbox.url

    @property
    def api_key(self) -> str:
        """The key it accepts."""
        return self._sandbox.api_key

    @property
    def vps_ids(self) -> tuple[str, ...]:
        """The ids of its VPSes, in the order of the list; known before it runs."""
        return self._sandbox.vps_ids

    def books(self) -> Books:
        """What it has done so far."""
        return self._portal.call(self._sandbox.books)

    def request_log(self) -> tuple[BookedRequest, ...]:
        """Each request with its path, query and headers, oldest first, as the books have it.

        At most the last `SandboxConfig.log_cap` of them since the books were begun.
        """
        return self._portal.call(self._sandbox.request_log)

    def advance(self, seconds: float) -> None:
        """Move the sandbox's time on at once: jobs, rate limits, uptimes, cooldowns, `Date`.

        What your own code waits for does not come sooner by it: its clock is another one.

        Args:
            seconds: By how much; 0 or more.

        Raises:
            ValueError: `seconds` is negative, infinite, or not a number.
        """
        self._portal.call(self._sandbox.advance, seconds)

    def freeze(self) -> None:
        """Stop the sandbox's time, so that `advance` alone moves it; see `SandboxConfig.frozen`."""
        self._portal.call(self._sandbox.freeze)

    def unfreeze(self) -> None:
        """Let the sandbox's time go on by itself."""
        self._portal.call(self._sandbox.unfreeze)

    def finish(self, vps_id: str, *, error: str | None = None) -> None:
        """End the job of a VPS now, the oldest where several are pending.

        Args:
            vps_id: The VPS.
            error: Why the job fails; None for a job that completes, whatever rules it falls under.

        Raises:
            ValueError: There is no such VPS, or it has no job that has not ended.
        """
        self._portal.call(partial(self._sandbox.finish, vps_id, error=error))

    def reset_books(self) -> None:
        """Begin new books; jobs that run already are left out of them."""
        self._portal.call(self._sandbox.reset_books)

    def add_fault(self, rule: FaultRule) -> None:
        """Put a fault rule in force, after the ones that already are."""
        self._portal.call(self._sandbox.add_fault, rule)

    def clear_faults(self) -> None:
        """Remove all fault rules."""
        self._portal.call(self._sandbox.clear_faults)

    def add_job_rule(self, rule: JobRule) -> None:
        """Put a rule on how jobs end in force, after the ones that already are."""
        self._portal.call(self._sandbox.add_job_rule, rule)

    def clear_job_rules(self) -> None:
        """Remove all rules on how jobs end; jobs that were accepted keep to theirs."""
        self._portal.call(self._sandbox.clear_job_rules)

    def set_limit(self, limit: Limit | None) -> None:
        """Replace `SandboxConfig.limit`; counting starts again."""
        self._portal.call(self._sandbox.set_limit, limit)
