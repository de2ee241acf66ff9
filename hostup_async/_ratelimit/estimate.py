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

After a calm time `grow` asks for more (see `growth`); a limit that was learnt before is tested
first (see `before`). Units: seconds, requests, requests a window (`cap`).

A `share` below 1 is a part of the limit that is left to others: it holds wherever the limit is
known, and the limit itself is then never grown beyond.

Rejected: a bucket as the only model, because HostUp's limit has a reset and so a window; keeping
to such a limit by a rate loses the requests that a window allows at once. And a posterior over a
grid of all three dimensions: with each refusal costing time, the order of guesses matters more
than their weights, and the first refusal after a wrong guess decides between the rest.
"""

from math import floor, inf
from typing import Final

from attrs import evolve

from hostup_async._ratelimit.at_once import AtOnce, most_unconfirmed
from hostup_async._ratelimit.before import FRESH, SHORT, Before
from hostup_async._ratelimit.growth import Growth
from hostup_async._ratelimit.headers import RateLimitReading
from hostup_async._ratelimit.learnt import LearntLimit, LimitStyle
from hostup_async._ratelimit.limits import RateLimit
from hostup_async._ratelimit.pacer import ENOUGH, LONG_PAUSE, SAFE, SEARCHED, Pacer, search_between
from hostup_async._ratelimit.refill import RefillDetector
from hostup_async._ratelimit.window import (
    EARLY,
    SHORTEST_WINDOW,
    Observation,
    follow_reset,
    is_moment,
    measure_window,
)

_TOO_SOON: Final = 2
"""A 429 with at most this many accepted since we reopened the window shows that the server had not
reopened it."""

_SHRINK: Final = 0.7
"""The part of our share that is kept after an early 429: CUBIC's factor, gentler than halving."""

_RAISED: Final = 1.1
"""A limit is shown to be raised by more than this part of it in a window: less may be jitter."""

_MARGIN: Final = 0.02
"""Seconds added to a confirmed window each time that it opened late: a usual jitter of answers."""

_PROBED_LATE: Final = 0.2
"""Seconds by which a probe may have come later than a window of whole seconds ended."""


