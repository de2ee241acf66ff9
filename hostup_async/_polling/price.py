"""The price of a poll, and the mean duration that the number of jobs in flight follows.

Both are controllers: the price follows the demand for requests, the mean follows what is learnt,
but slowly where our own rate may be what makes jobs slower.
"""

from math import exp, inf
from typing import Final

from hostup_async._polling.durations import DurationModel

# The bounds of the price, in seconds of expected detection delay. The lowest one stands for
# requests that cost nothing: polling more often finds ends sooner by less than a request takes.
# At the highest one users begin to wonder.
LOWEST_PRICE: Final = 0.22
HIGHEST_PRICE: Final = 30.0
# While no limit is known a poll costs this part of a mean duration at least: a limit may be near,
# and what is spent on the first jobs of a fleet would be missing for the others.
_UNKNOWN_SHARE: Final = 0.15
_SHORT_JOB: Final = 2.0  # seconds; there are too few requests in a job to be frugal with
_HALF: Final = 0.5  # polls: on average a job ends in the middle between two
# Where requests are free, the lowest price is this part of a mean duration, down to the latter, in
# seconds: the ends of short jobs are then known within the time that some requests take.
_FREE_SHARE: Final = 0.05
_SHORTEST_DELAY: Final = 0.002
# Upper bound of the price, in mean job durations. Above it almost every poll finds the job over,
# so polling less saves nothing. It is lower while there is much to learn.
_MAX_PRICE: Final = 0.9
# That much more once durations are known.
_MAX_KNOWN_PRICE: Final = 0.2
# And that much more where windows are planned and no request is left over: a single poll in vain
# then costs a window. It fades until this part of all polls may be in vain.
_MAX_PLANNED_PRICE: Final = 1.0
_FEW_IN_VAIN: Final = 0.03
# The confidence from which on that bound is whole.
_SURE: Final = 0.5
# The confidence that is assumed for that bound at the least: a price that cannot rise while nothing
# is known would spend a slow limit on the first jobs.
_LEAST_CONFIDENCE: Final = 0.15
# While the window is full, a poll is worth this share of the price: ends are what opens it.
_WINDOW_FULL_FACTOR: Final = 0.25
# The price changes e-fold in this many seconds: slow against the bursts of a rate limit, fast
# against a job.
_PRICE_E_FOLD: Final = 2.0

# Nothing rests for longer than this, in seconds, while the price could still fall; and a pause
# between two decisions counts for no more.
LONGEST_STEP: Final = 1.0

# Where the mean duration grows by more than this factor, our own rate may be the cause.
_SLOWED_FACTOR: Final = 1.5
# The window then shrinks, to no less than this share of what the usual mean allows.
_LEAST_SHARE: Final = 0.5
# What is usual grows by this factor with each end, at most: e-fold in 300 ends.
_USUAL_GROWTH: Final = 1 + 1 / 300


class Price:
    """What a poll costs at present, and how that changes with the demand for requests.

    Attributes:
        value: The price, in seconds of expected detection delay.
        trend: Where the last decision left it: 1 rising, -1 falling, 0 as it is.
    """

    __slots__ = ("_lowest", "trend", "value")

    def __init__(self) -> None:
        self.value = self._lowest = LOWEST_PRICE
        self.trend = 0

    @property
    def is_lowest(self) -> bool:
        """Whether it can fall no further."""
        return self.value <= self._lowest

    @property
    def window_full(self) -> float:
        """What a poll costs while only an end lets another action go."""
        return max(min(self._lowest, LOWEST_PRICE), _WINDOW_FULL_FACTOR * self.value)

    def adapt(
        self, passed: float, *, mean: float, confidence: float, lowest: float, is_free: bool
    ) -> None:
        """Follow the trend for the time that has passed.

        Args:
            passed: Seconds since the last decision.
            mean: The mean duration of a job, in seconds.
            confidence: How much is known of durations, see `DurationModel.confidence`.
            lowest: The price below which it does not fall, see `lowest_price`.
            is_free: Whether requests cost nothing: then that is the price.
        """
        self._lowest = lowest
        if is_free:
            self.value = lowest
            return
        most = min(HIGHEST_PRICE, (_MAX_PRICE + _MAX_KNOWN_PRICE * confidence) * mean)
        e_folds = min(passed, LONGEST_STEP) / _PRICE_E_FOLD
        # The first job that ends tells of short ones: all others are not polled at once.
        ceiling = max(
            most * min(1.0, max(confidence / _SURE, _LEAST_CONFIDENCE)), self.value * exp(-e_folds)
        )
        ceiling = min(most, ceiling)
        self.value = min(self.value * exp(self.trend * e_folds), ceiling)
        self.value = max(self.value, self._lowest)


def lowest_price(
    mean: float, rate: float | None, spare: float | None = None, *, confidence: float = 0.0
) -> float:
    """The lowest price of a poll, in seconds of expected detection delay.

    Where windows of a limit are planned it is the price at which as many polls are in vain as
    requests are left over. By Keller's law a job of duration `T` is polled in vain about
    `sqrt(T / (2 * price))` times, less half a time.

    Args:
        mean: The mean duration of a job, in seconds.
        rate: Requests a second that may be sent, None where that is not known, infinite where
            there is no limit.
        confidence: How much is known of durations, see `DurationModel.confidence`.
        spare: The requests left over for each job that is not known yet, where windows are planned.
    """
    if spare is not None:
        planned = mean / (2 * (_HALF * spare + _HALF) ** 2)
        more = _MAX_KNOWN_PRICE + _MAX_PLANNED_PRICE * max(0.0, 1 - spare / _FEW_IN_VAIN)
        most = (_MAX_PRICE + more * confidence) * mean
        return max(LOWEST_PRICE, min(planned, most, HIGHEST_PRICE))
    if rate is None and mean > _SHORT_JOB:
        return _UNKNOWN_SHARE * mean
    if rate is None or rate == inf:
        return min(LOWEST_PRICE, max(_SHORTEST_DELAY, _FREE_SHARE * mean))
    return LOWEST_PRICE


class UsualMean:
    """The mean duration that the window counts on.

    If jobs take longer because we send faster, a window that follows the mean grows without end.
    So what is usual grows slowly, and a mean far above it shrinks the window.
    """

    __slots__ = ("_usual",)

    def __init__(self, durations: DurationModel) -> None:
        self._usual = durations.mean()

    def bearable(self, mean: float) -> float:
        """The mean duration, or less where it grew until our own rate may be the cause."""
        most = _SLOWED_FACTOR * self._usual
        return mean if mean <= most else most * max(_LEAST_SHARE, most / mean)

    def observe(self, mean: float) -> None:
        """A job has ended; the mean is now this."""
        self._usual = min(mean, _USUAL_GROWTH * self._usual)
