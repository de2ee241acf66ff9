"""The shared token bucket: who may send, and when. One for each origin and key in a process.

A request takes a permit before it is sent, first come, first served. A refusal (429) pauses
everyone, once, until the moment that the API names; the ledger keeps what is believed of the
limit. Tasks of several event loops, in several threads, may share one budget.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import ClassVar, Final
from weakref import WeakValueDictionary

from attrs import frozen

from hostup_async._config import Seconds, seconds
from hostup_async._errors import RateLimited
from hostup_async._ledger import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    KnownLimit,
    LearnedLimit,
    Ledger,
    RateLimit,
)
from hostup_async._ratelimit import RateLimitReading

DEFAULT_MAX_WAIT: Final = 900.0
# A server that says "try again in 0 s" at every try must not be tried in a tight loop.
SHORTEST_PAUSE: Final = 0.1


@frozen
class BudgetSnapshot:
    """The state of a budget at one moment.

    Attributes:
        in_flight: Requests sent and not yet answered.
        queued: Requests that wait for a permit.
        wait: Seconds until the next permit can be had, 0.0 when there is no wait.
        paused: Whether the wait is one that the API asked for by refusing a request.
        left: Permits left before the next wait, None where no limit is known.
        refusals: How often the API refused a request with 429.
    """

    in_flight: int
    queued: int
    wait: float
    paused: bool
    left: int | None
    refusals: int


class _Waiter:
    """One queued request, which may live on any event loop."""

    __slots__ = ("future", "granted", "loop")

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[None] = self.loop.create_future()
        self.granted = False

    def call(self, delay: float | None, callback: Callable[[], object]) -> None:
        """Call back on the waiter's own loop, now or later."""
        if delay is None:
            self.loop.call_soon_threadsafe(callback)
        else:
            self.loop.call_soon_threadsafe(self.loop.call_later, delay, callback)

    def resolve(self) -> None:
        """Wake the waiter, unless it is gone."""
        if not self.future.done():
            self.future.set_result(None)


