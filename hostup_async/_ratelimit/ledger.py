"""A sliding-window counter for one rate limit: what was used of it, and when more may be.

A request counts from the moment its answer came, for as long as the window is, and while it is in
flight. The server counted it at some moment in between, so fewer count there than here: the limit
is kept in every window, wherever the server's begins, and for a token bucket of that rate as well.

Four things decide whether one more may go:

- the window: `estimate.cap` requests in `estimate.span` seconds; or the rate, `estimate.pacer`;
- what may be in flight at once;
- the pause after a 429, until the moment that it names. It is never shortened, and a 429 of a
  request sent before the pause began extends it at most. The first request after it goes alone.
  Where the 429 names no moment, the pause is ours: short at first, and longer with each probe that
  is refused, so that the probe that passes dates the window;
- the count of the server, where successes tell what remains: it lowers ours at once, and raises it
  only if its request was sent after the last lowering, because answers overtake each other.

What the limit is, `LimitEstimate` decides; the ledger tells it how the window went. Units: moments
are seconds of the budget's clock, waits are seconds. Pure: the time is an argument.

Rejected: counting from the send, as most clients do; a slow request then falls into a later window
of the server's than of ours, which is refused.
"""

from bisect import bisect_left
from collections import Counter, deque
from copy import deepcopy
from math import inf
from typing import Final

from attrs import evolve

from hostup_async._ratelimit.estimate import LimitEstimate
from hostup_async._ratelimit.headers import EMPTY, RateLimitReading
from hostup_async._ratelimit.learnt import LearntLimit
from hostup_async._ratelimit.limits import RateLimit
from hostup_async._ratelimit.pauses import Pauses
from hostup_async._ratelimit.renewal import Renewal
from hostup_async._ratelimit.window import Granted, Observation

LONGEST_TRUST: Final = 3600.0
"""After pausing this many seconds, one request tests whether the pause still applies. A server that
names days has more likely a wrong clock than such a window."""

_LOOK_BACK: Final = 60.0
"""Seconds for which requests are remembered while no window is known: the longest usual window, so
that a 429 finds its requests, and an unlimited API costs little memory."""

_WHOLE: Final = 0.9
"""The part of a window that must have gone by before requests that expire can be the opening of the
next one. The rest allows for answers that come early or late."""

_BEYOND: Final = 1.1
"""More than this part of a named limit in a window is more than jitter."""

_LATENCIES: Final = 4
"""Mean latencies within which the server has surely counted a request before its answer came."""

_LATE: Final = 0.1
"""The part of a window within which its first request must go to show when the window began."""

_CONFIRMS: Final = 8
"""Requests accepted in a window, or all of a smaller one, that show that it had opened. Fewer could
be what was left of the one before."""

_LUCK: Final = 3
"""Acceptances that show that as many may be in flight as there were: one or two may have been luck,
because another request had ended on the way."""

_LATENCY_SHARE: Final = 0.1
"""The weight of the newest answer in the mean latency."""

_SHORTEST_LATENCY: Final = 0.001
"""Seconds."""


