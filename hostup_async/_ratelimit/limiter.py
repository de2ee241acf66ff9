"""The rate limiter: who may send, and when.

A request takes a permit before it is sent and gives it back when it is over, with what its answer
said of the limit. Tasks of several event loops, in several threads, share one limiter.

How a permit is granted, the cheapest way first:

1. It was granted in advance: popped without a lock (see `queue`).
2. The ledger has room and nothing is queued: taken under the lock.
3. The request is queued. `_grant_to_waiters` gives permits to those in front for as long as the
   ledger has room; it runs after every event that may make room: an answer that brings news, a
   refund, a cancelled waiter, a new one, a timer. A plain answer runs it only where an answer can
   make room at all, which `is_timed` says.

Invariants, all kept under one lock but for the first way above:

- Each permit counts as in flight in one ledger from its grant until it is given back. It is written
  before its waiter is woken, which may be on another thread. A waiter that was cancelled meanwhile
  gives it back; that of a waiter whose loop is closed, so that it never runs, is taken back.
- First come, first served within a class of requests, classes offset by `AGING_SECONDS`: a newcomer
  is queued wherever anything waits, so none overtakes.
- While anything waits, every event loop that has a waiter has a timer for the next moment at which
  the ledger opens or a waiter's time is over.
- Between a 429 and the end of its pause nothing is granted, not even to find out more. A permit
  that was granted before is not used either: its request asks `is_paused` just before it goes out.

A wait that is known to exceed what a request allows fails at once, when it is queued or when a 429
makes it known. A wait that a suspended process slept through begins anew (`Deadlines.renew_slept`).
"""

from collections.abc import Callable
from math import inf
from typing import Final

from attrs import evolve

from hostup_async._errors import RateLimited
from hostup_async._fork import lock_for_forks
from hostup_async._ratelimit.headers import RateLimitReading
from hostup_async._ratelimit.learnt import LearntLimit, LearntLimits
from hostup_async._ratelimit.ledger import Ledger
from hostup_async._ratelimit.limits import RateLimit, RequestClass
from hostup_async._ratelimit.named_limits import NamedLimits
from hostup_async._ratelimit.plan import WindowPlan, plan_of, seconds_for
from hostup_async._ratelimit.queue import Deadlines, Permit, Waiter, WaitQueue
from hostup_async._ratelimit.snapshot import BudgetSnapshot, summarize, take_snapshot
from hostup_async._ratelimit.timer import LoopTimer, LoopTimers

OnWait = Callable[[BudgetSnapshot], None]

_ACTIONS: Final = frozenset({RequestClass.ACTION})
_READS: Final = frozenset(RequestClass) - _ACTIONS

_CLAIM_SECONDS: Final = 1.0
"""Seconds after a grant until it is checked whether the waiter's loop was closed. Waiters run
within milliseconds and a check costs microseconds: others wait little, and it costs little."""


