"""The gate before a limit: who may send, and when.

A request takes a permit before it is sent and gives it back when it is over, with what its answer
said of the limit. Tasks of several event loops, in several threads, may share one gate.
"""

import threading
from collections.abc import Callable
from math import inf
from typing import Final

from hostup_async._errors import RateLimited
from hostup_async._ratelimit.headers import EMPTY, RateLimitReading
from hostup_async._ratelimit.ledger import Ledger
from hostup_async._ratelimit.limits import RateLimit, RequestClass
from hostup_async._ratelimit.queue import Permit, Waiter, WaitQueue
from hostup_async._ratelimit.snapshot import BudgetSnapshot, take_snapshot
from hostup_async._ratelimit.timer import Deadlines, LoopTimer
from hostup_async._ratelimit.trial import SHORTEST_TRIED, TRIED_FOR, Trial, kinds_on

OnWait = Callable[[BudgetSnapshot], None]


class RateLimiter:
    """Permits, queues, and one timer.

    Args:
        limit: The limit, where it is known.
        max_wait: How long a request may wait, in seconds, where it does not say.
        clock: Where the time comes from.
    """

    def __init__(
        self, limit: RateLimit | None, max_wait: float, clock: Callable[[], float]
    ) -> None:
        self.max_wait: Final = max_wait
        self._clock = clock
        self._lock = threading.RLock()
        lane = WaitQueue(Ledger(limit))
        self._lanes = dict.fromkeys(RequestClass, lane)
        self._deadlines: Final = Deadlines()
        self._alarm: LoopTimer | None = None
        self._trial: Trial | None = None
        self._try_from = -inf if limit is None else inf

    async def acquire(
        self,
        kind: RequestClass = RequestClass.ACTION,
        *,
        max_wait: float | None = None,
        since: float | None = None,
        on_wait: OnWait | None = None,
    ) -> Permit:
        """Wait for a permit to send one request; give it back with its `spend` or `refund`.

        Args:
            kind: What the request is for.
            max_wait: How long at most, in seconds, instead of the gate's own bound; 0.0 is not
                to wait at all.
            since: When the request first asked, so that one that was refused keeps its place.
            on_wait: Told, once, where the request has to queue.

        Raises:
            RateLimited: The wait is, or turns out to be, longer; nothing was sent.
        """
        lane, now = self._lanes[kind], self._clock()
        try:
            lane.credits.pop()
        except IndexError:
            pass
        else:
            return Permit(lane, now, kind, self._release)
        with self._lock:
            lane = self._lanes[kind]
            if lane.take(now):
                return Permit(lane, now, kind, self._release)
            waiter = self._queue(lane, kind, now, since, max_wait)
        return await self._wait(waiter, on_wait)

    def _release(
        self, permit: Permit, sends: int, reading: RateLimitReading, *, throttled: bool
    ) -> float | None:
        """Take a permit back; see `Permit.spend`."""
        queue = permit.queue
        if sends == 1 and reading is EMPTY and not throttled and self._trial is None:
            queue.done.append((permit.granted_at, self._clock()))
            if queue.waiting and not queue.is_timed:
                with self._lock:
                    self._pump(self._clock())
            return None
        with self._lock:
            return self._learn(permit, sends, reading, throttled=throttled)

    def rate(self, kind: RequestClass = RequestClass.ACTION) -> float | None:
        """Requests a second that can be kept up; None where unknown, infinite without a limit."""
        return self._lanes[kind].ledger.belief.rate

    def spare(self, kind: RequestClass = RequestClass.ACTION, wanted: float = inf) -> float:
        """Permits left over at an even rate, see `Ledger.spare`; infinite without a known limit."""
        lane = self._lanes[kind]
        if lane.waiting or not lane.ledger.belief.is_known:
            return 0.0 if lane.waiting else inf
        with self._lock:
            lane.settle()
            return lane.ledger.spare(self._clock(), wanted)

    def snapshot(self) -> BudgetSnapshot:
        """Where the gate stands, and why requests wait."""
        with self._lock:
            lanes = self._every_lane()
            for lane in lanes:
                lane.settle()
            return take_snapshot(lanes, self._clock())

    def _every_lane(self) -> list[WaitQueue]:
        return list(dict.fromkeys(self._lanes.values()))

    def _queue(
        self,
        lane: WaitQueue,
        kind: RequestClass,
        now: float,
        since: float | None,
        max_wait: float | None,
    ) -> Waiter:
        longest = self.max_wait if max_wait is None else max_wait
        wait = lane.ledger.wait_behind(lane.ahead_of(kind), now)
        if longest <= 0 or wait > longest:
            raise _too_long(wait, longest)
        waiter = Waiter(kind, now if since is None else since, now + longest)
        lane.push(waiter)
        self._deadlines.push(waiter, sum(lane.waiting for lane in self._every_lane()))
        self._pump(now)
        return waiter

    async def _wait(self, waiter: Waiter, on_wait: OnWait | None) -> Permit:
        try:
            if on_wait is not None:
                on_wait(self.snapshot())
            await waiter.future
        except BaseException:
            self._abandon(waiter)
            raise
        if waiter.permit is None:
            with self._lock:
                now, lane = self._clock(), self._lanes[waiter.kind]
                wait = lane.ledger.wait_behind(lane.ahead_of(waiter.kind), now)
            raise _too_long(wait, None)
        return waiter.permit

    def _abandon(self, waiter: Waiter) -> None:
        """A waiter leaves: also in the very tick of its grant, which it then gives back."""
        with self._lock:
            if waiter.permit is not None:
                waiter.permit.refund()
            elif waiter.waits:
                self._leave(waiter)
            self._pump(self._clock())

    def _learn(
        self, permit: Permit, sends: int, reading: RateLimitReading, *, throttled: bool
    ) -> float | None:
        """Give back a permit whose answer may change who may go at all."""
        lane, granted_at, kind = permit.queue, permit.granted_at, permit.kind
        now = self._clock()
        trial, pause = self._trial, None
        is_tried = trial is not None and trial.permit is permit
        lane.settle()
        if throttled:  # one that was sent to try is no second offence
            pause = lane.ledger.limited(now, -inf if is_tried else granted_at, reading)
            self._fail_hopeless(lane, now)
        elif sends:
            lane.ledger.answered(now, granted_at, sends, reading)
        else:
            lane.ledger.in_flight -= 1
        if trial is not None and is_tried:
            self._hear(trial, lane, now, passed=bool(sends and not throttled), sent=bool(sends))
        elif pause is not None and pause >= SHORTEST_TRIED and now >= self._try_from:
            self._trial = Trial(kind, now + pause)
        self._pump(now)
        return pause

    def _hear(self, trial: Trial, lane: WaitQueue, now: float, *, passed: bool, sent: bool) -> None:
        trial.hear(passed=passed, sent=sent)
        if trial.is_over:
            self._trial, self._try_from = None, inf if trial.splits else now + TRIED_FOR
            if trial.splits:
                others = kinds_on(actions=not trial.limited_side)
                self._lanes |= dict.fromkeys(others, lane.split(others))

    def _pump(self, now: float) -> None:
        """Grant to those in front for as long as their ledger allows, then set the timer."""
        for lane in self._every_lane():
            if not lane.waiting:
                continue
            lane.is_timed = False  # before: what ends from now on, on any thread, pumps again
            lane.settle()
            free = lane.ledger.free(now)
            while free >= 1 and (waiter := lane.head()) is not None:
                free -= self._grant(lane, waiter, now) is not None
        if self._trial is not None:
            self._try_one(self._trial, now)
        self._set_timer(now)

    def _grant(self, lane: WaitQueue, waiter: Waiter, now: float) -> Permit | None:
        self._leave(waiter)
        if not waiter.call(waiter.wake):
            return None
        waiter.permit = Permit(lane, now, waiter.kind, self._release)
        lane.ledger.in_flight += 1
        return waiter.permit

    def _try_one(self, trial: Trial, now: float) -> None:
        lane, side = self._lanes[RequestClass.ACTION], trial.next_side(now)
        if now >= trial.until:
            self._trial = None
        elif side is not None:
            kinds = kinds_on(actions=side)
            first = min((one for one in lane.everyone() if one.kind in kinds), default=None)
            trial.permit = self._grant(lane, first, now) if first is not None else None

    def _leave(self, waiter: Waiter) -> None:
        self._lanes[waiter.kind].leave(waiter)
        if self._alarm is not None and waiter is self._alarm.host:
            self._alarm.stop()  # its loop may be closing, and the timer with it
            self._alarm = None

    def _fail(self, waiter: Waiter) -> None:
        """Wake a waiter without a permit: it has waited as long as it may, or would have to."""
        self._leave(waiter)
        waiter.call(waiter.wake)

    def _fail_hopeless(self, lane: WaitQueue, now: float) -> None:
        opens_at = max(lane.ledger.opens_at(now), lane.ledger.paused_until)
        if opens_at < inf:
            for waiter in lane.everyone():
                if waiter.expires_at < opens_at:
                    self._fail(waiter)

    def _set_timer(self, now: float) -> None:
        """One timer, on the loop of one that is in front and so has most to gain from it."""
        for lane in self._every_lane():
            while (host := lane.head()) is not None:
                opens_at = lane.ledger.opens_at(now)
                lane.is_timed = opens_at < inf
                due = min(opens_at, self._deadlines.next())
                if self._alarm is not None and self._alarm.due <= due:
                    break
                if self._arm(host, due, now):
                    break
                self._leave(host)

    def _arm(self, host: Waiter, due: float, now: float) -> bool:
        """Whether the host's loop still runs, and so will call."""
        if self._alarm is not None:
            self._alarm.stop()
        self._alarm = LoopTimer(host, due)
        return self._alarm.start(max(0.0, due - now), self._on_alarm)

    def _on_alarm(self, alarm: LoopTimer) -> None:
        with self._lock:
            if alarm is not self._alarm:
                return
            self._alarm = None
            now = self._clock()
            for waiter in self._deadlines.passed(now):
                self._fail(waiter)
            self._pump(now)


def _too_long(wait: float, longest: float | None) -> RateLimited:
    allowed = "it may wait" if longest is None else f"the {longest:.0f} s it may wait"
    return RateLimited(
        f"The rate limit allows no request for {wait:.0f} s, longer than {allowed}. Try later, or "
        "allow more with Client(budget=Budget(max_wait=...)).",
        wait=wait,
    )
