"""An even rate: how requests go where a limit flows back bit by bit. Pure: the time is an argument.

Buckets, gaps between requests and sliding counters have in common that what is allowed comes back
evenly, and that a request too early is refused although the count of a window is far off. What all
of them accept is an even rate. `Pacer` keeps one, with hardly a burst, and finds the highest one:

- **Measured.** Where enough was accepted between two refusals, that over the time is the rate:
  such a limit was used up at both. It is kept at once, less a little.
- **Searched.** Where too little was accepted, the rate lies between one that passes for sure and
  one that was refused. The geometric mean is tried, and takes the place of the one or the other:
  after two requests that pass, or the first one that is refused. What was accepted since the search
  began, over the time, passes for sure, but for the smallest bursts.
- **Grown.** After a calm time the rate rises with the cube of the time, slowly near what was
  refused last and then fast: others may have gone, or the limit been raised. CUBIC's idea (RFC
  9438). A try that fails goes back and waits twice as long.

Requests are counted from their grant, so latency costs nothing; what a pause lets flow back stays
unused until the rate has grown into it, since the size of a burst is not known. Units: seconds,
requests, requests a second.

Rejected: a window of about a second in place of a rate, since a gap of 50 ms allows no two requests
at once, and since a short window that counts from the answers loses the latency of each.
"""

from math import sqrt
from typing import Final

from hostup_async._ratelimit.headers import RateLimitReading
from hostup_async._ratelimit.window import Observation, follow_token

_LIKELY: Final = 2.0
"""A rate that two resets tell is believed up to this many times what passes for sure: their moments
may be wrong by a second, see `follow_token`."""

LONG_PAUSE: Final = 2.0
"""Seconds. A pause until the next token is mostly shorter, one until a reset longer."""

SEARCHED: Final = 100.0
"""How many times faster a rate may be than one request in each pause that was tried."""

_PASSES: Final = 2
"""Requests that show that a rate is accepted, besides those that the pause before let flow back."""

_FLOWN_BACK: Final = 4
"""The most requests that a pause is taken to have let flow back."""

_FASTER: Final = 3.0
"""A search goes no faster than a rate that passed times this, whatever was refused."""

_NARROW: Final = 1.15
"""A search ends when the two rates differ by less than this factor; growth does the rest."""

SAFE: Final = 0.98
"""The part of a measured rate that is used, since its measurement is off by about a request."""

_BACK: Final = 0.95
"""The part of a rate that is kept when it is refused, where the measurement says no less."""

_FAR_BACK: Final = 0.7
"""The part that is kept where too little was accepted to measure."""

_LEAST_BACK: Final = 0.5
"""No refusal takes away more than this part: the measurement may have met a pause."""

_SURELY_FLOWN: Final = 0.25
"""The part of a request that flows back, most likely, between a refusal and the next request that
passes; the rest had flowed back before the refusal. A rate falls no lower than that, so refusals
with another cause, such as others who use the key, do not lower it without end."""

ENOUGH: Final = 5
"""Accepted requests from which a rate can be measured: one off is then 20 %."""

_BURST: Final = 0.02
"""Seconds of the rate that may go at once: timers wake late by milliseconds."""

_CARRY: Final = 0.002
"""Seconds by which a permit may be late without being lost."""

_CALM: Final = 30.0
"""Seconds without a refusal before a measured rate grows, as for windows."""

_SHORT_CALM: Final = 5.0
"""Seconds without a refusal before a rate grows that was only searched for."""

_CALM_REQUESTS: Final = 64
"""Also this many requests: a try that fails refuses one or two, and those are to stay few."""

_LONGEST_CALM: Final = 3600.0
"""Seconds. The calm doubles with each try that failed, up to this."""

_GROWTH: Final = 0.05
"""The part that is added in the first calm time of growing; 8 times that by the second one."""

_LONGEST_GROWTH: Final = 10.0
"""Calm times for which a rate grows, to 51 times what it was: a faster one holds nothing up."""

_FASTEST: Final = 10_000.0
"""Requests a second beyond which no rate grows: no client sends faster, so none is refused."""

_HELD: Final = 1.25
"""A rate that grew far is taken to have been accepted at this part of it: it rose fast by then."""

_ALMOST_ONE: Final = 1 - 1e-6
"""Of a permit; the sums of moments are not exact."""


