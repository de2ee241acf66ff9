"""Estimates a rate limit that is announced only by 429 responses. Pure: the time is an argument.

Limits come in three dimensions, and each 429 is weighed against them by what was accepted:

- **a count and a window** (`cap` in `window`): fixed, by the clock or sliding. A 429 names the
  count and the moment of the reset; the window is what lies between the first request of the
  server's window, which the ledger knows, and that moment. What a 429 leaves out is inferred: the
  count is what was accepted in the window, and its length shows when a request passes again
  (`date`), which the ledger finds out with one request at a time;
- **a rate** (`pacer`): buckets, gaps between requests, sliding counters. It shows by a 429 that
  comes early, with far less accepted than the count, though a request had just passed;
- **a number at once** (`at_once`): it shows by a 429 of a request that had more in flight beside it
  than any that was accepted. One refusal with no more in flight refutes it.

Which of these holds is not asked of the limit's name but of the data; the one that explains all
refusals with the fewest parameters is tried first, since a wrong guess is refuted by the next 429.

An estimate is `confirmed` once a window went by as expected; before that little is risked, in
flight and at each opening. A 429 that comes although the estimate was kept has one of these causes,
tried in this order (`learn_from_429`):

1. more were in flight than ever passed: a number at once;
2. requests keep to a rate: the rate is wrong, see `pacer`;
3. another limit is named: it holds now, for the one believed was wrong or was changed;
4. the server's own count had shown that others use the key: nothing to learn;
5. we had asked for more than before: back to what went well, and wait longer before the next try;
6. nothing passed since the 429 before: the window is longer than that one named, or than we tried;
7. it comes at the opening of our window: the server's is longer, or the clocks jitter;
8. it comes early: it is a rate, or others use the key. Allow ourselves less;
9. it comes after a full window: a little less, or measure the window again.

After a calm time `grow` asks for more, 1, 2, 4 ... requests a window, up to the limit and beyond:
others may have gone, or the limit been raised, and no header need say so. Back to a limit that is
named it is quick, past it slow. This is AIMD with an exponential probe upwards, as in TCP. Units:
seconds, requests, requests a window (`cap`).

Rejected: a bucket as the only model, because HostUp's limit has a reset and so a window; keeping
to such a limit by a rate loses the requests that a window allows at once. And a posterior over a
grid of all three dimensions: with each refusal costing time, the order of guesses matters more
than their weights, and the first refusal after a wrong guess decides between the rest.
"""

from math import floor, inf
from typing import Final

from hostup_async._ratelimit.at_once import AtOnce
from hostup_async._ratelimit.headers import RateLimitReading
from hostup_async._ratelimit.learnt import LearntLimit, LimitStyle
from hostup_async._ratelimit.limits import RateLimit
from hostup_async._ratelimit.pacer import Pacer
from hostup_async._ratelimit.window import (
    ROUNDING,
    SHORTEST_WINDOW,
    Observation,
    is_moment,
    measure_window,
    roundest,
)

_FIRST_IN_FLIGHT: Final = 4
"""Requests in flight while nothing is confirmed. All of them may be refused at once when the limit
is met, so finding it costs about this many 429s; fewer would leave the line idle."""

_ACCEPTED_FOR_ONE_MORE: Final = 32
"""One more may be in flight for each this many accepted: refusals stay near 3 % of what passed."""

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

_LONG_PAUSE: Final = 2.0
"""Seconds. A pause until the next token is mostly shorter, one until a reset longer."""

_SEARCHED: Final = 100.0
"""How many times faster a rate may be than one request in each pause that was tried."""

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

_PROBED_LATE: Final = 0.2
"""Seconds by which a probe may have come later than a window of whole seconds ended."""


