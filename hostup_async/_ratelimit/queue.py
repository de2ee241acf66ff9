"""A queue before a limit: who waits, in which order, on which event loop; and what they wait for.

Permits without a lock. Taking and giving back a permit costs 0.5 us without a lock and 1.4 us with
one, so in the ordinary case, when nothing has to wait and an answer says nothing new, no lock is
taken. All of that is private to this module:

- While nothing is queued, some permits are granted in advance, as `_credits`, under the limiter's
  lock. `try_take` pops one. `list.pop` is atomic, so each goes to one thread.
- `finish` appends to `_finished`. `deque.append` is atomic as well.
- Everything else runs under the lock and reaches the ledger through `WaitQueue.ledger` alone,
  which first brings it up to date: unused credits are taken back, used ones are in flight, then
  the finished ones are booked. So no decision is made by a ledger that lags.

No permit is lost: a credit that is gone from the list was either used, and is counted in flight,
or taken back; and it is popped before its request's end is appended, so taking back all credits
first finds it in flight. No waiter is forgotten: `finish` appends and then reads `waiting` and
`is_timed`; queueing raises `waiting`, clears `is_timed` and then brings the ledger up to date. The
later one of the two sees what the other one wrote.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterator
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf
from typing import Final, Protocol, Self

from hostup_async._ratelimit.headers import EMPTY, RateLimitReading
from hostup_async._ratelimit.ledger import Ledger
from hostup_async._ratelimit.limits import AGING_SECONDS, RequestClass
from hostup_async._ratelimit.timer import run_on

_NUMBERS: Final = count()

_MOST_CREDITS: Final = 64
"""Permits granted in advance at a time: enough that the lock's price (1 us) is shared by many, few
enough that taking back the unused ones stays cheap."""

_STALE_ALLOWED: Final = 64
"""Entries of waiters that left are kept in a heap up to this many, and up to twice as many as wait;
beyond that it is rebuilt. So leaving costs O(1) on average, and memory follows who waits."""

_NOTICED_WITHIN: Final = 1.0
"""Seconds within which a process that is awake notices a deadline, however busy it is."""


class Waiter:
    """One queued request, which may live on any event loop.

    Attributes:
        kind: What the request is for.
        longest: How long it may wait, in seconds.
        expires_at: When it gives up, by the budget's clock, in seconds.
        loop: The event loop that it waits on.
        future: Done when it may go on: with a permit, or without one where it waited too long.
        permit: What it was granted; written before it is woken, as it may run at once on another
            thread.
        is_queued: Whether it waits still.
        is_claimed: Whether it ran again, and has taken its permit.
    """

    __slots__ = (
        "_order",
        "expires_at",
        "future",
        "is_claimed",
        "is_queued",
        "kind",
        "longest",
        "loop",
        "permit",
    )

    kind: RequestClass
    longest: float
    expires_at: float
    loop: asyncio.AbstractEventLoop
    is_queued: bool
    is_claimed: bool

    def __init__(self, kind: RequestClass, since: float, now: float, longest: float) -> None:
        self.kind = kind
        self.longest = longest
        self.expires_at = now + longest
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[None] = self.loop.create_future()
        self.permit: Permit | None = None
        self.is_queued = True
        self.is_claimed = False
        self._order = (since + AGING_SECONDS[kind], next(_NUMBERS))

    def __lt__(self, other: "Waiter") -> bool:
        return self._order < other._order

    def wake(self) -> bool:
        """Let it go on, on its own loop; False where that loop is closed, and it never will."""
        return run_on(self.loop, self._complete)

    def claim(self) -> "Permit | None":
        """Take the permit, if one was granted; from now on it is this waiter's to give back."""
        self.is_claimed = True
        return self.permit

    def _complete(self) -> None:
        if not self.future.done():  # it may have been cancelled
            self.future.set_result(None)