class Ledger:
    """Counts along with one limit of the API.

    Args:
        given: The limit, where the user said it.
        share: The part of the limit that is ours to use.
        paused_until: Until when a 429 forbids to send, where one was met already.

    Attributes:
        estimate: What is known of the limit.
        in_flight: Requests granted and not yet over.
        answered: Requests granted and over, ever.
        throttled_count: How often the API answered 429.
        accepted_since_429: Requests granted after the newest 429 and accepted.
        paused_until: Until when nothing is sent, because the API answered 429.
    """

    in_flight: int
    answered: int
    throttled_count: int
    accepted_since_429: int
    paused_until: float

    def __init__(
        self, given: RateLimit | None = None, *, share: float = 1.0, paused_until: float = -inf
    ) -> None:
        self.estimate: Final = LimitEstimate(given, share=share)
        self.in_flight = self.answered = 0
        self.throttled_count = 0
        self.accepted_since_429 = 0
        self.paused_until = paused_until
        self._counts: Final = given is None or given.requests < inf
        self._spent: deque[float] = deque()
        self._paused_at = -inf
        self._lowered_at = -inf
        self._pauses: Final = Pauses()
        # The window: when it could open, when its first request was granted, what was accepted.
        self._opening = -inf
        self._opened_at: float | None = None
        self._accepted_since_opening = 0
        self._opened_by_count = False
        self._opened_in_time = False
        self._probing = False
        self._renewal: Final = Renewal()
        # What is left of it by the server's count, less what was accepted since; until when.
        self._server_remaining = inf
        self._server_remaining_until = -inf
        self._at_once = Counter[int]()  # how many were accepted with so many in flight
        self._latency = 0.0

    def __repr__(self) -> str:
        state = f"{self.in_flight} in flight, {self.throttled_count} refused"
        return f"<Ledger {len(self._spent)} counted, {state}, {self.estimate!r}>"

    def without_requests(self) -> "Ledger":
        """Another one that knows as much, for a process that has sent nothing yet."""
        other = deepcopy(self)
        other.answered += other.in_flight
        other.in_flight = 0
        return other

    @property
    def _granted(self) -> int:
        return self.in_flight + self.answered

    def available(self, now: float) -> float:
        """How many more requests may go at this moment."""
        if now < self.closed_until:
            return 0
        self._expire(now)
        room, pacer = self._room(now), self.estimate.pacer
        return min(room, pacer.available(now, self._granted)) if pacer else room

    def _room(self, now: float) -> float:
        """How many more may go, were there neither a pause nor a rate."""
        estimate = self.estimate
        is_first = self.throttled_count == 0
        room = estimate.most_in_flight(self.accepted_since_429, is_first=is_first)
        if estimate.pacer is None:
            room = min(room, estimate.cap - len(self._spent))
        if self._server_remaining < inf:
            room = min(room, max(self._server_remaining, now >= self._server_remaining_until))
        if self._probing:
            room = min(room, 1)
        return room - self.in_flight

    @property
    def rate(self) -> float | None:
        """Requests a second that can be kept up, as `LimitEstimate.rate` has it."""
        at_once = self.estimate.at_once
        if at_once.is_limited and self.estimate.rate is None:
            return self.estimate.most_at_once / max(self._latency, _SHORTEST_LATENCY)
        return self.estimate.rate

    def left(self, now: float) -> float:
        """How many more requests this window has, though not all may be in flight at once."""
        pacer = self.estimate.pacer
        if pacer is not None and pacer.is_bucket:
            return max(0, self.available(now))
        if now < self.closed_until or pacer or not self.estimate.is_known:
            return 0
        self._expire(now)
        counted = len(self._spent) - self._expiring(now)
        room = min(self.estimate.cap - counted, self._server_remaining)
        return max(0, room - self.in_flight)

    def renewed_in(self, now: float) -> float:
        """Seconds until the first request of this window counts no more, infinite without one."""
        first = self._expiring(now)
        if first == len(self._spent):
            return inf
        return max(0.0, self._spent[first] + self.estimate.span - now)

    def _expiring(self, now: float) -> int:
        """How many requests of the window before count still, and soon no more."""
        return bisect_left(self._spent, now - _WHOLE * self.estimate.span)

    def opens_at(self, now: float) -> float:
        """When the next request may go; infinite where only an answer under way can tell."""
        if now < self.closed_until:
            return self.closed_until
        if now < self._server_remaining_until and self._server_remaining - self.in_flight < 1:
            return self._server_remaining_until
        estimate = self.estimate
        if estimate.pacer is not None:
            is_held = self._room(now) < 1  # until something under way is answered
            return inf if is_held else estimate.pacer.opens_at(now, self._granted)
        full = estimate.cap - len(self._spent) - self.in_flight < 1
        return self._spent[0] + estimate.span if full and self._spent else inf

    def wait_behind(self, ahead: int, now: float) -> float:
        """Seconds until a request could go behind `ahead` others; 0.0 where that is unknown."""
        opens_at, estimate = self.opens_at(now), self.estimate
        if opens_at == inf:
            return 0.0
        more = 0.0
        if estimate.pacer is not None:
            more = ahead / estimate.pacer.pace
        elif estimate.is_known:
            more = ahead // estimate.cap * estimate.span
        return max(opens_at, self.paused_until) - now + more

    def restore(self, before: LearntLimit, now: float) -> None:
        """Begin with what was learnt before, where nothing was learnt here yet."""
        if self.estimate.restore(before, now, self._granted):
            self._renewal.is_fixed = before.is_fixed

    def learnt(self, now: float) -> LearntLimit | None:
        """What was learnt, to be kept for a later run."""
        learnt = self.estimate.learnt(now)
        return learnt and evolve(learnt, is_fixed=self._renewal.is_fixed)

    def record_success(
        self, now: float, request: Granted, sends: int = 1, reading: RateLimitReading = EMPTY
    ) -> None:
        """A request went out, `sends` times, and was not refused."""
        self.in_flight -= 1
        self.answered += 1
        is_fresh = request.granted_at > self._paused_at
        if is_fresh:
            self._pauses.end()
        if not self._counts:
            return
        self._spent.append(now) if sends == 1 else self._spent.extend([now] * sends)
        if self.estimate.given:
            return
        self._test_beyond(now)
        if not self.estimate.confirmed:
            self._at_once[request.at_once] += 1
        self._latency += _LATENCY_SHARE * (now - request.granted_at - self._latency)
        if request.granted_at >= self._opening:
            self._count_in_window(request.granted_at)
        if is_fresh:
            self.accepted_since_429 += 1
            self.estimate.accept(now)
        elif self.estimate.pacer is not None:
            self.estimate.pacer.count_late_success()
        if reading is not EMPTY:
            self._read_remaining(reading, now, request)
        else:
            self._server_remaining -= 1

    def _test_beyond(self, now: float) -> None:
        """More may have passed than the estimate knew to."""
        if len(self._spent) >= self.estimate.cap:
            self.estimate.exceed(self._count_recent(now))
        if self.estimate.is_untested:
            self._expire(now)
            self.estimate.test(len(self._spent))

    def _count_recent(self, now: float) -> int:
        """Requests of the last half of a window: none of them is of the one before."""
        return len(self._spent) - bisect_left(self._spent, now - self.estimate.span / 2)

    def exceeds(self, limit: int, now: float) -> bool:
        """Whether more passed in this window than a limit that is named again allows."""
        is_again = limit == self.estimate.limit and self.estimate.resets
        return is_again and self._count_recent(now) > _BEYOND * limit

    def _count_in_window(self, granted_at: float) -> None:
        if not self._accepted_since_opening:
            if not self._opened_by_count:
                resets = self.estimate.resets
                self._renewal.reset(self._spent, self._opening if resets else -inf)
            if self._opened_at is not None:
                self.estimate.date(granted_at - self._opened_at, granted_at, self._granted)
            self._opened_at, self._probing = granted_at, False
            self._opened_in_time = granted_at - self._opening < _LATE * self.estimate.span
        self._accepted_since_opening += 1
        counted_since = granted_at - self.estimate.span + _LATENCIES * self._latency
        self._renewal.accept(counted_since, self._accepted_since_opening, self.estimate.cap)

    def record_429(
        self, now: float, request: Granted, reading: RateLimitReading = EMPTY
    ) -> float | None:
        """The API answered 429; returns the seconds of the pause that this begins, if it does.

        A request granted before the pause began extends it at most: it is not a second offence.
        """
        self.in_flight -= 1
        self.answered += 1
        self.throttled_count += 1
        if self.estimate.given:
            self._spent.append(now)  # some servers count it; if this one does not, little is lost
        fresh = request.granted_at > self._paused_at
        if fresh:
            self._renewal.refuse(self._spent, now - self.estimate.span, self.estimate.cap)
            limit, is_before = self.estimate.limit, self.estimate.is_untested
            self.estimate.learn_from_429(reading, self._observation(now, request))
            if is_before and self.estimate.limit != limit:
                self._renewal.is_fixed = None
        known = self._spent[0] + self.estimate.span if self._spent else now
        wait = self._pauses.after(
            reading, self.estimate, now, opened_at=self._opened_at, opens_at=known, fresh=fresh
        )
        if wait is not None:
            self.paused_until = max(self.paused_until, now + wait)
        if not fresh:
            return None
        self._paused_at = self._lowered_at = now
        self.accepted_since_429 = 0
        self._open_next(max(now, self.closed_until), by_count=False)
        self._probing, self._server_remaining = True, inf
        if self.estimate.pacer is not None:
            self.estimate.pacer.restart(self._granted, wait or 0.0)
        return wait

    @property
    def closed_until(self) -> float:
        """Until when nothing is sent; then one request tests whether the pause still applies."""
        return min(self.paused_until, self._paused_at + LONGEST_TRUST)

    def _expire(self, now: float) -> None:
        """Forget what is older than the window; where that opens the next one, take note."""
        spent, estimate = self._spent, self.estimate
        span = estimate.span if estimate.is_known else _LOOK_BACK
        if not spent or spent[0] + span > now:
            return
        if len(spent) + self.in_flight >= estimate.cap and now - self._opening >= _WHOLE * span:
            self._on_window_used_up(now)
        if self._renewal.is_fixed and estimate.is_known:
            spent.clear()
        while spent and spent[0] + span <= now:
            spent.popleft()

    def _on_window_used_up(self, now: float) -> None:
        """A window that was used up is over: the next one shows whether it was as estimated."""
        estimate = self.estimate
        enough = self._accepted_since_opening >= min(estimate.cap, _CONFIRMS)
        if enough and self._opened_by_count and self._opened_in_time:
            estimate.confirmed = True
        estimate.grow(now)
        self._opened_at = self._spent[0]
        self._open_next(now, by_count=True)
        self._probing = not estimate.confirmed

    def _open_next(self, now: float, *, by_count: bool) -> None:
        self._opening, self._accepted_since_opening, self._opened_by_count = now, 0, by_count

    def _read_remaining(self, reading: RateLimitReading, now: float, request: Granted) -> None:
        """Learn from the headers of a success."""
        news = request.granted_at > self._lowered_at
        self.estimate.learn_from_headers(reading, self._observation(now, request), news=news)
        if reading.remaining is None or reading.reset_after is None:
            return
        left, pacer = reading.remaining, self.estimate.pacer
        if pacer is not None and pacer.is_bucket:
            pacer.correct(left, self.in_flight)
            self._server_remaining = inf
            return
        if left < self._server_remaining:
            self._lowered_at = now
        elif not news:
            return
        self._server_remaining = left
        self._server_remaining_until = now + min(reading.reset_after, LONGEST_TRUST)
        if (self.estimate.confirmed or reading.is_rounded) and self._spent:
            our_reset = self._spent[0] + self.estimate.span
            self._server_remaining_until = min(self._server_remaining_until, our_reset)

    def _observation(self, now: float, request: Granted) -> Observation:
        self._expire(now)
        return Observation(
            now=now,
            sent_at=request.granted_at,
            opened_at=self._opened_at,
            accepted_since_opening=self._accepted_since_opening,
            opened_by_count=self._opened_by_count,
            accepted_since_429=self.accepted_since_429,
            seconds_since_429=now - self._paused_at,
            paused=max(0.0, min(now, self.closed_until) - self._paused_at),
            granted=self._granted,
            at_once=request.at_once,
            most_at_once=self._most_at_once(),
            spent=self._spent,
            server_remaining=self._server_remaining - self.in_flight,
        )

    def _most_at_once(self) -> int:
        """The most in flight with which requests were accepted, and not by luck of the order."""
        sure = min(_LUCK, self._at_once.total())
        return max((most for most, times in self._at_once.items() if times >= sure), default=0)