class LimitEstimate:
    """A limit, as far as it is known.

    Args:
        given: The limit, where the user said it: then there is nothing to learn.

    Attributes:
        given: Whether the user said it.
        limit: Requests a window as the API says or as were counted, infinite where unknown.
        window: Its length in seconds, infinite where unknown.
        cap: Requests a window that we allow ourselves.
        confirmed: Whether a window went by as estimated; until then little is risked.
        is_dated: Whether the length of the window was named or found.
        pacer: The rate that is kept, where the limit is one; the window then says nothing.
        at_once: How many may be in flight.
    """

    cap: float
    confirmed: bool
    is_dated: bool
    pacer: Pacer | None
    at_once: AtOnce

    def __init__(self, given: RateLimit | None = None) -> None:
        self.given: Final = given is not None
        self.limit: float = given.requests if given else inf
        self.window: float = given.window if given else inf
        self.cap = self.limit
        self.confirmed = self.is_dated = self.given
        self.pacer = None
        self.at_once = AtOnce()
        self._is_named = False
        self._reset_at = -inf  # as the newest 429 named it
        self._learnt_at = -inf
        self._margin = 0.0
        self._growth_delay = _GROWTH_DELAY
        self._grows_at = inf
        self._step: float = 1
        self._grown_from = 0.0
        # The rate measured at the last 429: the time in seconds, and accepted requests.
        self._measured: tuple[float, int] | None = None

    def __repr__(self) -> str:
        if self.pacer:
            return f"<LimitEstimate {self.pacer!r}>"
        if not self.is_known:
            return f"<LimitEstimate {'unlimited' if self.given else 'unknown'}>"
        state = "given" if self.given else "confirmed" if self.confirmed else "unconfirmed"
        return f"<LimitEstimate {self.cap:g} of {self.limit:g} in {self.span:g} s, {state}>"

    @property
    def is_known(self) -> bool:
        """Whether there is a limit to count by."""
        return self.limit < inf

    @property
    def resets(self) -> bool:
        """Whether the API names a count, which comes back at a moment."""
        return self._is_named and self.pacer is None and self.window > _LONG_PAUSE

    def learnt(self, now: float) -> LearntLimit | None:
        """What was learnt so far, None where that is nothing or the user said the limit."""
        age = max(0.0, now - self._learnt_at)
        if self.given:
            return None
        if self.pacer:
            return LearntLimit(LimitStyle.RATE, self.pacer.rate, 1.0, age, self._is_named)
        if self.is_known and self.is_dated:
            return LearntLimit(LimitStyle.WINDOW, self.limit, self.window, age, self._is_named)
        if self.at_once.is_limited:
            return LearntLimit(LimitStyle.AT_ONCE, self.at_once.most, 1.0, age)
        return None

    def restore(self, learnt: LearntLimit, now: float, granted: int) -> None:
        """Begin with what was learnt before, where nothing was learnt here yet.

        It is not confirmed: little is risked until a window has gone by as it says, and a 429 that
        contradicts it replaces it.
        """
        if self.given or self.is_known or self.pacer or self.at_once.is_limited:
            return
        self._learnt_at = now - learnt.age
        match learnt.style:
            case LimitStyle.WINDOW:
                self._adopt(learnt.requests, learnt.window)
                self._is_named, self.is_dated = learnt.is_named, True
            case LimitStyle.RATE:
                self.pacer = Pacer(learnt.requests, learnt.requests, now=now, granted=granted)
                self.limit = self.cap = max(1.0, learnt.requests)
                self.window = self.limit / learnt.requests
            case LimitStyle.AT_ONCE:
                self.at_once.most = learnt.requests

    @property
    def span(self) -> float:
        """Seconds for which a request counts: the window and a margin for jitter."""
        return self.window + self._margin

    @property
    def rate(self) -> float | None:
        """Requests a second that can be kept up, infinite without a limit, None where unknown."""
        if self.pacer:
            return self.pacer.rate
        if self.is_known:
            return self.cap / self.span
        return inf if self.given else None

    def most_in_flight(self, accepted: int, *, is_first: bool) -> float:
        """How many may be in flight: what finding the limit may cost in refusals.

        Args:
            accepted: Requests accepted since the 429 before.
            is_first: Whether there was none yet.
        """
        if self.confirmed or self.pacer:
            return self.at_once.most
        most = _FIRST_IN_FLIGHT + accepted // _ACCEPTED_FOR_ONE_MORE
        if not is_first:
            most = min(most, 1 + accepted)  # a bucket lets one pass, and refuses all others
        return min(most, self.at_once.most)

    def grow(self, now: float) -> None:
        """Ask for more, if the growth delay is over: a window was used up without a 429."""
        if not self.confirmed or now < self._grows_at:
            return
        more = self.cap + self._step
        if self.cap < self.limit <= more:
            self.cap = self.limit
            self._delay_growth(now)
        else:
            self._grown_from = self._grown_from or self.cap
            self.cap, self._step = more, 2 * self._step

    def accept(self, now: float) -> None:
        """A request was accepted that was sent after the last 429."""
        if self.pacer:
            self.pacer.accept(now)
        else:
            self.at_once.accept()

    def date(self, seconds: float, now: float, granted: int) -> None:
        """The first request passed again, this long after the window had opened."""
        if self.is_known and not self.is_dated:
            late = seconds % 1 if seconds >= 1 and seconds % 1 < _PROBED_LATE else 0.0
            self.window, self.is_dated = max(seconds - late, SHORTEST_WINDOW), True
            if self.limit < _ENOUGH and not self._is_named:  # a gap, more likely than a window
                low = self.limit / self.window
                self.pacer = Pacer(low, _SEARCHED * low, now=now, granted=granted)

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
        self._learnt_at = observed.now
        if not self._is_named:
            self._adopt(limit, measure_window(reading, observed, limit))
            self._is_named = True
        elif limit < self.limit or (news and limit > self.limit):
            self._adopt(limit, self.window)
        elif not self.confirmed and observed.opened_at is not None:
            # Moments are rounded up: the least of all answers of a window is the nearest.
            self.window = min(self.window, measure_window(reading, observed, limit))

    def learn_from_429(self, reading: RateLimitReading, observed: Observation) -> None:
        """Learn from a 429 that came although the estimate was kept: see the top of the module."""
        if self.given:
            return
        self._measured, self._learnt_at = None, observed.now
        is_open = not (reading.limit or self.is_known or self.pacer)
        if is_open and self.at_once.explains(observed.at_once, observed.most_at_once):
            return
        if self.pacer is not None:
            self._leave_pace(self.pacer, reading, observed)
            return
        limit = reading.limit or (self.limit if self.is_known else len(observed.spent))
        if limit and limit != self.limit:
            self._adopt(limit, measure_window(reading, observed, limit))
            self._is_named = bool(reading.limit)
            self.is_dated = is_moment(reading) and (self._is_named or limit >= _ENOUGH)
        elif not limit or observed.server_remaining < _EARLY * limit:
            return  # nothing was accepted yet, or others use the key, and were quicker
        else:
            self._correct(reading, observed, measure_window(reading, observed, limit))
        self._delay_growth(observed.now)
        self._reset_at = observed.now + (reading.reset_after or -inf)

    def _correct(self, reading: RateLimitReading, observed: Observation, window: float) -> None:
        """A 429 at the limit that was believed: the fifth cause and those after it."""
        if self._grown_from:
            self.cap = self._grown_from
            self._growth_delay = min(2 * self._growth_delay, _LONGEST_GROWTH_DELAY)
        elif not observed.accepted_since_429 and not self.confirmed:
            self.window = self._follow_reset(reading, observed) or max(self.window, window)
        elif observed.opened_by_count and observed.accepted_since_opening <= _TOO_SOON:
            at_most = (reading.wait or 0.0) + observed.now - (observed.opened_at or observed.now)
            self._lengthen(window, at_most)
        elif len(observed.spent) < _EARLY * self.cap:
            self._came_early(observed)
        elif self.confirmed:
            self._shrink(_SAFE, observed)
        elif is_moment(reading):
            self.window = window

    def _follow_reset(self, reading: RateLimitReading, observed: Observation) -> float | None:
        """The length of the window, where it begins at the reset that was named last."""
        after_reset = observed.now + (reading.reset_after or 0.0) - self._reset_at
        is_next = self._reset_at - ROUNDING < observed.sent_at and after_reset < inf
        return roundest(after_reset) if is_next and after_reset > 1 else None

    def count_late_success(self) -> None:
        """One more was accepted that was sent before the 429: the measured rate was higher."""
        if self._measured is not None and self.pacer is not None:
            seconds, accepted = self._measured
            self._measured = seconds, accepted + 1
            self.pacer.measure(_SAFE * (accepted + 1) / seconds)

    def _delay_growth(self, now: float) -> None:
        """Ask for no more for a while."""
        self._step, self._grown_from = 1, 0.0
        self._grows_at = now + max(self._growth_delay, _GROWTH_DELAY_WINDOWS * self.window)

    def _adopt(self, limit: float, window: float) -> None:
        self.limit = self.cap = limit
        self.window = window
        self.pacer = None
        self.confirmed, self._margin, self._growth_delay = False, 0.0, _GROWTH_DELAY

    def _leave_pace(self, pacer: Pacer, reading: RateLimitReading, observed: Observation) -> None:
        """A 429 at an even rate: the rate is lowered, unless another limit is named."""
        if reading.limit and self._is_named and reading.limit != self.limit:
            self._adopt(reading.limit, measure_window(reading, observed, reading.limit))
            return
        pacer.refuse(
            observed.now,
            accepted=observed.accepted_since_429,
            seconds=observed.seconds_since_429,
            paused=observed.paused,
        )

    def _lengthen(self, window: float, at_most: float) -> None:
        """The window opened late: it is longer, or the clocks jitter."""
        if self.confirmed and window < self.window + 1:
            self._margin += _MARGIN
        else:
            next_whole = floor(self.window) + 1.0 if self.window >= 1 else at_most
            self.window = max(window if window > self.window else next_whole, self.window)
            self.confirmed = False

    def _came_early(self, observed: Observation) -> None:
        """Others use the key, or it is a rate: then what was accepted tells it."""
        if self.confirmed:
            self._shrink(_SHRINK, observed)
            return
        seconds, accepted = observed.seconds_since_429, observed.accepted_since_429
        low = _SAFE * max(accepted, 1) / seconds
        high = max(low, _SAFE * self.limit / self.window)
        low = max(low, high / _SEARCHED)
        pacer = Pacer(low, high, now=observed.now, granted=observed.granted)
        if self.window > _LONG_PAUSE:  # the pause was no measurement: it may have been closed
            pacer.try_first(high)
        elif accepted >= _ENOUGH:
            self._measured = seconds, accepted
            pacer.measure(low)
        self.pacer = pacer

    def _shrink(self, factor: float, observed: Observation) -> None:
        """Allow ourselves less, but no less than the rate that went well since the 429 before."""
        seconds = max(observed.seconds_since_429 - observed.paused, self.window)
        went_well = _SAFE * self.window * observed.accepted_since_429 / seconds
        self.cap = max(1, floor(max(factor * self.cap, min(went_well, self.cap - 1))))