class LimitEstimate:
    """A limit, as far as it is known.

    Args:
        given: The limit, where the user said it: then there is nothing to learn.
        share: The part of the limit that is ours to use, above 0 and up to 1.

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

    limit: float
    window: float
    cap: float
    confirmed: bool
    is_dated: bool
    pacer: Pacer | None
    at_once: AtOnce

    def __init__(self, given: RateLimit | None = None, *, share: float = 1.0) -> None:
        self.given: Final = given is not None
        self.share: Final = share
        self.limit, self.window = (given.requests, given.window) if given else (inf, inf)
        self.cap = self._ours(self.limit)
        self.confirmed = self.is_dated = self.given
        self.pacer = None
        self.at_once = AtOnce()
        self._is_named = False
        # The reset that the newest 429 named, and when an answer last told of the limit.
        self._reset_at = self._learnt_at = -inf
        self._before: Before | None = None  # a limit of before that is still to be tested
        self._margin = 0.0
        self._growth = Growth()
        self._refill = RefillDetector()

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
        return self._is_named and self.pacer is None and self.window > LONG_PAUSE

    def allowed(self, now: float) -> LearntLimit | None:
        """What the API allows, as far as is known; None where that is nothing, or no limit."""
        age = max(0.0, now - self._learnt_at)
        if self._before is not None:
            return evolve(self._before.limit, age=age)
        if self.pacer:
            return LearntLimit(LimitStyle.RATE, self.pacer.rate, 1.0, age, self._is_named)
        if self.is_known and self.is_dated:
            return LearntLimit(LimitStyle.WINDOW, self.limit, self.window, age, self._is_named)
        if self.at_once.is_limited:
            return LearntLimit(LimitStyle.AT_ONCE, self.at_once.most, 1.0, age)
        return None

    def learnt(self, now: float) -> LearntLimit | None:
        """What was learnt so far, None where that is nothing or the user said the limit."""
        return None if self.given else self.allowed(now)

    def restore(self, before: LearntLimit, now: float, granted: int) -> bool:
        """Begin with what was learnt before, until it is tested; not where more is known here."""
        if self.given or self.is_known or self.at_once.is_limited:
            return False
        self._learnt_at = now - before.age
        count = before.as_count()
        if count is None:
            self.at_once.restore(floor(before.requests))
            return True
        self._adopt(*count)
        self._is_named, self.is_dated = before.is_named, True
        is_trusted = before.age <= FRESH and self.window <= SHORT
        if self.share == 1 or not is_trusted:
            self._before = Before(before, count[0])
            self.cap = self._before.cap
        elif before.style is LimitStyle.RATE:
            self._keep_pace(before.requests, before.requests, now, granted)
        return True

    @property
    def is_untested(self) -> bool:
        """Whether it was learnt before, and no answer has shown yet whether it still holds."""
        return self._before is not None

    def test(self, accepted: int) -> None:
        """Doubt a limit of before, and then forget it, where more went well in its window."""
        if self._before is not None:
            self.cap = self._before.cap if self._before.accept(accepted) else self._forget()

    @property
    def most_at_once(self) -> float:
        """How many may be in flight by the API's limit, or our share of it."""
        return self._ours(self.at_once.most)

    @property
    def span(self) -> float:
        """Seconds for which a request counts: the window and a margin for jitter."""
        return self.window + self._margin

    @property
    def rate(self) -> float | None:
        """Requests a second that can be kept up, infinite without a limit, None where unknown."""
        if self.pacer:
            return self.pacer.pace
        if self.is_known:
            return self.cap / self.span
        return inf if self.given else None

    def most_in_flight(self, accepted: int, *, is_first: bool) -> float:
        """How many may be in flight; see `most_unconfirmed`."""
        if self.confirmed or self.pacer:
            return self.most_at_once
        return min(most_unconfirmed(accepted, is_first=is_first), self.most_at_once)

    def grow(self, now: float) -> None:
        """Ask for more, if the growth delay is over: a window was used up without a 429."""
        if self.confirmed:
            most, beyond = self._ours(self.limit), self.share == 1
            self.cap = self._growth.next_cap(self.cap, most, self.window, now, beyond=beyond)

    def exceed(self, counted: int) -> None:
        """This many passed in a window, more than was known to: ask for twice as much at once."""
        if self._growth.is_under_way and counted >= self.cap and self.cap > self.limit:
            self.cap, self.confirmed = 2 * self.cap, False

    def accept(self, now: float) -> None:
        """A request was accepted that was sent after the last 429."""
        if self.pacer:
            self.pacer.accept(now)
        elif self.share == 1:
            self.at_once.accept()

    def date(self, seconds: float, now: float, granted: int) -> None:
        """The first request passed again, this long after the window had opened."""
        if self.is_known and not self.is_dated:
            late = seconds % 1 if seconds >= 1 and seconds % 1 < _PROBED_LATE else 0.0
            self.window, self.is_dated = max(seconds - late, SHORTEST_WINDOW), True
            if self.limit < ENOUGH and not self._is_named:  # a gap, more likely than a window
                low = self.limit / self.window
                self._keep_pace(low, SEARCHED * low, now, granted)

    def learn_from_headers(
        self, reading: RateLimitReading, observed: Observation, *, news: bool
    ) -> None:
        """Learn from a success that names the limit.

        The limit is raised only by `news`: if it was sent after the estimate was last lowered.
        """
        limit = reading.limit
        if self.given or not limit or reading.reset_after is None:
            return
        self._learnt_at = observed.now
        if rate := self._refill.observe(reading):
            self._adopt(limit, limit / rate)
            self._is_named = self.is_dated = self.confirmed = True
            self._keep_pace(rate, rate, observed.now, observed.granted).hold(limit)
        elif self.pacer and self.pacer.is_bucket:
            pass
        elif not self._is_named or (self.is_untested and limit != self.limit):
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
        if self._before is not None and self._before.excuses(reading, observed):
            return
        self._learnt_at = observed.now
        is_open = not (reading.limit or self.is_known or (reading.wait or 0) > LONG_PAUSE)
        if is_open and self.at_once.explains(observed.at_once, observed.most_at_once):
            return
        if self.pacer is not None:
            self._leave_pace(self.pacer, reading, observed)
            return
        limit = reading.limit or (self.limit if self.is_known else observed.counted)
        if self._before is not None:
            self._end_test(self._before, reading, observed)
        elif limit and limit != self.limit:
            window = measure_window(reading, observed, limit)
            # Where more was asked for, what passed before is not all of the same window.
            window = min(window, self.window) if self._growth.is_under_way else window
            self._adopt(limit, window)
            self._is_named = bool(reading.limit)
            self.is_dated = is_moment(reading) and (self._is_named or limit >= ENOUGH)
        elif not limit or observed.server_remaining < EARLY * limit:
            return  # nothing was accepted yet, or others use the key, and were quicker
        else:
            self._correct(reading, observed, measure_window(reading, observed, limit))
        self._growth.put_off(observed.now, self.window)
        self._reset_at = observed.now + (reading.reset_after or -inf)

    def _end_test(self, before: Before, reading: RateLimitReading, observed: Observation) -> None:
        """A limit of before met a 429: it holds, or is learnt anew."""
        if rate := before.rate(reading, observed):
            self._before = None
            self._keep_pace(rate, SEARCHED * rate, observed.now, observed.granted).try_first(rate)
            return
        is_held, was_named = before.holds(reading, observed), self._is_named
        limit = reading.limit or (self.limit if is_held else len(observed.spent))
        if not limit:
            self._forget()
            return
        keeps = is_held and not is_moment(reading)
        self._adopt(limit, self.window if keeps else measure_window(reading, observed, limit))
        self._is_named = bool(reading.limit) or (is_held and was_named)
        self.is_dated = is_held or (is_moment(reading) and (self._is_named or limit >= ENOUGH))

    def _correct(self, reading: RateLimitReading, observed: Observation, window: float) -> None:
        """A 429 at the limit that was believed: the fifth cause and those after it."""
        went_well = self._growth.fail()
        if went_well and not reading.limit and len(observed.spent) > _RAISED * self.limit:
            self._adopt(len(observed.spent), self.window)
            self.is_dated = True
        elif went_well:
            self.cap, self.confirmed = went_well, True
        elif not observed.accepted_since_429 and not self.confirmed:
            told = follow_reset(reading, observed, self._reset_at)
            self.window = told or max(self.window, window)
        elif observed.opened_by_count and observed.accepted_since_opening <= _TOO_SOON:
            at_most = (reading.wait or 0.0) + observed.now - (observed.opened_at or observed.now)
            self._lengthen(window, at_most)
        elif len(observed.spent) < EARLY * self.cap:
            self._came_early(reading, observed)
        elif self.confirmed:
            self._shrink(SAFE, observed)
        elif is_moment(reading):
            self.window = window

    def _ours(self, limit: float) -> float:
        """What we allow ourselves of a limit; 29 % of 100 is 29, though 0.29 * 100 is below."""
        return limit if self.share == 1 or limit == inf else max(1, int(self.share * limit + 1e-9))

    def _adopt(self, limit: float, window: float) -> None:
        self.limit, self.cap, self.window = limit, self._ours(limit), window
        self.pacer = self._before = None
        self.confirmed, self._margin = False, 0.0
        self._growth = Growth()

    def _forget(self) -> float:
        """Nothing is known of the limit; returns the cap."""
        self._adopt(inf, inf)
        self._is_named = self.is_dated = False
        return self.cap

    def _keep_pace(self, low: float, high: float, now: float, granted: int) -> Pacer:
        self.pacer = Pacer(low, high, now=now, granted=granted, share=self.share)
        return self.pacer

    def _leave_pace(self, pacer: Pacer, reading: RateLimitReading, observed: Observation) -> None:
        """A 429 at an even rate: the rate is lowered, unless another limit is named."""
        if reading.limit and self._is_named and reading.limit != self.limit:
            self._adopt(reading.limit, measure_window(reading, observed, reading.limit))
            return
        pacer.refuse(observed)

    def _lengthen(self, window: float, at_most: float) -> None:
        """The window opened late: it is longer, or the clocks jitter."""
        if self.confirmed and window < self.window + 1:
            self._margin += _MARGIN
        else:
            next_whole = floor(self.window) + 1.0 if self.window >= 1 else at_most
            self.window = max(window if window > self.window else next_whole, self.window)
            self.confirmed = False

    def _came_early(self, reading: RateLimitReading, observed: Observation) -> None:
        """Others use the key, or it is a rate: then what was accepted tells it."""
        if self.confirmed:
            self._shrink(_SHRINK, observed)
            return
        low, high = search_between(self.limit / self.window, reading, observed, self._reset_at)
        pacer = self._keep_pace(low, high, observed.now, observed.granted)
        is_named = is_moment(reading) and observed.paused <= LONG_PAUSE
        if self.window > LONG_PAUSE and not is_named:  # it measured a pause in which all is closed
            pacer.try_first(high)
        elif observed.accepted_since_429 >= ENOUGH:
            pacer.measure(observed.seconds_since_429, observed.accepted_since_429)

    def _shrink(self, factor: float, observed: Observation) -> None:
        """Allow ourselves less, but no less than the rate that went well since the 429 before."""
        seconds = max(observed.seconds_since_429 - observed.paused, self.window)
        went_well = SAFE * self.window * observed.accepted_since_429 / seconds
        self.cap = max(1, floor(max(factor * self.cap, min(went_well, self.cap - 1))))