class Pacer:
    """Lets requests go at an even rate, and finds the highest one that is accepted.

    Args:
        low: A rate that passes for sure, in requests a second.
        high: One that does not; the same where the rate was measured.
        now: The present moment.
        granted: How many requests were granted so far, ever; see `available`.
        share: The part of the rate that is ours to use, once it is found.

    Attributes:
        rate: Requests a second that are believed to be accepted.
    """

    rate: float

    def __init__(
        self, low: float, high: float, *, now: float, granted: int, share: float = 1.0
    ) -> None:
        self._share = share
        self._size = 0.0
        self._granted, self._level, self._at = granted, 0.0, now
        self._low, self._high = low, high
        self._passed = self._accepted = 0
        self._passes = _PASSES
        self._began = self._calm_since = now
        self._refused_at: float | None = now  # since when nothing has passed
        self._least = 0.0
        self._calm = _CALM
        self._measured: tuple[float, int] | None = None  # by the last refusal: seconds, requests
        self._base = 0.0  # what the search found, 0.0 while it is under way
        self._try_between()

    def __repr__(self) -> str:
        return f"<Pacer {self.rate:.3g}/s{'' if self._base else ', searching'}>"

    def _try_between(self) -> None:
        if self._high / self._low > _NARROW:
            self.rate = min(sqrt(self._low * self._high), _FASTER * self._low)
            self._passed = 0
        else:
            self.rate = self._base = self._low

    @property
    def pace(self) -> float:
        """Requests a second that are let go at present."""
        return self._share * self.rate if self._base else self.rate

    def available(self, now: float, granted: int) -> float:
        """How many more may go now; `granted` is how many were, ever, less what was refunded."""
        burst = max(1.0, self._size, _BURST * self.pace) + _CARRY * self.pace
        flown = self._level + max(0.0, now - self._at) * self.pace
        self._level = min(flown - (granted - self._granted), burst)
        self._at, self._granted = max(now, self._at), granted
        return self._level + (1 - _ALMOST_ONE)

    @property
    def is_bucket(self) -> bool:
        """Whether the API tells what its bucket holds."""
        return self._size > 0

    def hold(self, size: float) -> None:
        """It is a bucket of this size, full as far as is known."""
        self._size = self._level = self._share * size

    def correct(self, left: float, in_flight: int) -> None:
        """The API says what was left of the bucket, with or without what is in flight."""
        self._level = min(max(self._level, left - in_flight), left + 1)

    def opens_at(self, now: float, granted: int) -> float:
        """When one more may go, if not now."""
        self.available(now, granted)
        return now + max(0.0, 1 - self._level) / self.pace

    def restart(self, granted: int, pause: float) -> None:
        """Begin anew after a pause of some seconds, with one request."""
        self._granted, self._level = granted, 1.0
        self._passes = _PASSES + min(round(pause * self._low), _FLOWN_BACK)

    def measure(self, seconds: float, accepted: int) -> None:
        """This many were accepted in these seconds, between two refusals."""
        self._measured = seconds, accepted
        self.rate = self._base = SAFE * accepted / seconds

    def count_late_success(self) -> None:
        """One more was accepted that was sent before the refusal: the measured rate was higher."""
        if self._measured is not None:
            seconds, accepted = self._measured
            self.measure(seconds, accepted + 1)

    def try_first(self, rate: float) -> None:
        """This rate is likelier than the mean of the two that the search begins with."""
        self.rate, self._calm = rate, _SHORT_CALM

    def accept(self, now: float) -> None:
        """A request passed that was sent after the last refusal."""
        if self._refused_at is not None:
            self._least = _SURELY_FLOWN / max(now - self._refused_at, _SURELY_FLOWN)
            self._refused_at = None
        self._accepted += 1
        if not self._base:
            self._passed += 1
            if self._passed >= self._passes:
                self._low, self._passes = self.rate, _PASSES
                self._try_between()
            return
        calm = max(self._calm, _CALM_REQUESTS / self._base)
        grown = min((now - self._calm_since) / calm - 1, _LONGEST_GROWTH)
        if grown > 0 and self._share == 1:
            self.rate = max(self._base, min(self._base * (1 + _GROWTH * grown**3), _FASTEST))

    def refuse(self, observed: Observation) -> None:
        """A request was refused that was sent at this rate."""
        now, accepted = observed.now, observed.accepted_since_429
        seconds, paused = observed.seconds_since_429, observed.paused
        self._calm_since, self._measured = now, None
        if self._refused_at is None:
            self._refused_at = now
        if not self._base:
            self._high = self.rate
            if self._accepted:
                self._low = max(self._low, SAFE * self._accepted / (now - self._began))
            self._low = min(self._low, self._high)
            self._try_between()
        elif self.rate > self._base:
            self._fall_back()
        else:
            kept = _FAR_BACK
            if accepted >= ENOUGH and seconds > paused:
                # A large bucket fills during a pause, a gap between requests does not: the mean.
                measured = SAFE * accepted / sqrt(seconds * (seconds - paused))
                kept = min(max(measured / self._base, _LEAST_BACK), _BACK)
            self.rate = self._base = max(kept * self._base, min(self._base, self._least))

    def _fall_back(self) -> None:
        """Growing has met the limit: back to what passed before, or near to it if it was far."""
        held = self.rate / _HELD
        self._calm = _SHORT_CALM if held > self._base else min(2 * self._calm, _LONGEST_CALM)
        self.rate = self._base = max(held, self._base)


def search_between(
    most: float, reading: RateLimitReading, observed: Observation, reset_at: float
) -> tuple[float, float]:
    """A rate that passes for sure after an early 429, and the highest one that may.

    Args:
        most: The rate that the limit would be which is named, or was counted.
        reading: What the 429 says.
        observed: What the ledger knows.
        reset_at: The reset that the 429 before named.
    """
    low = SAFE * max(observed.accepted_since_429, 1) / observed.seconds_since_429
    high = max(low, SAFE * most)
    low = max(low, high / SEARCHED)
    told = follow_token(reading, observed, reset_at)
    if observed.paused <= LONG_PAUSE and low <= told <= _LIKELY * low:
        return told, told
    return low, high