class PermitOwner(Protocol):
    """The limiter, as permits and queues know it."""

    def release(
        self, permit: "Permit", sends: int, reading: RateLimitReading, *, throttled: bool
    ) -> float | None:
        """Take a permit back under the lock; see `Permit.spend`."""

    def grant_to_waiters(self) -> None:
        """Let those go that may."""

    def is_paused(self, kind: RequestClass) -> bool:
        """Whether a 429 forbids to send at this moment; needs no lock."""
        ...


class Permit:
    """The right to send one request. It is given back once, by `spend` or by `refund`.

    As a context manager it refunds itself, unless it was given back before.

    Attributes:
        queue: Whose ledger it counts in.
        granted_at: When it was granted, by the budget's clock, in seconds.
        kind: What the request is for.
        at_once: How many were in flight then, itself included.
    """

    __slots__ = ("_is_out", "at_once", "granted_at", "kind", "queue")

    queue: "WaitQueue"
    granted_at: float
    kind: RequestClass
    at_once: int

    def __init__(
        self, queue: "WaitQueue", granted_at: float, kind: RequestClass, at_once: int
    ) -> None:
        self.queue = queue
        self.granted_at = granted_at
        self.kind = kind
        self.at_once = at_once
        self._is_out = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.refund()

    @property
    def is_paused(self) -> bool:
        """Whether a 429 that came after the grant forbids to use it now."""
        return self.queue.owner.is_paused(self.kind)

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
        if not self._is_out:
            return None
        self._is_out = False
        if sends == 1 and reading is EMPTY and not throttled:
            self.queue.finish(self)
            return None
        return self.queue.owner.release(self, sends, reading, throttled=throttled)

    def refund(self) -> None:
        """Give it back unused, as if it had never been asked for."""
        self.spend(sends=0)


