"""An event loop whose clock jumps: logic that waits for hours is tested in milliseconds."""

import asyncio
import selectors
from typing import Any


class _JumpingSelector(selectors.DefaultSelector):
    """Instead of waiting for time to pass, moves the loop's clock."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            msg = "Every task waits, and no timer is set: a deadlock."
            raise RuntimeError(msg)
        self.now += max(0.0, timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop on virtual time, for code that does no I/O."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


VIRTUAL: tuple[str, dict[str, Any]] = ("asyncio", {"loop_factory": VirtualLoop})
"""What a module's `anyio_backend` fixture returns to run its tests on virtual time."""


def now() -> float:
    """The virtual time, in seconds."""
    return asyncio.get_running_loop().time()


def suspend(seconds: float) -> None:
    """What SIGSTOP does to a process: the next it sees of the clock is much later."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop._jumping.now += seconds


class _PatientSelector(selectors.DefaultSelector):
    """Moves the loop's clock only where no socket is ready."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if found or timeout == 0:
            return found
        if timeout is None:
            return super().select()
        self.now += timeout
        return []


class NetworkLoop(asyncio.SelectorEventLoop):
    """A loop on virtual time, for code whose sockets all end in this process."""

    def __init__(self) -> None:
        self._patient = _PatientSelector()
        super().__init__(self._patient)

    def time(self) -> float:
        return self._patient.now
