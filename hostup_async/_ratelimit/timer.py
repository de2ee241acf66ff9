"""When somebody must be woken at the latest, and one call at a moment, on a waiter's own loop."""

from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush
from math import inf
from typing import TYPE_CHECKING

from hostup_async._ratelimit.queue import Waiter

if TYPE_CHECKING:
    import asyncio


class Deadlines:
    """When those who wait give up, the next one first; who left is dropped on the way."""

    __slots__ = ("_heap",)

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Waiter]] = []

    def push(self, waiter: Waiter, waiting: int) -> None:
        """Note somebody's deadline; `waiting` is how many wait in all."""
        if len(self._heap) > 2 * waiting + 64:
            self._heap = [entry for entry in self._heap if entry[2].waits]
            heapify(self._heap)
        heappush(self._heap, (waiter.expires_at, id(waiter), waiter))

    def next(self) -> float:
        """The next deadline, infinite where nobody waits."""
        heap = self._heap
        while heap and not heap[0][2].waits:
            heappop(heap)
        return heap[0][0] if heap else inf

    def passed(self, now: float) -> Iterator[Waiter]:
        """Those whose deadline is over, and who still wait."""
        while self.next() <= now:
            yield heappop(self._heap)[2]


class LoopTimer:
    """Calls back after a delay, on a waiter's loop; stopped from any thread.

    Args:
        host: Whose loop it is; it has most to gain from the call.
        due: When, by the clock of who sets it.
    """

    __slots__ = ("_handle", "_stopped", "due", "host")

    def __init__(self, host: Waiter, due: float) -> None:
        self.host = host
        self.due = due
        self._handle: asyncio.TimerHandle | None = None
        self._stopped = False

    def start(self, delay: float, callback: Callable[["LoopTimer"], object]) -> bool:
        """Set it; False where the host's loop is closed, and will never call."""

        def start() -> None:
            if not self._stopped:
                self._handle = self.host.loop.call_later(delay, callback, self)

        return self.host.call(start)

    def stop(self) -> None:
        """Call it off; from another thread that may be too late, so who is called must check."""
        self._stopped = True
        if self._handle is not None:
            self.host.call(self._handle.cancel)
