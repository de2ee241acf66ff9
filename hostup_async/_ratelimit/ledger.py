"""A sliding-window counter for one rate limit: what was used of it, and when more may be.

A request counts from the moment its answer came, for as long as the window is, and while it is in
flight. The server counted it at some moment in between, so fewer count there than here: the limit
is kept in every window, wherever the server's begins, and for a token bucket of that rate as well.

Three things decide whether one more may go:

- the window: `estimate.cap` requests in `estimate.span` seconds;
- the pause after a 429, until the moment that it names. It is never shortened, and a 429 of a
  request sent before the pause began extends it at most. The first request after it goes alone;
- the count of the server, where successes tell what remains: it lowers ours at once, and raises it
  only if its request was sent after the last lowering, because answers overtake each other.

What the limit is, `LimitEstimate` decides; the ledger tells it how the window went. Units: moments
are seconds of the budget's clock, waits are seconds. Pure: the time is an argument.

Rejected: counting from the send, as most clients do; a slow request then falls into a later window
of the server's than of ours, which is refused.
"""

from collections import deque
from copy import deepcopy
from math import ceil, inf
from typing import Final

from hostup_async._ratelimit.estimate import LimitEstimate, Observation
from hostup_async._ratelimit.headers import EMPTY, RateLimitReading
from hostup_async._ratelimit.limits import RateLimit

FIRST_PAUSE: Final = 30.0
"""Seconds to pause after a 429 that names no moment, as public clients of the API do."""

LONGEST_PAUSE: Final = 300.0
"""Such pauses double up to this many seconds: a window longer than five minutes is rare."""

SHORTEST_PAUSE: Final = 0.1
"""Seconds to pause at least: "try again in 0 s" at every try must not become a tight loop."""

LONGEST_TRUST: Final = 3600.0
"""After pausing this many seconds, one request tests whether the pause still applies. A server that
names days has more likely a wrong clock than such a window."""

_LOOK_BACK: Final = 60.0
"""Seconds for which requests are remembered while no window is known: the longest usual window, so
that a 429 finds its requests, and an unlimited API costs little memory."""

_WHOLE: Final = 0.9
"""The part of a window that must have gone by before requests that expire can be the opening of the
next one. The rest allows for answers that come early or late."""

_LATE: Final = 0.1
"""The part of a window within which its first request must go to show when the window began."""

_CONFIRMS: Final = 8
"""Requests accepted in a window, or all of a smaller one, that show that it had opened. Fewer could
be what was left of the one before."""

_STEPS: Final = 8
"""At how many moments `surplus` looks ahead. Permits used in a burst return in a burst, so a few
moments find the tightest one nearly."""


