"""How long jobs take, learnt from looks at them.

The hazard in each bin is learnt by itself: jobs that ended in it over seconds watched in it, with
a weak Gamma prior. A look that finds a job running adds seconds and no end, so slow jobs count
before they end: there is no survivor bias. What is old fades.
"""

import json
from itertools import accumulate
from math import exp, isfinite, log, log1p
from typing import Any, Final

from hostup_async._polling.hazards import BINS, EDGES, LENGTHS, LONGEST, Hazards, bin_of

PRIOR_MEDIAN: Final = 30.0
# Before anything is known: some jobs end about at once, the others at a steady rate.
_AT_ONCE: Final = 0.3
_AT_ONCE_SHARE: Final = 0.06
_LATER: Final = (log(2) - _AT_ONCE_SHARE * log1p(PRIOR_MEDIAN / _AT_ONCE)) / PRIOR_MEDIAN
# How many ends in each bin the prior is worth.
_PRIOR_ENDS: Final = 0.1

# No hazard is believed to be beyond these, whatever was learnt.
_RAREST: Final = 1e-7
_FASTEST: Final = 1e3

# An end that lies so many ends back counts for 1/e of the newest one.
MEMORY: Final = 250
_HEAVIEST: Final = 1e9
# The distribution is made anew when such a share of what it knows was added.
_NEWS: Final = 1 / 16
# And `version` changes when such a share of jobs ends elsewhere than was thought.
MATERIAL: Final = 0.1
# After so many ends, half is known of what there is to know.
_SOME_ENDS: Final = 40
# So many looks are kept in mind to tell whether jobs have changed: they have when more of them (or
# fewer) had ended than expected, by so many standard deviations.
_LOOKS: Final = 32
_SURPRISING: Final = 4.0
_LEAST_VARIANCE: Final = 0.1
# Then what was known counts for so many times less.
_FORGOTTEN: Final = 8.0
# An end that was less likely than this says nothing of where exactly it was.
_UNLIKELY: Final = 1e-6


def _prior(edge: float, length: float) -> float:
    """The prior hazard of a bin: its mean there."""
    length = min(length, LONGEST)
    at_once = _AT_ONCE_SHARE * log1p(length / (_AT_ONCE + edge)) / length
    return _LATER + at_once


_PRIOR: Final = [_prior(edge, length) for edge, length in zip(EDGES, LENGTHS, strict=True)]


