"""Estimates a rate limit that is announced only by 429 responses. Pure: the time is an argument.

A 429 names the limit and the moment of the reset. The window is what lies between the first request
of the server's window, which the ledger knows, and that moment. Where a 429 names no limit, the
limit is what was accepted in the window. An estimate is `confirmed` once a window went by as
expected; before that little is risked, in flight and at each opening.

A 429 that comes although the estimate was kept has one of these causes, tried in this order
(`learn_from_429`):

1. another limit is named: it holds now, for the one believed was wrong or was changed;
2. the server's own count had shown that others use the key: nothing to learn;
3. we had asked for more than before: back to what went well, and wait longer before the next try;
4. it comes at the opening of our window: the server's is longer, or the clocks jitter;
5. it comes early: others use the key, or it is a token bucket. Allow ourselves less;
6. it comes after a full window: a little less, or measure the window again.

After a calm time `grow` asks for more, 1, 2, 4 ... requests a window, up to the limit and beyond:
others may have gone, or the limit been raised, and no header need say so. This is AIMD with an
exponential probe upwards, as in TCP. Units: seconds, requests, requests a window (`cap`).

A limit that was learnt before (`restore`) is counted by from the first request, and tested by
one request more than it allows: refused, it is learnt anew; accepted, it is doubted, and forgotten
at twice its count. So a wrong one costs a few 429s and no waiting, however long its window. One
early 429 is excused, since what the process before this one sent may count still.

A `share` below 1 is a part of the limit that is left to others: it holds wherever the limit is
known, and the limit itself is then never grown beyond.

Rejected: a token bucket as the model, because HostUp's limit has a reset and so a window; keeping
to such a limit by a rate loses the requests that a window allows at once.
"""

from collections.abc import Sequence
from math import ceil, floor, inf
from typing import Final

from attrs import frozen

from hostup_async._ratelimit.headers import RateLimitReading
from hostup_async._ratelimit.learnt import LearntLimit, LimitStyle
from hostup_async._ratelimit.limits import RateLimit

_FIRST_IN_FLIGHT: Final = 8
"""Requests in flight while nothing is confirmed. All of them may be refused at once when the limit
is met, so finding it costs about this many 429s; fewer would leave the line idle."""

_ACCEPTED_FOR_ONE_MORE: Final = 32
"""One more may be in flight for each this many accepted: refusals stay near 3 % of what passed."""

_SHORTEST_WINDOW: Final = 0.25
"""Seconds. A shorter window cannot be told from the latency of the answers."""

_TOO_SOON: Final = 2
"""A 429 with at most this many accepted since we reopened the window shows that the server had not
reopened it."""

_EARLY: Final = 0.9
"""A 429 with less than this part of the expected count comes early. Less strict than 1, as some of
those in flight count on one side and not yet on the other."""

_SHRINK: Final = 0.7
"""The part of our share that is kept after an early 429: CUBIC's factor, gentler than halving."""

_ENOUGH: Final = 5
"""Accepted requests since the last 429 from which a rate can be measured: one off is then 20 %."""

_SAFE: Final = 0.98
"""The part of a measured rate that is used, since its measurement is off by about a request."""

_MARGIN: Final = 0.02
"""Seconds added to a confirmed window each time that it opened late: a usual jitter of answers."""

_GROWTH_DELAY: Final = 30.0
"""Seconds without a 429 before we ask for more: each try may cost a window's tail of 429s."""

_GROWTH_DELAY_WINDOWS: Final = 4
"""Also this number of windows, if that is longer: with long windows 30 s prove nothing."""

_LONGEST_GROWTH_DELAY: Final = 3600.0
"""Seconds. The delay doubles with each try that failed, up to this."""

_FRESH: Final = 86_400.0
"""Seconds. A limit that was learnt within a day holds from the start where others are to be left
their share: testing it would take theirs. An older one may have changed."""

_SHORT: Final = 60.0
"""Seconds. Only where its window is no longer than this, since a wrong one is waited for."""


@frozen(kw_only=True)
class Observation:
    """What the ledger knows when an answer comes.

    Attributes:
        now: The moment of the answer.
        sent_at: When its request was sent.
        opened_at: When the first accepted request of the window was sent, None before any.
        accepted_since_opening: Requests accepted since the window opened.
        opened_by_count: Whether it opened by our own count, and not after a 429.
        accepted_since_429: Requests sent and accepted since the 429 before.
        seconds_since_429: Seconds since the 429 before, infinite for the first.
        spent: When the requests were answered that count now, or in the last minute where no
            window is known.
        server_remaining: Requests left by the server's own count, infinite where it tells none.
    """

    now: float
    sent_at: float
    opened_at: float | None
    accepted_since_opening: int
    opened_by_count: bool
    accepted_since_429: int
    seconds_since_429: float
    spent: Sequence[float]
    server_remaining: float


