"""What is believed of a rate limit that may show itself only by refusing. Pure: time is passed in.

A refusal names the limit and the moment of the reset: the window is what lies between the first
request of the window and that moment. What does not fit this picture, a token bucket or others
who use the same key, shows as refusals that come early, and lowers what we allow ourselves.
"""

from collections.abc import Sequence
from math import ceil, floor, inf
from typing import Final

from attrs import frozen

from hostup_async._ratelimit.headers import RateLimitReading
from hostup_async._ratelimit.limits import RateLimit

_FIRST_IN_FLIGHT: Final = 8
_SHORTEST_WINDOW: Final = 0.25
_TOO_SOON: Final = 2
_EARLY: Final = 0.9
_SHRINK: Final = 0.7
_ENOUGH: Final = 5
_SAFE: Final = 0.98
_MARGIN: Final = 0.02
_CALM: Final = 30.0
_CALM_WINDOWS: Final = 4
_LONGEST_CALM: Final = 3600.0


@frozen(kw_only=True)
class Observation:
    """What the books say when an answer comes.

    Attributes:
        now: The moment of the answer.
        sent_at: When its request was sent.
        opened_at: When the first accepted request of the window was sent, None before any.
        since_opening: Requests accepted since the window opened.
        by_count: Whether it opened because we had counted it out, and not after a refusal.
        since_429: Requests sent and accepted since the refusal before.
        elapsed: Seconds since the refusal before, infinite for the first.
        spent: When the requests were answered that count now, or lately where no window is known.
        told_left: Requests left as a success said, infinite where none did.
    """

    now: float
    sent_at: float
    opened_at: float | None
    since_opening: int
    by_count: bool
    since_429: int
    elapsed: float
    spent: Sequence[float]
    told_left: float


