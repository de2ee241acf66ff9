"""A queue before a limit: who waits, in which order, on which event loop."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Final, Protocol, Self

from hostup_async._ratelimit.headers import EMPTY, RateLimitReading
from hostup_async._ratelimit.ledger import Ledger
from hostup_async._ratelimit.limits import AGING_SECONDS, RequestClass

_NUMBERS: Final = count()
_IN_ADVANCE: Final = 64


class Waiter:
    """One queued request, which may live on any event loop."""

    __slots__ = ("_order", "expires_at", "future", "kind", "loop", "permit", "waits")

    def __init__(self, kind: RequestClass, since: float, expires_at: float) -> None:
        self.kind = kind
        self.expires_at = expires_at
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[None] = self.loop.create_future()
        self.permit: Permit | None = None
        self.waits = True
        self._order = (since + AGING_SECONDS[kind], next(_NUMBERS))

    def __lt__(self, other: "Waiter") -> bool:
        return self._order < other._order

    def call(self, callback: Callable[[], object]) -> bool:
        """Call back on the waiter's own loop; False where that loop is closed."""
        try:
            if self.loop is asyncio._get_running_loop():  # noqa: SLF001 - half the price
                callback()
            else:
                self.loop.call_soon_threadsafe(callback)
        except RuntimeError:
            return False
        return True

    def wake(self) -> None:
        """Let the waiter go on, unless it is gone."""
        if not self.future.done():
            self.future.set_result(None)


class Release(Protocol):
    """Takes a permit back."""

    def __call__(
        self, permit: "Permit", sends: int, reading: RateLimitReading, *, throttled: bool
    ) -> float | None: ...


class Permit:
    """The right to send one request. It is given back once, by `spend` or by `refund`.

    As a context manager it refunds itself, unless it was given back before.

    Attributes:
        queue: Whose ledger it counts in.
        granted_at: When it was granted, by the budget's clock, in seconds.
        kind: What the request is for.
    """

    __slots__ = ("_release", "granted_at", "kind", "queue")

    def __init__(
        self, queue: "WaitQueue", granted_at: float, kind: RequestClass, release: Release
    ) -> None:
        self.queue = queue
        self.granted_at = granted_at
        self.kind = kind
        self._release: Release | None = release

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.refund()

    def spend(
        self, reading: RateLimitReading = EMPTY, *, sends: int = 1, throttled: bool = False
    ) -> float | None:
        """Give it back after its request, with what the answer said of the limit.

        Args:
            reading: What the answer's headers say.
            sends: How often the request went out; 0 is a refund.
            throttled: Whether the API answered 429.

        Returns:
            The seconds for which everyone now pauses, where this 429 began a pause.
        """
        release, self._release = self._release, None
        return None if release is None else release(self, sends, reading, throttled=throttled)

    def refund(self) -> None:
        """Give it back unused, as if it had never been asked for."""
        self.spend(sends=0)


class WaitQueue:
    """The requests that wait for one ledger.

    Taking a lock costs more than all the rest of a permit. So some permits are granted in
    advance, as `credits`, while nobody waits, and what ends without news is put into `done`:
    a list's `pop` and a deque's `append` need no lock. `settle` brings the ledger up to date.

    Attributes:
        ledger: The limit that they wait for.
        waiting: How many do.
        credits: Whoever pops one may send.
        done: When each request was granted that is over, and when that was.
        is_timed: Whether those who wait wait for the clock, and not for an answer.
    """

    __slots__ = (
        "_heap",
        "_issued",
        "_waiting_by",
        "credits",
        "done",
        "is_timed",
        "ledger",
        "waiting",
    )

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.waiting = 0
        self.is_timed = False
        self.credits: list[None] = []
        self.done: deque[tuple[float, float]] = deque()
        self._issued = 0
        self._heap: list[Waiter] = []
        self._waiting_by = dict.fromkeys(RequestClass, 0)

    def push(self, waiter: Waiter) -> None:
        """Queue a request."""
        heappush(self._heap, waiter)
        self.waiting += 1
        self._waiting_by[waiter.kind] += 1

    def settle(self) -> None:
        """Take back what was granted in advance, and book what happened since."""
        try:
            while True:
                self.credits.pop()
                self._issued -= 1
        except IndexError:
            self.ledger.in_flight += self._issued
            self._issued = 0
        while self.done:
            granted_at, over_at = self.done.popleft()
            self.ledger.answered(over_at, granted_at)

    def take(self, now: float) -> bool:
        """Whether one more may go now, ahead of whom nobody waits; some others are credited."""
        self.settle()
        free = 0 if self.waiting else self.ledger.free(now)
        if free < 1:
            return False
        self.ledger.in_flight += 1
        self._issued = int(min(free - 1, _IN_ADVANCE))
        self.credits.extend([None] * self._issued)
        return True

    def head(self) -> Waiter | None:
        """Who goes next; those that left are dropped on the way."""
        heap = self._heap
        while heap and not heap[0].waits:
            heappop(heap)
        return heap[0] if heap else None

    def leave(self, waiter: Waiter) -> None:
        """Somebody queues no more: granted, cancelled or hopeless."""
        waiter.waits = False
        self.waiting -= 1
        self._waiting_by[waiter.kind] -= 1
        if len(self._heap) > 2 * self.waiting + 64:
            self._heap = self.everyone()
            heapify(self._heap)

    def ahead_of(self, kind: RequestClass) -> int:
        """About how many would go before a request that queued now."""
        start = AGING_SECONDS[kind]
        return sum(n for other, n in self._waiting_by.items() if AGING_SECONDS[other] <= start)

    def split(self, kinds: Sequence[RequestClass]) -> "WaitQueue":
        """A lane with a ledger of its own, for those of some classes that wait here."""
        other, everyone = WaitQueue(Ledger()), self.everyone()
        self._heap, self.waiting = [], 0
        self._waiting_by = dict.fromkeys(RequestClass, 0)
        for waiter in everyone:
            (other if waiter.kind in kinds else self).push(waiter)
        return other

    def everyone(self) -> list[Waiter]:
        """All that wait, in no order."""
        return [waiter for waiter in self._heap if waiter.waits]