class LimitEstimate:
    """A limit, as far as it is known.

    Args:
        given: The limit, where the user said it: then there is nothing to learn.
        share: The part of the limit that is ours to use, above 0 and up to 1.

    Attributes:
        given: Whether the user said it.
        limit: Requests a window as the API says, infinite where unknown.
        window: Its length in seconds, infinite where unknown.
        cap: Requests a window that we allow ourselves.
        confirmed: Whether a window went by as estimated; until then little is risked.
    """

    cap: float
    confirmed: bool

    def __init__(self, given: RateLimit | None = None, *, share: float = 1.0) -> None:
        self.given: Final = given is not None
        self.share: Final = share
        self.limit: float = given.requests if given else inf
        self.window: float = given.window if given else inf
        self.cap = self._ours(self.limit)
        self.confirmed = self.given
        # Of a limit of before: whether it is still to be tested, and whether a 429 was excused.
        self._is_untested = self._is_excused = False
        self._shown_at = -inf  # when an answer last told of it
        self._margin = 0.0
        self._growth_delay = _GROWTH_DELAY
        self._grows_at = inf
        self._step: float = 1
        self._grown_from = 0.0
        # The rate measured at the last 429: window and time in seconds, accepted requests.
        self._measured: tuple[float, float, int] | None = None

    def __repr__(self) -> str:
        if not self.is_known:
            return f"<LimitEstimate {'unlimited' if self.given else 'unknown'}>"
        state = "given" if self.given else "confirmed" if self.confirmed else "unconfirmed"
        return f"<LimitEstimate {self.cap:g} of {self.limit:g} in {self.span:g} s, {state}>"

    @property
    def is_known(self) -> bool:
        """Whether there is a limit to count by."""
        return self.limit < inf

    @property
    def span(self) -> float:
        """Seconds for which a request counts: the window and a margin for jitter."""
        return self.window + self._margin

    @property
    def rate(self) -> float | None:
        """Requests a second that can be kept up, infinite without a limit, None where unknown."""
        if self.is_known:
            return self.cap / self.span
        return inf if self.given else None

    def most_in_flight(self, accepted: int) -> float:
        """How many may be in flight: what finding the limit may cost in refusals."""
        return inf if self.confirmed else _FIRST_IN_FLIGHT + accepted // _ACCEPTED_FOR_ONE_MORE

    def allowed(self, now: float) -> LearntLimit | None:
        """What the API allows, as far as is known; None where that is nothing, or no limit."""
        age = max(0.0, now - self._shown_at)
        if not self.is_known:
            return None
        if self._measured is not None:
            return LearntLimit(LimitStyle.RATE, self.cap / self.window, age=age)
        return LearntLimit(LimitStyle.WINDOW, self.limit, self.window, age)

    def learnt(self, now: float) -> LearntLimit | None:
        """What was learnt so far, None where that is nothing or the user said the limit."""
        return None if self.given else self.allowed(now)

    def restore(self, before: LearntLimit, now: float) -> None:
        """Begin with what was learnt before, until it is tested; not where more is known here."""
        count = before.as_count()
        if self.given or self.is_known or count is None:
            return
        self._adopt(*count)
        self._shown_at = now - before.age
        is_trusted = before.age <= _FRESH and self.window <= _SHORT
        if self.share == 1 or not is_trusted:
            self._is_untested, self._is_excused = True, False
            self.cap = self.limit + 1

    @property
    def is_untested(self) -> bool:
        """Whether it was learnt before, and no answer has shown yet whether it still holds."""
        return self._is_untested

    def test(self, accepted: int) -> None:
        """Doubt a limit of before, and then forget it, where more went well in its window.

        Args:
            accepted: Requests accepted within the window; a server whose windows follow a clock
                accepts up to twice the limit.
        """
        if accepted > 2 * self.limit:
            self._adopt(inf, inf)
        elif accepted > self.limit:
            self.cap = 2 * self.limit + 1

    def grow(self, now: float) -> None:
        """Ask for more, if the growth delay is over: a window was used up without a 429."""
        if not self.confirmed or now < self._grows_at:
            return
        most, more = self._ours(self.limit), self.cap + self._step
        if self.cap < most <= more or (self.share < 1 and more > most):
            self.cap = most
            self._delay_growth(now)
        else:
            self._grown_from = self._grown_from or self.cap
            self.cap, self._step = more, 2 * self._step

    def learn_from_headers(
        self, reading: RateLimitReading, observed: Observation, *, news: bool
    ) -> None:
        """Learn from a success that names the limit.

        Args:
            reading: What its headers say.
            observed: What the ledger knows.
            news: Whether it was sent after the estimate was last lowered; only then is it raised.
        """
        limit = reading.limit
        if self.given or not limit or reading.reset_after is None:
            return
        self._shown_at = observed.now
        if not self.is_known or (self._is_untested and limit != self.limit):
            self._adopt(limit, _measure(reading, observed, limit))
        elif limit < self.limit or (news and limit > self.limit):
            self._adopt(limit, self.window)

    def learn_from_429(self, reading: RateLimitReading, observed: Observation) -> None:
        """Learn from a 429 that came although the estimate was kept: see the top of the module."""
        limit = reading.limit or (self.limit if self.is_known else len(observed.spent))
        if self.given or not limit or reading.wait is None:
            return
        self._measured = None
        if self._is_excusable(reading, observed):
            self._is_excused = True
            return
        window = _measure(reading, observed, limit)
        self._shown_at = observed.now
        if limit != self.limit or self._is_untested:
            self._adopt(limit, window)
        elif observed.server_remaining < _EARLY * limit:
            return  # expected: others use the key, and were quicker
        elif self._grown_from:
            self.cap = self._grown_from
            self._growth_delay = min(2 * self._growth_delay, _LONGEST_GROWTH_DELAY)
        elif observed.opened_by_count and observed.accepted_since_opening <= _TOO_SOON:
            self._lengthen(
                window, reading.wait + observed.now - (observed.opened_at or observed.now)
            )
        elif len(observed.spent) < _EARLY * self.cap:
            self._came_early(window, observed)
        elif self.confirmed:
            self._shrink(_SAFE, observed)
        else:
            self.window = window
        self._delay_growth(observed.now)

    def _is_excusable(self, reading: RateLimitReading, observed: Observation) -> bool:
        """Whether a 429 does not speak against a limit of before, as it counts earlier requests."""
        is_early = len(observed.spent) < _EARLY * self.limit
        is_same = reading.limit in {None, self.limit}
        return self._is_untested and not self._is_excused and is_early and is_same

    def _ours(self, limit: float) -> float:
        """What we allow ourselves of a limit."""
        return limit if self.share == 1 or limit == inf else max(1, floor(self.share * limit))

    def _delay_growth(self, now: float) -> None:
        """Ask for no more for a while."""
        self._step, self._grown_from = 1, 0.0
        self._grows_at = now + max(self._growth_delay, _GROWTH_DELAY_WINDOWS * self.window)

    def count_late_success(self) -> None:
        """One more was accepted that was sent before the 429: the measured rate was higher."""
        if self._measured is not None:
            window, seconds_since_429, accepted = self._measured
            self._use_measured_rate(window, seconds_since_429, accepted + 1)

    def _adopt(self, limit: float, window: float) -> None:
        self.limit, self.cap, self.window = limit, self._ours(limit), window
        self._is_untested = False
        self.confirmed, self._margin, self._growth_delay = False, 0.0, _GROWTH_DELAY

    def _lengthen(self, window: float, at_most: float) -> None:
        """The window opened late: it is longer, or the clocks jitter."""
        if self.confirmed and window < self.window + 1:
            self._margin += _MARGIN
        else:
            next_whole = floor(self.window) + 1.0 if self.window >= 1 else at_most
            self.window = max(window if window > self.window else next_whole, self.window)
            self.confirmed = False

    def _came_early(self, window: float, observed: Observation) -> None:
        """Others use the key, or it is a bucket: then what was accepted tells its rate."""
        if self.confirmed or observed.accepted_since_429 < _ENOUGH:
            self._shrink(_SHRINK, observed)
        elif observed.seconds_since_429 < inf:
            self._use_measured_rate(window, observed.seconds_since_429, observed.accepted_since_429)

    def _shrink(self, factor: float, observed: Observation) -> None:
        """Allow ourselves less, but no less than the rate that went well since the 429 before."""
        went_well = _SAFE * self.window * observed.accepted_since_429 / observed.seconds_since_429
        self.cap = max(1, floor(max(factor * self.cap, min(went_well, self.cap - 1))))

    def _use_measured_rate(self, window: float, seconds_since_429: float, accepted: int) -> None:
        self._measured = window, seconds_since_429, accepted
        window = max(window, 1.0)
        allowed = self.share * min(_SAFE * window * accepted / seconds_since_429, self.limit)
        self.cap = ceil(allowed)
        self.window = window * self.cap / allowed


def _measure(reading: RateLimitReading, observed: Observation, limit: float) -> float:
    """The length of the window: from its first request to its announced end.

    Announced moments are rounded up, mostly to a second, and most windows are whole seconds long:
    so the whole seconds of what was measured are taken.
    """
    if reading.window:
        return reading.window
    length = observed.sent_at + (reading.wait or 0.0) - _opened_at(observed, limit)
    return floor(length) if length >= 1 else max(length, _SHORTEST_WINDOW)


def _opened_at(observed: Observation, limit: float) -> float:
    """When the window opened: it holds no more requests than its limit."""
    opened_at = observed.sent_at if observed.opened_at is None else observed.opened_at
    return (
        max(opened_at, observed.spent[-int(limit)]) if len(observed.spent) >= limit else opened_at
    )