class Ledger:
    """Counts along with one limit of the API.

    Args:
        given: The limit, where the user said it.
        share: The part of the limit that is ours to use.
        paused_until: Until when a 429 forbids to send, where one was met already.

    Attributes:
        estimate: What is known of the limit.
        in_flight: Requests granted and not yet over.
        throttled_count: How often the API answered 429.
        accepted_since_429: Requests granted after the newest 429 and accepted.
        paused_until: Until when nothing is sent, because the API answered 429.
    """

    in_flight: int
    throttled_count: int
    accepted_since_429: int
    paused_until: float

    def __init__(
        self, given: RateLimit | None = None, *, share: float = 1.0, paused_until: float = -inf
    ) -> None:
        self.estimate: Final = LimitEstimate(given, share=share)
        self.in_flight = 0
        self.throttled_count = 0
        self.accepted_since_429 = 0
        self.paused_until = paused_until
        self._counts: Final = given is None or given.requests < inf
        self._spent: deque[float] = deque()
        self._paused_at = -inf
        self._lowered_at = -inf
        self._next_pause = FIRST_PAUSE
        # The window: when it could open, when its first request was granted, what was accepted.
        self._opening = -inf
        self._opened_at: float | None = None
        self._accepted_since_opening = 0
        self._opened_by_count = False
        self._opened_in_time = False
        self._probing = False
        # What is left of it by the server's count, less what was accepted since; until when.
        self._server_remaining = inf
        self._server_remaining_until = -inf

    def __repr__(self) -> str:
        return (
            f"<Ledger {len(self._spent)} counted, {self.in_flight} in flight, "
            f"{self.throttled_count} refused, {self.estimate!r}>"
        )

    def without_requests(self) -> "Ledger":
        """Another one that knows as much, for a process that has sent nothing yet."""
        other = deepcopy(self)
        other.in_flight = 0
        return other

    def available(self, now: float) -> float:
        """How many more requests may go at this moment."""
        if now < self.closed_until:
            return 0
        self._expire(now)
        estimate = self.estimate
        most_in_flight = estimate.most_in_flight(self.accepted_since_429)
        room = min(estimate.cap - len(self._spent), most_in_flight)
        if self._server_remaining < inf:
            room = min(room, max(self._server_remaining, now >= self._server_remaining_until))
        if self._probing:
            room = min(room, 1)
        return room - self.in_flight

    def surplus(self, now: float, wanted: float = inf) -> float:
        """How many more may go now, on top of `wanted` ones that go at an even rate from now on.

        Negative where some of those will have to wait at some time as the window moves on.
        """
        available, spent, span = self.available(now), self._spent, self.estimate.span
        if available < 1 or not spent or not self.estimate.is_known:
            return max(0, available)
        rate = self.estimate.rate or 0
        steps = range(0, len(spent), len(spent) // _STEPS + 1)
        return min(available + n - min((spent[n] + span - now) * rate, wanted) for n in steps)

    def opens_at(self, now: float) -> float:
        """When the next request may go; infinite where only an answer under way can tell."""
        if now < self.closed_until:
            return self.closed_until
        if now < self._server_remaining_until and self._server_remaining - self.in_flight < 1:
            return self._server_remaining_until
        full = self.estimate.cap - len(self._spent) - self.in_flight < 1
        return self._spent[0] + self.estimate.span if full and self._spent else inf

    def wait_behind(self, ahead: int, now: float) -> float:
        """Seconds until a request could go behind `ahead` others; 0.0 where that is unknown."""
        opens_at, estimate = self.opens_at(now), self.estimate
        if opens_at == inf:
            return 0.0
        more = ahead // estimate.cap * estimate.span if estimate.is_known else 0.0
        return max(opens_at, self.paused_until) - now + more

    def seconds_for(self, requests: float, now: float) -> float | None:
        """Seconds until this many more requests have gone; None where the limit is unknown.

        The pause and all windows that they need are counted, and no latency.
        """
        estimate, paused = self.estimate, max(0.0, self.closed_until - now)
        if not estimate.is_known:
            return paused if estimate.given else None
        self._expire(now)
        room = estimate.cap - len(self._spent) - self.in_flight
        if paused:
            first, room = paused, 0.0
        elif requests <= room:
            return 0.0
        else:
            first = (self._spent[0] - now if self._spent else 0.0) + estimate.span
        return first + (ceil((requests - max(0.0, room)) / estimate.cap) - 1) * estimate.span

    def record_success(
        self, now: float, granted_at: float, sends: int = 1, reading: RateLimitReading = EMPTY
    ) -> None:
        """A request went out, `sends` times, and was not refused."""
        self.in_flight -= 1
        if not self._counts:
            return
        self._spent.append(now) if sends == 1 else self._spent.extend([now] * sends)
        if self.estimate.given:
            return
        if self.estimate.is_untested:
            self._expire(now)
            self.estimate.test(len(self._spent))
        if granted_at > self._paused_at:
            self.accepted_since_429 += 1
            self._next_pause = FIRST_PAUSE
        else:
            self.estimate.count_late_success()
        if granted_at >= self._opening:
            if not self._accepted_since_opening:
                self._opened_at, self._probing = granted_at, False
                self._opened_in_time = granted_at - self._opening < _LATE * self.estimate.span
            self._accepted_since_opening += 1
        if reading is not EMPTY:
            self._read_remaining(reading, now, granted_at)
        else:
            self._server_remaining -= 1

    def record_429(
        self, now: float, granted_at: float, reading: RateLimitReading = EMPTY
    ) -> float | None:
        """The API answered 429; returns the seconds of the pause that this begins, if it does.

        A request granted before the pause began extends it at most: it is not a second offence.
        """
        self.in_flight -= 1
        self.throttled_count += 1
        if self.estimate.given:
            self._spent.append(now)  # some servers count it; if this one does not, little is lost
        fresh = granted_at > self._paused_at
        wait = self._pause(reading, fresh=fresh)
        if wait is not None:
            self.paused_until = max(self.paused_until, now + wait)
        if not fresh:
            return None
        self.estimate.learn_from_429(reading, self._observation(now, granted_at))
        self._paused_at = self._lowered_at = now
        self.accepted_since_429 = 0
        self._open_next(max(now, self.closed_until), by_count=False)
        self._probing, self._server_remaining = True, inf
        return wait

    @property
    def closed_until(self) -> float:
        """Until when nothing is sent; then one request tests whether the pause still applies."""
        return min(self.paused_until, self._paused_at + LONGEST_TRUST)

    def _pause(self, reading: RateLimitReading, *, fresh: bool) -> float | None:
        asked = reading.reset_after if reading.retry_after is None else reading.retry_after
        if asked is not None:
            return max(asked, SHORTEST_PAUSE)
        if not fresh:
            return None
        wait, self._next_pause = self._next_pause, min(2 * self._next_pause, LONGEST_PAUSE)
        return wait

    def _expire(self, now: float) -> None:
        """Forget what is older than the window; where that opens the next one, take note."""
        spent, estimate = self._spent, self.estimate
        span = estimate.span if estimate.is_known else _LOOK_BACK
        if not spent or spent[0] + span > now:
            return
        if len(spent) + self.in_flight >= estimate.cap and now - self._opening >= _WHOLE * span:
            self._on_window_used_up(now)
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

    def _read_remaining(self, reading: RateLimitReading, now: float, granted_at: float) -> None:
        """Learn from the headers of a success."""
        news = granted_at > self._lowered_at
        self.estimate.learn_from_headers(reading, self._observation(now, granted_at), news=news)
        if reading.remaining is None or reading.reset_after is None:
            return
        left = reading.remaining
        if left < self._server_remaining:
            self._lowered_at = now
        elif not news:
            return
        self._server_remaining = left
        self._server_remaining_until = now + min(reading.reset_after, LONGEST_TRUST)
        if self.estimate.confirmed and self._spent:
            our_reset = self._spent[0] + self.estimate.span
            self._server_remaining_until = min(self._server_remaining_until, our_reset)

    def _observation(self, now: float, granted_at: float) -> Observation:
        self._expire(now)
        return Observation(
            now=now,
            sent_at=granted_at,
            opened_at=self._opened_at,
            accepted_since_opening=self._accepted_since_opening,
            opened_by_count=self._opened_by_count,
            accepted_since_429=self.accepted_since_429,
            seconds_since_429=now - self._paused_at,
            spent=self._spent,
            server_remaining=self._server_remaining - self.in_flight,
        )