class DurationModel:
    """The learnt distribution of how long the jobs of one action take, in seconds.

    Attributes:
        version: Changes when the distribution has changed enough to plan anew.

    Example:
        >>> durations = DurationModel()
        >>> for _ in range(100):
        ...     durations.ran(0, 8)  # a look at 8 s found the job running
        ...     durations.ended(8, 10)  # the next one, at 10 s, found that it had ended
        >>> 8 < durations.quantile(0.5) < 10
        True
    """

    def __init__(self) -> None:
        self.version: int = 0
        self._weight = 1.0  # of what is learnt next: it grows, and so the past fades
        self._ends = [0.0] * BINS
        self._seconds = [0.0] * BINS  # watched in each bin
        # Noted where a row of bins begins, and taken back where it ends:
        self._crossings = [0.0] * BINS  # jobs watched through the whole bin
        self._shares = [0.0] * BINS  # ends somewhere in the row, each over its share of all ends
        self._known = self._news = self._seen = 0
        self._surprise = self._variance = 0.0
        self._curve = self._announced = Hazards(_PRIOR)

    def ran(self, from_age: float, to_age: float) -> None:
        """A job that ran at the one age was found running at the other."""
        self._watched(from_age, to_age, self._weight)
        self._learnt()

    def ended(self, after_age: float, by_age: float) -> None:
        """A job that ran at the one age had ended at the other; an exact age is given twice."""
        if bin_of(after_age) == bin_of(by_age):
            self._end(after_age, (after_age + by_age) / 2)
        else:
            self._spread(after_age, by_age)
        self._weight *= 1 + 1 / MEMORY
        self._seen = min(self._seen + 1, MEMORY)
        self._learnt()

    def check(self, from_age: float, to_age: float, *, ended: bool) -> None:
        """Before a look teaches anything: if too many surprise, most of the past is forgotten."""
        expected = 1 - exp(self._curve.passed(from_age, to_age))
        self._surprise += ended - expected - self._surprise / _LOOKS
        self._variance += expected * (1 - expected) - self._variance / _LOOKS
        doubtful = self._surprise**2 > _SURPRISING**2 * (self._variance + _LEAST_VARIANCE)
        if doubtful and self.certainty() > 0.5:  # noqa: PLR2004 - half of what there is to know
            self._weight *= _FORGOTTEN
            self._seen = self._known = int(self._seen / _FORGOTTEN)
            self._surprise = self._variance = 0.0

    def certainty(self) -> float:
        """How much was learnt: 0.0 from nothing, 0.5 from some ends, nearly 1.0 from many."""
        return self._seen / (self._seen + _SOME_ENDS)

    def survival(self, age: float) -> float:
        """The share of jobs that take longer."""
        return self._curve.survival(age)

    def mean(self) -> float:
        """The mean duration."""
        return self._curve.mean

    def quantile(self, share: float) -> float:
        """The age by which this share of jobs, below 1, has ended."""
        return self._curve.quantile(share)

    def undetected(self, last_look_age: float, age: float) -> float:
        """The mean time for which a job, found running at the one age, is over at the other."""
        return self._curve.undetected(last_look_age, age)

    def due_age(self, last_look_age: float, bound: float) -> float:
        """The age at which `undetected` reaches a bound above 0."""
        return self._curve.due_age(last_look_age, bound)

    def to_json(self) -> str:
        """What was learnt, as a text for `from_json`."""
        self._rebuild()
        known = {"ends": self._ends, "seconds": self._seconds}
        return json.dumps(
            {name: [round(n / self._weight, 4) for n in numbers] for name, numbers in known.items()}
        )

    @classmethod
    def from_json(cls, text: str | None) -> "DurationModel":
        """What was learnt before; a text that makes no sense teaches nothing."""
        durations = cls()
        try:
            known = json.loads(text or "{}")
            ends, seconds = _numbers(known["ends"]), _numbers(known["seconds"])
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return durations
        durations._ends, durations._seconds = ends, seconds
        durations._known = durations._seen = int(min(sum(ends), MEMORY))
        durations._rebuild()
        return durations

    def _watched(self, from_age: float, to_age: float, weight: float) -> None:
        """Add the seconds between two ages: those up to the later, less those up to the former."""
        first, last = bin_of(from_age), bin_of(to_age)
        self._seconds[last] += weight * (to_age - EDGES[last])
        self._seconds[first] -= weight * (from_age - EDGES[first])
        self._crossings[first] += weight
        self._crossings[last] -= weight

    def _spread(self, after_age: float, by_age: float) -> None:
        """Share an end among the bins it may lie in, as what is known so far makes it likely."""
        curve, first, last = self._curve, bin_of(after_age), bin_of(by_age)
        before, after = curve.survival(after_age), curve.survival(by_age)
        if before - after < _UNLIKELY:
            self._end(after_age, (after_age + by_age) / 2)
            return
        scale = self._weight / (before - after)
        self._share(first, scale * (before - curve.alive[first + 1]))
        self._share(last, scale * (curve.alive[last] - after))
        self._shares[first + 1] += scale
        self._shares[last] -= scale
        # So far the seconds are those of all that ran at `after_age`: those that still ran at
        # `by_age` are not meant.
        self._watched(after_age, by_age, -scale * after)

    def _share(self, n: int, share: float) -> None:
        self._ends[n] += share
        self._seconds[n] += share / self._curve.rates[n]

    def _end(self, after_age: float, age: float) -> None:
        self._watched(after_age, age, self._weight)
        self._ends[bin_of(age)] += self._weight

    def _learnt(self) -> None:
        self._known = min(self._known + 1, MEMORY)
        self._news += 1
        if self._news > self._known * _NEWS:
            self._rebuild()

    def _rebuild(self) -> None:
        self._settle()
        self._curve = Hazards(self._rates())
        self._news = 0
        if self._curve.distance(self._announced) >= MATERIAL:
            self._announced = self._curve
            self.version += 1

    def _rates(self) -> list[float]:
        """The hazards as now known; where jobs end, others are expected to end a little later."""
        prior_ends, rates, raised = _PRIOR_ENDS * self._weight, list[float](), 1.0
        for prior, ended, watched in zip(_PRIOR, self._ends, self._seconds, strict=True):
            prior_seconds = prior_ends / (prior * raised)
            rate = (prior_ends + ended) / (prior_seconds + max(0.0, watched))
            rates.append(min(max(rate, _RAREST), _FASTEST))
            raised = max(1.0, rates[-1] / prior)
        return rates

    def _settle(self) -> None:
        """Bring home to each bin what was noted for a row of them at its two ends."""
        curve = self._curve
        rows = zip(accumulate(self._shares), accumulate(self._crossings), strict=True)
        for n, (share, crossings) in enumerate(rows):
            self._share(n, share * curve.ending[n])
            if n < BINS - 1:
                self._seconds[n] += crossings * LENGTHS[n]
        self._shares, self._crossings = [0.0] * BINS, [0.0] * BINS
        if self._weight > _HEAVIEST:
            self._ends = [ended / self._weight for ended in self._ends]
            self._seconds = [watched / self._weight for watched in self._seconds]
            self._weight = 1.0


def _numbers(values: Any) -> list[float]:  # noqa: ANN401 - whatever the text says
    numbers = [float(value) for value in values]
    if len(numbers) != BINS or not all(isfinite(number) and number >= 0 for number in numbers):
        msg = "not one number for each bin"
        raise ValueError(msg)
    return numbers
