"""Calls that come from any thread and run on an event loop, at once or at a moment.

The waiters of one limiter may live on several event loops, each in a thread of its own. A timer
dies with its loop, so none serves the waiters of another one: each loop that has waiters has its
own timer, and all of them are set to the same moment.
"""

import asyncio
from collections.abc import Callable
from math import inf
from typing import Final


def run_on(loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> bool:
    """Call back on a loop: at once if this thread runs it. Returns False if the loop is closed."""
    if loop is asyncio._get_running_loop():  # noqa: SLF001 - the public function is twice as slow
        callback()
        return True
    try:
        loop.call_soon_threadsafe(callback)
    except RuntimeError:
        return False
    return True


class LoopTimer:
    """One timer on one event loop.

    Args:
        loop: The loop that it lives on.
        clock: Where the time comes from, in seconds.
        callback: Called on the loop when the time has come.

    Attributes:
        waiters: How many of the loop's requests are queued.
        due: When it fires, by the clock; infinite while it is not set. Written under the
            limiter's lock, while the handle belongs to the loop's thread alone.
    """

    __slots__ = ("_callback", "_clock", "_handle", "_loop", "due", "waiters")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        callback: Callable[["LoopTimer"], object],
    ) -> None:
        self.waiters = 0
        self.due = inf
        self._loop = loop
        self._clock = clock
        self._callback = callback
        self._handle: asyncio.TimerHandle | None = None

    def arm(self, due: float) -> None:
        """Set it to a moment, unless it fires before: its callback then sets it again."""
        if due < self.due:
            self.due = due
            run_on(self._loop, self._restart)

    def stop(self) -> None:
        """Call it off; from another thread that may come too late."""
        self.due = inf
        run_on(self._loop, self._restart)

    def _restart(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if self.due < inf:
            delay = max(0.0, self.due - self._clock())
            self._handle = self._loop.call_later(delay, self._callback, self)


class LoopTimers:
    """The timers of all event loops that have waiters. The limiter's lock guards every call.

    Args:
        clock: Where the time comes from, in seconds.
        callback: Called on a timer's own loop when its time has come.
    """

    def __init__(self, clock: Callable[[], float], callback: Callable[[LoopTimer], object]) -> None:
        self._clock: Final = clock
        self._callback: Final = callback
        self._timers: Final[dict[asyncio.AbstractEventLoop, LoopTimer]] = {}

    def add_waiter(self, loop: asyncio.AbstractEventLoop) -> None:
        """Count one more request that is queued on this loop."""
        timer = self._timers.get(loop)
        if timer is None:
            timer = self._timers[loop] = LoopTimer(loop, self._clock, self._callback)
        timer.waiters += 1

    def remove_waiter(self, loop: asyncio.AbstractEventLoop) -> None:
        """Count one less; the loop's last one stops its timer."""
        timer = self._timers[loop]
        timer.waiters -= 1
        if not timer.waiters:
            del self._timers[loop]
            timer.stop()

    def closed_loops(self) -> list[asyncio.AbstractEventLoop]:
        """The loops that were closed while requests were queued on them."""
        return [loop for loop in self._timers if loop.is_closed()]

    def arm(self, due: float) -> None:
        """Set every timer to this moment at the latest."""
        for timer in self._timers.values():
            timer.arm(due)