class LimitEstimate:
    """A limit, as far as it is known.

    Attributes:
        given: Whether the user told it, so that there is nothing to learn.
        limit: Requests a window as the API says, infinite where unknown.
        window: Its length in seconds, infinite where unknown.
        cap: Requests a window that we allow ourselves.
        confirmed: Whether a window went by as believed; until then little is risked.
    """

    def __init__(self, given: RateLimit | None = None) -> None:
        self.given: Final = given is not None
        self.limit: float = given.requests if given else inf
        self.window: float = given.window if given else inf
        self.cap = self.limit
        self.confirmed = self.given
        self._margin = 0.0
        self._calm = _CALM
        self._grows_at = inf
        self._step: float = 1
        self._grown_from = 0.0
        self._kept_to: tuple[float, float, int] | None = None

    @property
    def is_known(self) -> bool:
        """Whether there is a limit to count by."""
        return self.limit < inf

    @property
    def span(self) -> float:
        """Seconds for which a request counts: the window, and what jitter has taught to add."""
        return self.window + self._margin

    @property
    def rate(self) -> float | None:
        """Requests a second that can be kept up, infinite without a limit, None where unknown."""
        if self.is_known:
            return self.cap / self.span
        return inf if self.given else None

    def most_in_flight(self, accepted: int) -> float:
        """How many may be in flight: what finding the limit may cost in refusals."""
        return inf if self.confirmed else _FIRST_IN_FLIGHT + accepted // 32

    def grow(self, now: float) -> None:
        """A window was used up without a refusal: after a long calm, ask for more each time.

        Others may have gone, or the limit been raised, and no header may say so.
        """
        if not self.confirmed or now < self._grows_at:
            return
        more = self.cap + self._step
        if self.cap < self.limit <= more:
            self.cap = self.limit
            self._rest(now)
        else:
            self._grown_from = self._grown_from or self.cap
            self.cap, self._step = more, 2 * self._step

    def heard(self, reading: RateLimitReading, seen: Observation, *, news: bool) -> None:
        """An answer that was no refusal names the limit; only `news` may raise a belief."""
        limit = reading.limit
        if self.given or not limit or reading.reset_after is None:
            return
        if not self.is_known:
            self._believe(limit, _measure(reading, seen, limit))
        elif limit < self.limit or (news and limit > self.limit):
            self._believe(limit, self.window)

    def limited(self, reading: RateLimitReading, seen: Observation) -> None:
        """Learn from a refusal that came although we kept to what was believed."""
        limit = reading.limit or (self.limit if self.is_known else len(seen.spent))
        if self.given or not limit or reading.wait is None:
            return
        self._kept_to = None
        window = _measure(reading, seen, limit)
        if limit != self.limit:
            self._believe(limit, window)
        elif seen.told_left < _EARLY * limit:
            return  # no surprise: somebody else was quicker
        elif self._grown_from:
            self.cap, self._calm = self._grown_from, min(2 * self._calm, _LONGEST_CALM)
        elif seen.by_count and seen.since_opening <= _TOO_SOON:
            self._lengthen(window, reading.wait + seen.now - (seen.opened_at or seen.now))
        elif len(seen.spent) < _EARLY * self.cap:
            self._came_early(window, seen)
        elif self.confirmed:
            self._shrink(_SAFE, seen)
        else:
            self.window = window
        self._rest(seen.now)

    def _rest(self, now: float) -> None:
        """Ask for no more for a while."""
        self._step, self._grown_from = 1, 0.0
        self._grows_at = now + max(self._calm, _CALM_WINDOWS * self.window)

    def accepted_late(self) -> None:
        """One more was accepted of those sent before the refusal."""
        if self._kept_to is not None:
            window, elapsed, accepted = self._kept_to
            self._keep_to(window, elapsed, accepted + 1)

    def _believe(self, limit: float, window: float) -> None:
        self.limit = self.cap = limit
        self.window = window
        self.confirmed, self._margin, self._calm = False, 0.0, _CALM

    def _lengthen(self, window: float, at_most: float) -> None:
        """The window did not open when it should have: it is longer, or the clocks jitter."""
        if self.confirmed and window < self.window + 1:
            self._margin += _MARGIN
        else:
            next_whole = floor(self.window) + 1.0 if self.window >= 1 else at_most
            self.window = max(window if window > self.window else next_whole, self.window)
            self.confirmed = False

    def _came_early(self, window: float, seen: Observation) -> None:
        """Others take a part, or it is a bucket: then what was accepted tells the true rate."""
        if self.confirmed or seen.since_429 < _ENOUGH:
            self._shrink(_SHRINK, seen)
        elif seen.elapsed < inf:
            self._keep_to(window, seen.elapsed, seen.since_429)

    def _shrink(self, factor: float, seen: Observation) -> None:
        """Allow ourselves less, but no less than what went well since the refusal before."""
        went_well = _SAFE * self.window * seen.since_429 / seen.elapsed
        self.cap = max(1, floor(max(factor * self.cap, min(went_well, self.cap - 1))))

    def _keep_to(self, window: float, elapsed: float, accepted: int) -> None:
        self._kept_to = window, elapsed, accepted
        window = max(window, 1.0)
        allowed = min(_SAFE * window * accepted / elapsed, self.limit)
        self.cap = ceil(allowed)
        self.window = window * self.cap / allowed


def _measure(reading: RateLimitReading, seen: Observation, limit: float) -> float:
    """The length of the window: from its first request to its announced end.

    Announced moments are rounded up, mostly to a second, and most windows are whole seconds
    long: so the whole seconds in what was measured are the window.
    """
    if reading.window:
        return reading.window
    length = seen.sent_at + (reading.wait or 0.0) - _opened_at(seen, limit)
    return floor(length) if length >= 1 else max(length, _SHORTEST_WINDOW)


def _opened_at(seen: Observation, limit: float) -> float:
    """When the window opened: it holds no more requests than its limit."""
    opened_at = seen.sent_at if seen.opened_at is None else seen.opened_at
    return max(opened_at, seen.spent[-int(limit)]) if len(seen.spent) >= limit else opened_at