class Budget:
    """Grants permits to send, first come, first served, across tasks, clients and threads.

    Args:
        limit: The limit, where you know it; otherwise it is read from the API's answers.
        max_wait: How long one request may wait for a permit, in seconds; a wait that is
            known to be longer fails at once with `RateLimited`.
        clock: Where the time comes from, in seconds; for tests.

    Example:
        >>> Budget(RateLimit(100, 10), max_wait=60).snapshot().left
        100
    """

    _shared: ClassVar[WeakValueDictionary[tuple[str, str], "Budget"]] = WeakValueDictionary()
    _shared_lock = threading.Lock()

    def __init__(
        self,
        limit: RateLimit | None = None,
        *,
        max_wait: Seconds = DEFAULT_MAX_WAIT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.max_wait: Final = seconds(max_wait, name="max_wait")
        self._ledger: Ledger = LearnedLimit() if limit is None else KnownLimit(limit)
        self._clock = clock
        self._lock = threading.RLock()
        self._queue: deque[_Waiter] = deque()
        self._timer_due = float("inf")
        self._timer_host: _Waiter | None = None
        self._in_flight = 0
        self._refusals = 0
        self._paused_until = float("-inf")
        self._next_pause = FIRST_PAUSE

    @classmethod
    def shared(cls, origin: str, fingerprint: str) -> "Budget":
        """The process's one budget for an API and a key; it lives while a client uses it."""
        with cls._shared_lock:
            budget = cls._shared.get((origin, fingerprint))
            if budget is None:
                budget = cls._shared[origin, fingerprint] = cls()
            return budget

    def snapshot(self) -> BudgetSnapshot:
        """Where the budget stands, and why requests wait."""
        with self._lock:
            now = self._clock()
            left = self._ledger.left(now)
            return BudgetSnapshot(
                in_flight=self._in_flight,
                queued=len(self._queue),
                wait=max(0.0, self._ready_at(now) - now),
                paused=now < self._paused_until,
                left=None if left == float("inf") else int(left),
                refusals=self._refusals,
            )

    async def acquire(self, max_wait: float | None = None) -> None:
        """Wait for a permit to send one request; give it back with `release`.

        Args:
            max_wait: How long at most, in seconds, instead of the budget's own `max_wait`.

        Raises:
            RateLimited: The wait would be longer; nothing was sent.
        """
        longest = self.max_wait if max_wait is None else max_wait
        with self._lock:
            now = self._clock()
            ready_at = self._ready_at(now)
            if not self._queue and ready_at <= now:
                self._grant(now)
                return
            if ready_at - now > longest:
                raise _too_long(ready_at - now, longest)
            waiter = _Waiter()
            self._queue.append(waiter)
            self._set_timer(now)
        await self._wait(waiter, longest)

    def release(
        self, *, sends: int = 1, refused: bool = False, reading: RateLimitReading | None = None
    ) -> float | None:
        """The request is over: give its permit back, with what was learnt from its answer.

        Args:
            sends: How often the request really went out; 0 gives the token back.
            refused: Whether the API said 429.
            reading: What the answer's headers say of the limit.

        Returns:
            The seconds for which everyone now pauses, where this refusal began a pause.
        """
        with self._lock:
            now = self._clock()
            self._in_flight -= 1
            self._correct(sends, now)
            if reading:
                self._ledger.learn(reading, now)
            pause = self._pause(reading, now) if refused else None
            if not refused and sends:
                self._next_pause = FIRST_PAUSE
            self._pump(now)
        return pause

    def _correct(self, sends: int, now: float) -> None:
        """Charge what went out more often than was granted, refund what never did."""
        if not sends:
            self._ledger.refund()
        for _ in range(sends - 1):
            self._ledger.spend(now)

    def _pause(self, reading: RateLimitReading | None, now: float) -> float | None:
        self._refusals += 1
        was_paused = now < self._paused_until
        wait = _asked_wait(reading)
        if wait is None:
            if was_paused:
                return None
            wait, self._next_pause = self._next_pause, min(2 * self._next_pause, LONGEST_PAUSE)
        self._paused_until = max(self._paused_until, now + wait)
        return None if was_paused else wait

    def _ready_at(self, now: float) -> float:
        return max(self._paused_until, self._ledger.ready_at(now))

    def _grant(self, now: float) -> None:
        self._ledger.spend(now)
        self._in_flight += 1

    async def _wait(self, waiter: _Waiter, longest: float) -> None:
        try:
            async with asyncio.timeout(longest):
                await waiter.future
        except BaseException as error:
            self._abandon(waiter)
            if isinstance(error, TimeoutError):
                raise _too_long(self.snapshot().wait, longest) from None
            raise

    def _abandon(self, waiter: _Waiter) -> None:
        """A waiter leaves: also in the very tick of its grant, which it then gives back."""
        with self._lock:
            if waiter.granted:
                self.release(sends=0)
                return
            self._queue.remove(waiter)
            if waiter is self._timer_host:  # its loop may be closing, and the timer with it
                self._timer_due = float("inf")
            self._pump(self._clock())

    def _pump(self, now: float) -> None:
        """Grant to those in front for as long as the ledger allows, then set the timer."""
        while self._queue and self._ready_at(now) <= now:
            waiter = self._queue.popleft()
            waiter.granted = True
            self._grant(now)
            if not self._wakes(waiter, waiter.resolve):
                self._ledger.refund()
                self._in_flight -= 1
        self._set_timer(now)

    def _set_timer(self, now: float) -> None:
        """One timer, on the loop of the first in the queue, which has most to gain from it."""
        while self._queue:
            due = self._ready_at(now)
            if self._timer_due <= due:
                return
            if self._wakes(self._queue[0], self._on_timer, max(0.0, due - now)):
                self._timer_due, self._timer_host = due, self._queue[0]
                return
            self._queue.popleft()

    def _on_timer(self) -> None:
        with self._lock:
            self._timer_due = float("inf")
            self._pump(self._clock())

    @staticmethod
    def _wakes(waiter: _Waiter, callback: Callable[[], object], delay: float | None = None) -> bool:
        """Whether the waiter's loop still runs, and so will make the call."""
        try:
            waiter.call(delay, callback)
        except RuntimeError:  # that loop is closed, and the waiter with it
            return False
        return True


def _asked_wait(reading: RateLimitReading | None) -> float | None:
    if not reading:
        return None
    wait = reading.reset_after if reading.retry_after is None else reading.retry_after
    return None if wait is None else max(wait, SHORTEST_PAUSE)


def _too_long(wait: float, longest: float) -> RateLimited:
    return RateLimited(
        f"The rate limit allows no request for {wait:.0f} s, and at most {longest:.0f} s of "
        "waiting is allowed. Nothing was sent: try later, or allow more with "
        "Client(budget=Budget(max_wait=...))."
    )
