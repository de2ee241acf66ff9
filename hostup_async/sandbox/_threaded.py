"""The server in a thread of its own, for code without `async`."""

from contextlib import ExitStack
from typing import Self

from anyio.from_thread import BlockingPortal, start_blocking_portal

from ._books import Books
from ._config import SandboxConfig
from ._faults import FaultRule
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

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._portal: BlockingPortal = stack.enter_context(start_blocking_portal("asyncio"))
            stack.enter_context(self._portal.wrap_async_context_manager(self._sandbox))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()

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

    def reset_books(self) -> None:
        """Begin new books; jobs that run already are left out of them."""
        self._portal.call(self._sandbox.reset_books)

    def add_fault(self, rule: FaultRule) -> None:
        """Put a fault rule in force, after the ones that already are."""
        self._portal.call(self._sandbox.add_fault, rule)

    def clear_faults(self) -> None:
        """Remove all fault rules."""
        self._portal.call(self._sandbox.clear_faults)

    def set_limit(self, limit: Limit | None) -> None:
        """Replace `SandboxConfig.limit`; counting starts again."""
        self._portal.call(self._sandbox.set_limit, limit)