class WaitQueue:
    """The requests that wait for one ledger.

    Only `try_take`, `finish` and `closed_until` may be used without the limiter's lock.

    Args:
        ledger: The limit that they wait for.
        owner: The limiter.
        clock: Where the time comes from, in seconds.

    Attributes:
        waiting: How many requests are queued.
        is_timed: Whether only the clock can let the next one go: the limit is used up, and a
            request that ends still counts. Then `finish` grants nothing, and needs no lock.
    """

    __slots__ = (
        "_clock",
        "_credits",
        "_finished",
        "_heap",
        "_in_flight",
        "_issued",
        "_ledger",
        "_waiting_by_kind",
        "is_timed",
        "owner",
        "waiting",
    )

    is_timed: bool
    waiting: int

    def __init__(self, ledger: Ledger, owner: PermitOwner, clock: Callable[[], float]) -> None:
        self.owner: Final = owner
        self.waiting = 0
        self.is_timed = False
        self._clock = clock
        self._ledger = ledger
        self._credits: list[None] = []
        self._issued = 0
        self._in_flight = 0  # when the credits were issued
        # The requests that ended, and when each did.
        self._finished: deque[tuple[Permit, float]] = deque()
        self._heap: list[Waiter] = []
        self._waiting_by_kind = dict.fromkeys(RequestClass, 0)

    @property
    def ledger(self) -> Ledger:
        """The ledger, brought up to date with the permits that needed no lock."""
        ledger, unused = self._ledger, 0
        try:
            while True:
                self._credits.pop()
                unused += 1
        except IndexError:
            ledger.in_flight += self._issued - unused
            self._issued = 0
        while self._finished:
            permit, ended_at = self._finished.popleft()
            ledger.record_success(ended_at, permit)
        return ledger

    @property
    def closed_until(self) -> float:
        """Until when a 429 forbids to send. Needs no lock: no permit that is out alters it."""
        return self._ledger.closed_until

    def try_take(self, kind: RequestClass) -> Permit | None:
        """A permit that was granted in advance, if there is one. Needs no lock."""
        now = self._clock()  # before the credit: it was valid at this moment
        try:
            self._credits.pop()
        except IndexError:
            return None
        at_once = self._in_flight + self._issued - len(self._credits) - len(self._finished)
        return Permit(self, now, kind, at_once)

    def finish(self, permit: Permit) -> None:
        """A request was accepted, and its answer says nothing of the limit. Needs no lock."""
        self._finished.append((permit, self._clock()))
        if self.waiting and not self.is_timed:
            self.owner.grant_to_waiters()

    def take(self, kind: RequestClass, now: float) -> Permit | None:
        """A permit, if the limit has room and nothing waits; some more are granted in advance."""
        ledger = self.ledger
        available = 0 if self.waiting else ledger.available(now)
        if available < 1:
            return None
        self._issued = int(min(available - 1, _MOST_CREDITS))
        self._credits.extend([None] * self._issued)
        ledger.in_flight += 1
        self._in_flight = ledger.in_flight
        return Permit(self, now, kind, ledger.in_flight)

    def push(self, waiter: Waiter) -> None:
        """Queue a request."""
        heappush(self._heap, waiter)
        self.waiting += 1
        self._waiting_by_kind[waiter.kind] += 1

    def head(self) -> Waiter | None:
        """Who goes next; those that left are dropped on the way."""
        heap = self._heap
        while heap and not heap[0].is_queued:
            heappop(heap)
        return heap[0] if heap else None

    def leave(self, waiter: Waiter) -> None:
        """A request queues no more: it was granted, cancelled, or cannot be granted in time."""
        waiter.is_queued = False
        self.waiting -= 1
        self._waiting_by_kind[waiter.kind] -= 1
        if len(self._heap) > 2 * self.waiting + _STALE_ALLOWED:
            self._heap = self.waiters()
            heapify(self._heap)

    def ahead_of(self, kind: RequestClass) -> int:
        """About how many would go before a request that queued now."""
        start = AGING_SECONDS[kind]
        counts = self._waiting_by_kind.items()
        return sum(number for other, number in counts if AGING_SECONDS[other] <= start)

    def split(self, kinds: Collection[RequestClass], ledger: Ledger) -> "WaitQueue":
        """A queue with a ledger of its own, and in it those that wait here with one of `kinds`."""
        other, waiters = WaitQueue(ledger, self.owner, self._clock), self.waiters()
        self._heap, self.waiting = [], 0
        self._waiting_by_kind = dict.fromkeys(RequestClass, 0)
        for waiter in waiters:
            (other if waiter.kind in kinds else self).push(waiter)
        return other

    def waiters(self) -> list[Waiter]:
        """All that wait, in no order."""
        return [waiter for waiter in self._heap if waiter.is_queued]


class Deadlines:
    """When queued requests give up, the next one first; those that left are dropped on the way."""

    __slots__ = ("_heap",)

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Waiter]] = []

    def push(self, waiter: Waiter, waiting: int) -> None:
        """Note a request's deadline; `waiting` is how many wait in all."""
        if len(self._heap) > 2 * waiting + _STALE_ALLOWED:
            self._heap = [entry for entry in self._heap if entry[2].is_queued]
            heapify(self._heap)
        heappush(self._heap, (waiter.expires_at, id(waiter), waiter))

    def next(self) -> float:
        """The next deadline, infinite where nothing waits."""
        heap = self._heap
        while heap and not heap[0][2].is_queued:
            heappop(heap)
        return heap[0][0] if heap else inf

    def passed(self, now: float) -> Iterator[Waiter]:
        """Those that wait still though their deadline is over."""
        self.renew_slept(now)
        while self.next() <= now:
            yield heappop(self._heap)[2]

    def renew_slept(self, now: float) -> None:
        """Let each wait begin anew whose end was slept through: it is not the limit that took long.

        A deadline that passed unnoticed shows that the process was suspended.
        """
        while self.next() < now - _NOTICED_WITHIN:
            waiter = heappop(self._heap)[2]
            waiter.expires_at = now + waiter.longest
            heappush(self._heap, (waiter.expires_at, id(waiter), waiter))
