"""A distribution of durations, as hazards that are constant within log-spaced bins.

The hazard is the chance that a job which still runs ends within the next second. Constant within
a bin, it makes every integral below elementary: the share of jobs that still run falls as
`exp(-rate * seconds)` there. This is the piecewise-exponential model of survival analysis
(Friedman 1982, "Piecewise exponential models for survival data with covariates").

All ages and times are in seconds, all hazards in ends per second.
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise
from math import exp, expm1, inf, log1p
from typing import Final

# The ages between which durations are told apart, in seconds. A poll takes about 0.1 s itself, and
# a job that runs for an hour is polled so rarely that finer knowledge would change nothing.
SHORTEST: Final = 0.1
LONGEST: Final = 3600.0
_STEPS: Final = 48  # bins between the two, each 1.24 times as long as the one before
_RATIO: Final[float] = (LONGEST / SHORTEST) ** (1 / _STEPS)
# The bins' lower edges; the last bin has no end.
EDGES: Final[tuple[float, ...]] = (0.0, *(SHORTEST * _RATIO**n for n in range(_STEPS + 1)))
LENGTHS: Final = (*(after - edge for edge, after in pairwise(EDGES)), inf)
BINS: Final = len(EDGES)
# Of a due age, relative: far below a clock's resolution.
_PRECISION: Final = 1e-9
# Newton's method needs about 5 steps; this bounds it where floating point does not settle.
_MAX_NEWTON_STEPS: Final = 30


def bin_of(age: float) -> int:
    """The bin in which an age lies."""
    return bisect_right(EDGES, age) - 1


class Hazards:
    """The distribution that given hazards imply, with its integrals ready to be asked often.

    Attributes:
        rates: The hazard in each bin; none may be 0.
        alive: The share of jobs that still run as each bin begins.
        ending: The share of jobs that end within each bin.
        mean: The mean duration.
    """

    __slots__ = ("_cumulative", "_mean_left", "alive", "ending", "mean", "rates")

    def __init__(self, rates: Sequence[float]) -> None:
        self.rates: Final = rates
        in_bin = [rate * length for rate, length in zip(rates, LENGTHS, strict=True)]
        # The hazard summed up to the beginning of each bin: minus the logarithm of `alive`.
        self._cumulative: Final = [0.0, *accumulate(in_bin[:-1])]
        self.alive: Final = [exp(-cumulative) for cumulative in self._cumulative]
        alive_after = [*self.alive[1:], 0.0]
        self.ending: Final = [a - b for a, b in zip(self.alive, alive_after, strict=True)]
        # The mean time left to jobs that run as each bin begins, from the last bin back.
        left = [1 / rates[-1]] * BINS
        for n in range(BINS - 2, -1, -1):
            left[n] = left[n + 1] - expm1(-in_bin[n]) * (1 / rates[n] - left[n + 1])
        self._mean_left: Final = left
        self.mean: Final = left[0]

    def survival(self, age: float) -> float:
        """The share of jobs that take longer."""
        return exp(-self._cumulative_at(age))

    def quantile(self, share: float) -> float:
        """The age by which this share of jobs, below 1, has ended."""
        hazard = -log1p(-share)
        n = bisect_right(self._cumulative, hazard) - 1
        return EDGES[n] + (hazard - self._cumulative[n]) / self.rates[n]

    def log_survival(self, from_age: float, to_age: float) -> float:
        """The logarithm of the share, of the jobs that run at one age, that run at a later one."""
        return self._cumulative_at(from_age) - self._cumulative_at(to_age)

    def expected_detection_delay(self, last_poll_age: float, age: float) -> float:
        """The mean time for which a job has been over unnoticed.

        Args:
            last_poll_age: The age at which a poll found it running.
            age: Its age now.
        """
        alive = exp(self.log_survival(last_poll_age, age))
        running = self.mean_left(last_poll_age) - alive * self.mean_left(age)
        return max(0.0, age - last_poll_age - running)

    def due_age(self, last_poll_age: float, delay: float) -> float:
        """The age at which `expected_detection_delay` reaches a delay above 0: its inverse."""
        cumulative_then = self._cumulative_at(last_poll_age)
        base = last_poll_age + self.mean_left(last_poll_age)
        cumulative, left = self._cumulative, self._mean_left
        n = bin_of(last_poll_age + delay)  # the delay never exceeds the time since the last poll
        while n < BINS - 1:
            after = EDGES[n + 1] - base + exp(cumulative_then - cumulative[n + 1]) * left[n + 1]
            if after >= delay:
                break
            n += 1
        start = max(EDGES[n], last_poll_age)
        alive = exp(cumulative_then - self._cumulative_at(start))
        missing = delay - max(0.0, start - base + alive * self.mean_left(start))
        return start + _solve(self.rates[n], alive, missing, LENGTHS[n])

    def distance(self, other: "Hazards") -> float:
        """The share of jobs that end in another bin there: the total variation distance."""
        return sum(abs(a - b) for a, b in zip(self.ending, other.ending, strict=True)) / 2

    def _cumulative_at(self, age: float) -> float:
        n = bisect_right(EDGES, age) - 1
        return self._cumulative[n] + (age - EDGES[n]) * self.rates[n]

    def mean_left(self, age: float) -> float:
        """The mean time that jobs of an age still take."""
        n = bisect_right(EDGES, age) - 1
        rate = self.rates[n]
        if n == BINS - 1:
            return 1 / rate
        after = self._mean_left[n + 1]
        return after - expm1(rate * (age - EDGES[n + 1])) * (1 / rate - after)


def _solve(rate: float, alive: float, missing: float, longest: float) -> float:
    """When `time - alive x (1 - e^(-rate x time)) / rate` reaches what is missing.

    Newton's method on a convex curve, from its right: it cannot overshoot.
    """
    time = min(missing + alive / rate, longest)
    for _ in range(_MAX_NEWTON_STEPS):
        gone = -expm1(-rate * time)
        step = (time - alive * gone / rate - missing) / (1 - alive * (1 - gone))
        time -= step
        if step < _PRECISION * (1 + time):
            break
    return max(0.0, time)