class RateLimiter:
    """Grants permits for the limit of one API key, or for its two limits.

    Args:
        limit: The limit, where it is known; with `read_limit`, that of actions.
        max_wait: How long a request may wait where it does not say, in seconds.
        clock: Where the time comes from, in seconds.
        read_limit: The limit of requests that only read, where it is known to be one of its own.
        share: The part of each limit that is ours to use.
    """

    def __init__(
        self,
        limit: RateLimit | None,
        max_wait: float,
        clock: Callable[[], float],
        *,
        read_limit: RateLimit | None = None,
        share: float = 1.0,
    ) -> None:
        self.max_wait: Final = max_wait
        self._clock = clock
        self._share: Final = share
        self._lock: Final = lock_for_forks(self, in_child=RateLimiter._begin_anew)
        self._deadlines = Deadlines()
        self._timers = LoopTimers(clock, self._on_timer)
        # Granted and woken, but not yet seen to run: in flight, and ours until they are claimed.
        self._unclaimed: list[Waiter] = []
        queue = WaitQueue(Ledger(limit, share=share), self, clock)
        self._queues = dict.fromkeys(RequestClass, queue)
        if read_limit is not None:
            reads = WaitQueue(Ledger(read_limit, share=share), self, clock)
            self._queues |= dict.fromkeys(_READS, reads)
        # None where there is nothing to find out: the user said it, or two limits were found.
        is_unknown = limit is None and read_limit is None
        self._named_limits = NamedLimits() if is_unknown else None

    def __repr__(self) -> str:
        return f"<RateLimiter {summarize(self.snapshot())}>"

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
            max_wait: How long at most, in seconds, instead of the limiter's own bound; 0.0 is not
                to wait at all.
            since: When the request first asked, so that one that was refused keeps its place.
            on_wait: Called once with the reason, where the request has to queue.

        Raises:
            RateLimited: The wait is, or turns out to be, longer; nothing was sent.
        """
        permit = self._queues[kind].try_take(kind)
        if permit is not None:
            return permit
        with self._lock:
            queue, now = self._queues[kind], self._clock()
            permit = queue.take(kind, now)
            if permit is not None:
                return permit
            longest = self.max_wait if max_wait is None else max_wait
            waiter = self._enqueue(queue, kind, now, now if since is None else since, longest)
        return await self._wait(waiter, on_wait)

    def release(
        self, permit: Permit, sends: int, reading: RateLimitReading, *, throttled: bool
    ) -> float | None:
        """Take a permit back whose answer may change who may go at all; see `Permit.spend`."""
        with self._lock:
            now, pause = self._clock(), None
            if throttled:
                pause = self._record_429(permit, reading, now)
            elif sends:
                is_action = permit.kind in _ACTIONS
                named = self._named_limits if reading.limit else None
                if named and named.alternate(reading.limit or 0, is_action=is_action):
                    self._split_off(permit, now)
                permit.queue.ledger.record_success(now, permit, sends, reading)
            else:
                permit.queue.ledger.in_flight -= 1
            self._grant_to_waiters(now)
            return pause

    def is_paused(self, kind: RequestClass) -> bool:
        """Whether a 429 forbids to send at this moment; needs no lock."""
        return self._clock() < self._queues[kind].closed_until

    def rate(self, kind: RequestClass = RequestClass.ACTION) -> float | None:
        """Requests a second that can be kept up; None where unknown, infinite without a limit."""
        with self._lock:
            return self._queues[kind].ledger.rate

    def rate_of_both(self) -> float | None:
        """Requests a second, half of them actions and half of them reads, as `rate` has them."""
        with self._lock:
            action, read = self._ledgers()
            rates = [rate for rate in (action.rate, read.rate) if rate is not None]
            return min(rates) * len({action, read}) if rates else None

    def plan(self, kind: RequestClass = RequestClass.ACTION, wanted: float = inf) -> WindowPlan:
        """What the permits are enough for; none is to spare where requests wait."""
        with self._lock:
            queue = self._queues[kind]
            wanted /= len(set(self._ledgers()))  # half of them where each kind has its own limit
            plan = plan_of(queue.ledger, self._clock(), wanted)
            return evolve(plan, surplus=0.0) if queue.waiting else plan

    def seconds_for(self, actions: float, reads: float) -> float | None:
        """Seconds until these requests have gone, with the pause and the windows that they need.

        None where a limit is unknown.
        """
        with self._lock:
            now = self._clock()
            action, read = self._ledgers()
            if action is read:
                return seconds_for(action, actions + reads, now)
            each = seconds_for(action, actions, now), seconds_for(read, reads, now)
            return None if None in each else max(filter(None, each), default=0.0)

    def allowed(self) -> LearntLimits:
        """What the API allows, as far as is known."""
        with self._lock:
            now, ledgers = self._clock(), self._ledgers()
            return _as_limits(*(ledger.estimate.allowed(now) for ledger in ledgers))

    def learnt(self) -> LearntLimits:
        """What was learnt of the limit, to be kept for a later run."""
        with self._lock:
            now, ledgers = self._clock(), self._ledgers()
            return _as_limits(*(ledger.learnt(now) for ledger in ledgers))

    def restore(self, before: LearntLimits) -> None:
        """Begin with what an earlier run learnt, where nothing was said or learnt here yet."""
        with self._lock:
            now, (actions, reads) = self._clock(), self._ledgers()
            if before.is_split and self._named_limits is not None and not actions.estimate.is_known:
                self._split(_READS, Ledger(share=self._share, paused_until=actions.paused_until))
                reads = self._ledgers()[1]
            for ledger, limit in ((actions, before.actions), (reads, before.reads)):
                if limit is not None:
                    ledger.restore(limit, now)
            self._grant_to_waiters(now)

    def snapshot(self) -> BudgetSnapshot:
        """Where the limiter stands, and why requests wait."""
        with self._lock:
            self._forget_closed_loops()
            return take_snapshot(self._distinct_queues(), self._clock())

    def grant_to_waiters(self) -> None:
        """Let those go that may."""
        with self._lock:
            self._grant_to_waiters(self._clock())

    def _begin_anew(self) -> None:
        """Drop, in a forked child, what its parent sends and waits for; what it learnt stays."""
        ledgers = {queue: queue.ledger.without_requests() for queue in self._distinct_queues()}
        anew = {one: WaitQueue(ledger, self, self._clock) for one, ledger in ledgers.items()}
        self._queues = {kind: anew[queue] for kind, queue in self._queues.items()}
        self._deadlines, self._unclaimed = Deadlines(), []
        self._timers = LoopTimers(self._clock, self._on_timer)

    def _ledgers(self) -> tuple[Ledger, Ledger]:
        """That of actions and that of reads, which may be the same one."""
        return self._queues[RequestClass.ACTION].ledger, self._queues[RequestClass.POLL].ledger

    def _distinct_queues(self) -> list[WaitQueue]:
        return list(dict.fromkeys(self._queues.values()))

    def _enqueue(
        self, queue: WaitQueue, kind: RequestClass, now: float, since: float, longest: float
    ) -> Waiter:
        self._forget_closed_loops()
        wait = queue.ledger.wait_behind(queue.ahead_of(kind), now)
        if longest <= 0 or wait > longest:
            raise _too_long(wait, longest)
        waiter = Waiter(kind, since, now, longest)
        queue.push(waiter)
        self._timers.add_waiter(waiter.loop)
        self._deadlines.push(waiter, sum(one.waiting for one in self._distinct_queues()))
        self._grant_to_waiters(now)
        return waiter

    async def _wait(self, waiter: Waiter, on_wait: OnWait | None) -> Permit:
        try:
            if on_wait is not None:
                on_wait(self.snapshot())
            await waiter.future
        except BaseException:
            self._abandon(waiter)
            raise
        permit = waiter.claim()
        if permit is not None:
            return permit
        with self._lock:
            queue = self._queues[waiter.kind]
            wait = queue.ledger.wait_behind(queue.ahead_of(waiter.kind), self._clock())
        raise _too_long(wait, None)

    def _abandon(self, waiter: Waiter) -> None:
        """Remove a cancelled waiter. One that was granted a permit meanwhile gives it back."""
        with self._lock:
            permit = waiter.claim()
            if permit is not None:
                permit.refund()
            elif waiter.is_queued:
                self._leave(waiter)
                self._grant_to_waiters(self._clock())

    def _record_429(self, permit: Permit, reading: RateLimitReading, now: float) -> float | None:
        if self._named_limits is not None and reading.limit:
            ledger, is_action = permit.queue.ledger, permit.kind in _ACTIONS
            in_a_row = not ledger.accepted_since_429
            differ = self._named_limits.differ(
                reading.limit, is_action=is_action, in_a_row=in_a_row
            )
            if differ or ledger.exceeds(reading.limit, now):
                self._split_off(permit, now)
        pause = permit.queue.ledger.record_429(now, permit, reading)
        self._fail_hopeless(permit.queue, now)
        return pause

    def _split_off(self, permit: Permit, now: float) -> None:
        """Give the side of this permit a ledger of its own.

        The other side keeps the one that was learnt so far. A pause holds for both.
        """
        kinds = _ACTIONS if permit.kind in _ACTIONS else _READS
        ledger = permit.queue.ledger
        own = Ledger(share=self._share, paused_until=ledger.paused_until)
        if (learnt := ledger.learnt(now)) is not None:
            own.restore(learnt, now)
        ledger.in_flight, own.in_flight = ledger.in_flight - 1, 1
        self._split(kinds, own)
        permit.queue = self._queues[permit.kind]

    def _split(self, kinds: frozenset[RequestClass], own: Ledger) -> None:
        queue = self._queues[next(iter(kinds))].split(kinds, own)
        self._queues |= dict.fromkeys(kinds, queue)
        self._named_limits = None

    def _grant_to_waiters(self, now: float) -> None:
        self._forget_closed_loops()
        for queue in self._distinct_queues():
            if not queue.waiting:
                continue
            queue.is_timed = False  # before settling: what ends from now on comes here again
            available = queue.ledger.available(now)
            while available >= 1 and (waiter := queue.head()) is not None:
                available -= self._grant(queue, waiter, now)
        self._arm_timers(now)

    def _grant(self, queue: WaitQueue, waiter: Waiter, now: float) -> bool:
        """Hand a permit over, whole before the wake; False where the waiter's loop is closed."""
        self._leave(waiter)
        queue.ledger.in_flight += 1
        waiter.permit = Permit(queue, now, waiter.kind, queue.ledger.in_flight)
        self._unclaimed.append(waiter)
        if waiter.wake():
            return True
        self._forget_closed_loops()
        return False

    def _forget_closed_loops(self) -> None:
        """Drop the waiters of loops that were closed before they ran, with what they were granted.

        A loop that ends properly cancels its tasks, and these leave by themselves.
        """
        for waiter in self._unclaimed:
            # In this order: after its loop was closed, nothing is claimed any more.
            if waiter.loop.is_closed() and not waiter.is_claimed and waiter.permit is not None:
                waiter.permit.queue.ledger.in_flight -= 1
                waiter.permit, waiter.is_claimed = None, True
        self._unclaimed = [waiter for waiter in self._unclaimed if not waiter.is_claimed]
        for loop in self._timers.closed_loops():
            for queue in self._distinct_queues():
                for waiter in queue.waiters():
                    if waiter.loop is loop:
                        self._leave(waiter)

    def _leave(self, waiter: Waiter) -> None:
        self._queues[waiter.kind].leave(waiter)
        self._timers.remove_waiter(waiter.loop)

    def _fail(self, waiter: Waiter) -> None:
        """Wake a waiter without a permit: it has waited as long as it may, or would have to."""
        self._leave(waiter)
        waiter.wake()

    def _fail_hopeless(self, queue: WaitQueue, now: float) -> None:
        self._deadlines.renew_slept(now)
        ledger = queue.ledger
        opens_at = max(ledger.opens_at(now), ledger.paused_until)
        if opens_at < inf:
            for waiter in queue.waiters():
                if waiter.expires_at < opens_at:
                    self._fail(waiter)

    def _arm_timers(self, now: float) -> None:
        due = self._deadlines.next()
        if self._unclaimed:
            due = min(due, now + _CLAIM_SECONDS)
        for queue in self._distinct_queues():
            if queue.waiting:
                opens_at = queue.ledger.opens_at(now)
                queue.is_timed = opens_at < inf
                due = min(due, opens_at)
        self._timers.arm(due)

    def _on_timer(self, timer: LoopTimer) -> None:
        with self._lock:
            timer.due = inf
            now = self._clock()
            for waiter in self._deadlines.passed(now):
                self._fail(waiter)
            self._grant_to_waiters(now)


def _as_limits(actions: LearntLimit | None, reads: LearntLimit | None) -> LearntLimits:
    # Where both sides have the same limit, they may well share it, and were split by mistake.
    return LearntLimits(actions, reads, is_split=actions != reads)


def _too_long(wait: float, longest: float | None) -> RateLimited:
    allowed = "it may wait" if longest is None else f"the {longest:.0f} s it may wait"
    return RateLimited(
        f"The rate limit allows no request for {wait:.0f} s, longer than {allowed}. Try later, or "
        "allow more with Client(budget=Budget(max_wait=...)).",
        wait=wait,
    )
