"""A distribution of durations, as hazards that are constant within log-spaced bins.

A hazard is the chance to end within the next second, for a job that still runs. Ages and times
are in seconds.
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise
from math import exp, expm1, inf, log1p
from typing import Final

SHORTEST: Final = 0.1
LONGEST: Final = 3600.0
_STEPS: Final = 48
_RATIO: Final[float] = (LONGEST / SHORTEST) ** (1 / _STEPS)
# The bins' lower edges; the last bin has no end.
EDGES: Final[tuple[float, ...]] = (0.0, *(SHORTEST * _RATIO**n for n in range(_STEPS + 1)))
LENGTHS: Final = (*(after - edge for edge, after in pairwise(EDGES)), inf)
BINS: Final = len(EDGES)
_PRECISION: Final = 1e-9


def bin_of(age: float) -> int:
    """The bin in which an age lies."""
    return bisect_right(EDGES, age) - 1


class Hazards:
    """What follows from the hazards, ready to be asked often.

    Attributes:
        rates: The hazard in each bin; none may be 0.
        alive: The share of jobs that still run as each bin begins.
        ending: The share of jobs that end within each bin.
        mean: The mean duration.
    """

    __slots__ = ("_left", "_summed", "alive", "ending", "mean", "rates")

    def __init__(self, rates: Sequence[float]) -> None:
        self.rates: Final = rates
        passed = [rate * length for rate, length in zip(rates, LENGTHS, strict=True)]
        self._summed: Final = [0.0, *accumulate(passed[:-1])]
        self.alive: Final = [exp(-summed) for summed in self._summed]
        alive_after = [*self.alive[1:], 0.0]
        self.ending: Final = [a - b for a, b in zip(self.alive, alive_after, strict=True)]
        # The mean time left to jobs that run as each bin begins, from the last bin back.
        left = [1 / rates[-1]] * BINS
        for n in range(BINS - 2, -1, -1):
            left[n] = left[n + 1] - expm1(-passed[n]) * (1 / rates[n] - left[n + 1])
        self._left: Final = left
        self.mean: Final = left[0]

    def survival(self, age: float) -> float:
        """The share of jobs that take longer."""
        return exp(-self._until(age))

    def quantile(self, share: float) -> float:
        """The age by which this share of jobs has ended."""
        hazard = -log1p(-share)
        n = bisect_right(self._summed, hazard) - 1
        return EDGES[n] + (hazard - self._summed[n]) / self.rates[n]

    def passed(self, from_age: float, to_age: float) -> float:
        """The logarithm of the share that still runs at the later age; 0 or below."""
        return self._until(from_age) - self._until(to_age)

    def undetected(self, last_look_age: float, age: float) -> float:
        """The mean time for which a job, found running at the one age, is over at the other."""
        alive = exp(self.passed(last_look_age, age))
        running = self._left_at(last_look_age) - alive * self._left_at(age)
        return max(0.0, age - last_look_age - running)

    def due_age(self, last_look_age: float, bound: float) -> float:
        """The age at which `undetected` reaches a bound above 0: its inverse."""
        passed = self._until(last_look_age)
        base = last_look_age + self._left_at(last_look_age)
        summed, left = self._summed, self._left
        n = bin_of(last_look_age + bound)  # nobody is over for longer than not looked at
        while n < BINS - 1:
            after = EDGES[n + 1] - base + exp(passed - summed[n + 1]) * left[n + 1]
            if after >= bound:
                break
            n += 1
        start = max(EDGES[n], last_look_age)
        alive = exp(passed - self._until(start))
        missing = bound - max(0.0, start - base + alive * self._left_at(start))
        return start + _solve(self.rates[n], alive, missing, LENGTHS[n])

    def distance(self, other: "Hazards") -> float:
        """The share of jobs that end in another bin there."""
        return sum(abs(a - b) for a, b in zip(self.ending, other.ending, strict=True)) / 2

    def _until(self, age: float) -> float:
        n = bisect_right(EDGES, age) - 1
        return self._summed[n] + (age - EDGES[n]) * self.rates[n]

    def _left_at(self, age: float) -> float:
        n = bisect_right(EDGES, age) - 1
        rate = self.rates[n]
        if n == BINS - 1:
            return 1 / rate
        after = self._left[n + 1]
        return after - expm1(rate * (age - EDGES[n + 1])) * (1 / rate - after)


def _solve(rate: float, alive: float, missing: float, longest: float) -> float:
    """When `time - alive x (1 - e^(-rate x time)) / rate` reaches what is missing.

    Newton's method on a convex curve, from its right: it cannot overshoot.
    """
    time = min(missing + alive / rate, longest)
    for _ in range(30):
        gone = -expm1(-rate * time)
        step = (time - alive * gone / rate - missing) / (1 - alive * (1 - gone))
        time -= step
        if step < _PRECISION * (1 + time):
            break
    return max(0.0, time)
