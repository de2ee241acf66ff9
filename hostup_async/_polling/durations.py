"""How long jobs take, learnt from polls.

A poll never shows when a job ended, only that it ended between two ages (interval censoring), or
that it has not ended yet (right censoring). The model is a hazard for each bin of `hazards`, a
piecewise-exponential distribution, fitted by expectation-maximisation, one observation at a time.

Likelihood. With `S(age)`, the share of jobs that run longer: a job that ran at age `a` and is found
running at `b` contributes `S(b) / S(a)`; one that is found over, `(S(a) - S(b)) / S(a)`.

M-step. With the ends and the seconds watched in a bin known, the likelihood is that of a Poisson
process, and the hazard is ends over seconds. Jobs that still run add seconds and no end, so slow
jobs count before they end: there is no survivor bias.

E-step. Where an end lies in several bins, it is shared among them as the present curve makes it
likely: bin `n` gets `(S(n) - S(n+1)) / (S(a) - S(b))` of an end, and the seconds that a job which
ends in `(a, b]` is expected to run in the bin, `(share of the end) / rate - length * S(b) / (S(a) -
S(b))`. This is Turnbull's self-consistency (1976, "The empirical distribution function with
arbitrarily grouped, censored and truncated data"). Turnbull iterates over all observations until
nothing changes; here each is shared once, by the curve of its moment, as in online EM (Cappé and
Moulines 2009): nothing but two numbers a bin is kept, and old shares fade.

Prior. A Gamma prior in each bin, worth 0.1 of an end: a weak one, since its only task is to say
something before anything is known. Where jobs are found to end sooner than it says, it is raised
for the bins after that, so that the last jobs of a batch are not thought to run for ever.

Forgetting. An end that lies `MEMORY` ends back counts for 1/e. Instead of shrinking all that was
learnt, each observation gets a larger weight than the one before it; `settle` scales back. Where
polls contradict the curve (`check_drift`), most of what was learnt is forgotten at once.

Cost. A job polled rarely spans many bins; two `RangeSum`s make each observation constant work.
Rejected: a parametric family (log-normal, Weibull), which two kinds of job in one fleet, or a
server that finishes jobs in rounds, would fit badly; and a sample of past durations, which
censored observations cannot be added to.
"""

import json
from itertools import accumulate
from math import exp, isfinite, log, log1p
from typing import Any, Final

from hostup_async._polling.hazards import BINS, EDGES, LENGTHS, LONGEST, Hazards, bin_of

# The prior, in seconds: half of all jobs end within 30 s. A few end about at once (an API that
# answers after the fact), the others at a steady rate.
PRIOR_MEDIAN: Final = 30.0
_AT_ONCE: Final = 0.3  # seconds
_AT_ONCE_SHARE: Final = 0.06  # of an end, for each e-fold of age from there on
_STEADY_RATE: Final = (log(2) - _AT_ONCE_SHARE * log1p(PRIOR_MEDIAN / _AT_ONCE)) / PRIOR_MEDIAN
# What the prior is worth in each bin, in ends.
_PRIOR_ENDS: Final = 0.1

# The bounds of any hazard, in ends per second: they keep the arithmetic finite.
_MIN_RATE: Final = 1e-7
_MAX_RATE: Final = 1e3

# An end that lies this many ends back counts for 1/e of the newest one: enough to know a 95th
# percentile, few enough to follow a server whose jobs grow slower within an hour.
MEMORY: Final = 250
# The weight of an observation at which all counts are scaled back; far from the largest float.
_MAX_WEIGHT: Final = 1e9
# The curve is computed anew once this share of what it knows was added. It costs 50 times what an
# observation does.
_REFIT_SHARE: Final = 1 / 16
# `version` changes once this share of jobs ends in another bin than at the last change: all due
# times are then computed anew, which less would not be worth.
MATERIAL: Final = 0.1
# After this many ends, half is known of what there is to know.
_HALF_KNOWN: Final = 40
_CONFIDENT: Final = 0.5  # the confidence from which on a contradiction is drift, and not ignorance

# Drift is judged over about this many polls, and found at this many standard deviations. The
# variance is that of a sum that does not fade, about twice the true one: found late rather than
# by chance.
_DRIFT_POLLS: Final = 32
_DRIFT_DEVIATIONS: Final = 4.0
_MIN_VARIANCE: Final = 0.1  # so that one surprise among certainties is not enough
# What was known then counts for this many times less.
_DRIFT_FORGETS: Final = 8.0
# Where the curve gave an end a smaller chance than this, it cannot say where the end was.
_MIN_CHANCE: Final = 1e-6


def _prior(edge: float, length: float) -> float:
    """The prior hazard of a bin: its mean there."""
    length = min(length, LONGEST)
    at_once = _AT_ONCE_SHARE * log1p(length / (_AT_ONCE + edge)) / length
    return _STEADY_RATE + at_once


_PRIOR: Final = [_prior(edge, length) for edge, length in zip(EDGES, LENGTHS, strict=True)]


class RangeSum:
    """A sum for each bin, to which a range of bins is added in constant time.

    A difference array: an amount is noted where its range begins and taken back where it ends;
    the running total is the sum of each bin.
    """

    __slots__ = ("_steps",)

    def __init__(self) -> None:
        self._steps = [0.0] * BINS

    def add(self, first: int, end: int, amount: float) -> None:
        """Add an amount to each bin from the first to the one before the end."""
        self._steps[first] += amount
        self._steps[end] -= amount

    def collect(self) -> list[float]:
        """The sum of each bin; all begin again at 0."""
        sums = list(accumulate(self._steps))
        self._steps = [0.0] * BINS
        return sums


class Counts:
    """The ends and the seconds watched in each bin, all that the model keeps of what it saw.

    Attributes:
        ends: The jobs that ended in each bin, in parts where an end is shared among bins.
        seconds: For how long jobs were watched in each bin.
        weight: What the next observation counts for; it grows, and so the past fades.
    """

    __slots__ = ("_shared_ends", "_whole_bins", "ends", "seconds", "weight")

    def __init__(self) -> None:
        self.ends = [0.0] * BINS
        self.seconds = [0.0] * BINS
        self.weight = 1.0
        self._whole_bins = RangeSum()  # jobs watched through a bin from its beginning to its end
        self._shared_ends = RangeSum()  # ends, each over its chance to lie where it was found

    def add_running(self, from_age: float, to_age: float) -> None:
        """A job was watched from the one age to the other."""
        self._add_seconds(from_age, to_age, self.weight)

    def add_end(self, after_age: float, age: float) -> None:
        """A job that ran at the one age ended at the other."""
        self._add_seconds(after_age, age, self.weight)
        self.ends[bin_of(age)] += self.weight

    def share_end(self, after_age: float, by_age: float, curve: Hazards) -> None:
        """Share an end among the bins it may lie in: the E-step of the head comment."""
        first, last = bin_of(after_age), bin_of(by_age)
        before, after = curve.survival(after_age), curve.survival(by_age)
        if first == last or before - after < _MIN_CHANCE:
            self.add_end(after_age, (after_age + by_age) / 2)
            return
        scale = self.weight / (before - after)
        self._add_share(first, scale * (before - curve.alive[first + 1]), curve)
        self._add_share(last, scale * (curve.alive[last] - after), curve)
        self._shared_ends.add(first + 1, last, scale)
        # The seconds so far are those of all jobs that ran at `after_age`; those that would still
        # run at `by_age` are taken out.
        self._add_seconds(after_age, by_age, -scale * after)

    def settle(self, curve: Hazards) -> None:
        """Bring `ends` and `seconds` up to date, by the curve that all shares were made with."""
        for n, shared in enumerate(self._shared_ends.collect()):
            self._add_share(n, shared * curve.ending[n], curve)
        for n, jobs in enumerate(self._whole_bins.collect()[:-1]):
            self.seconds[n] += jobs * LENGTHS[n]
        if self.weight > _MAX_WEIGHT:
            self.ends, self.seconds = self.scaled()
            self.weight = 1.0

    def scaled(self) -> tuple[list[float], list[float]]:
        """The ends and the seconds, in units of the newest observation."""
        weight = self.weight
        return [ends / weight for ends in self.ends], [each / weight for each in self.seconds]

    def rates(self) -> list[float]:
        """The hazard of each bin: the M-step, with the prior."""
        prior_ends, rates, raised = _PRIOR_ENDS * self.weight, list[float](), 1.0
        for prior, ended, watched in zip(_PRIOR, self.ends, self.seconds, strict=True):
            prior_seconds = prior_ends / (prior * raised)
            rate = (prior_ends + ended) / (prior_seconds + max(0.0, watched))
            rates.append(min(max(rate, _MIN_RATE), _MAX_RATE))
            raised = max(1.0, rates[-1] / prior)
        return rates

    def _add_seconds(self, from_age: float, to_age: float, weight: float) -> None:
        """Add the time between two ages: all bins from the former on, less what lies outside."""
        first, last = bin_of(from_age), bin_of(to_age)
        self.seconds[last] += weight * (to_age - EDGES[last])
        self.seconds[first] -= weight * (from_age - EDGES[first])
        self._whole_bins.add(first, last, weight)

    def _add_share(self, n: int, share: float, curve: Hazards) -> None:
        self.ends[n] += share
        self.seconds[n] += share / curve.rates[n]


class DriftDetector:
    """Whether the latest polls contradict what was expected of them.

    A z-test on exponentially weighted sums: each poll adds whether it found an end, less the
    chance of that; and, to the variance, what a coin of that chance has.
    """

    __slots__ = ("_surprise", "_variance")

    def __init__(self) -> None:
        self._surprise = self._variance = 0.0

    def observe(self, chance: float, *, ended: bool) -> bool:
        """Add a poll; whether more of the latest polls, or fewer, found an end than can be."""
        self._surprise += ended - chance - self._surprise / _DRIFT_POLLS
        self._variance += chance * (1 - chance) - self._variance / _DRIFT_POLLS
        return self._surprise**2 > _DRIFT_DEVIATIONS**2 * (self._variance + _MIN_VARIANCE)

    def reset(self) -> None:
        """Begin anew, with what is now expected."""
        self._surprise = self._variance = 0.0


class DurationModel:
    """The learnt distribution of how long the jobs of one action take, in seconds.

    Attributes:
        version: Changes when the distribution has changed enough to plan anew.
        longest: The longest duration that was seen, which fades like all that was learnt.

    Example:
        >>> durations = DurationModel()
        >>> for _ in range(100):
        ...     durations.observe_running(0, 8)  # a poll at 8 s found the job running
        ...     durations.observe_end(8, 10)  # the next one, at 10 s, found that it had ended
        >>> 8 < durations.quantile(0.5) < 10
        True
    """

    def __init__(self) -> None:
        self.version: int = 0
        self.longest: float = 0.0
        self._counts: Final = Counts()
        self._drift: Final = DriftDetector()
        # Ends and observations that still count, MEMORY at most; and the observations that the
        # curve does not know of yet.
        self._ends = self._observations = self._unfitted = 0
        self._curve = self._announced = Hazards(_PRIOR)

    def __repr__(self) -> str:
        return (
            f"<DurationModel: median {self.quantile(0.5):.3g} s, mean {self.mean():.3g} s, "
            f"confidence {self.confidence():.2f}>"
        )

    def observe_running(self, from_age: float, to_age: float) -> None:
        """A job that ran at the one age was found running at the other."""
        self._counts.add_running(from_age, to_age)
        self._count_observation()

    def observe_end(self, after_age: float, by_age: float) -> None:
        """A job that ran at the one age had ended at the other; an exact age is given twice."""
        self._counts.share_end(after_age, by_age, self._curve)
        self.longest = max(by_age, self.longest * (1 - 1 / MEMORY))
        self._counts.weight *= 1 + 1 / MEMORY
        self._ends = min(self._ends + 1, MEMORY)
        self._count_observation()

    def check_drift(self, from_age: float, to_age: float, *, ended: bool) -> None:
        """Forget most of the past if polls contradict it; called before a poll is observed.

        Args:
            from_age: The age at which the job was last found running.
            to_age: The age at which it was polled.
            ended: Whether it had ended.
        """
        chance = 1 - exp(self._curve.log_survival(from_age, to_age))
        if self._drift.observe(chance, ended=ended) and self.confidence() > _CONFIDENT:
            self._counts.weight *= _DRIFT_FORGETS
            self._ends = self._observations = int(self._ends / _DRIFT_FORGETS)
            self._drift.reset()

    def confidence(self) -> float:
        """How much was learnt: 0.0 from nothing, 0.5 from some ends, nearly 1.0 from many."""
        return self._ends / (self._ends + _HALF_KNOWN)

    def survival(self, age: float) -> float:
        """The share of jobs that take longer."""
        return self._curve.survival(age)

    def mean(self) -> float:
        """The mean duration."""
        return self._curve.mean

    def mean_left(self, age: float) -> float:
        """The mean time that jobs still take which run at this age."""
        return self._curve.mean_left(age)

    def quantile(self, share: float) -> float:
        """The age by which this share of jobs, below 1, has ended."""
        return self._curve.quantile(share)

    def expected_detection_delay(self, last_poll_age: float, age: float) -> float:
        """The mean time for which a job, found running at the one age, is over at the other."""
        return self._curve.expected_detection_delay(last_poll_age, age)

    def due_age(self, last_poll_age: float, delay: float) -> float:
        """The age at which `expected_detection_delay` reaches a delay above 0."""
        return self._curve.due_age(last_poll_age, delay)

    def to_json(self) -> str:
        """What was learnt, as a text for `from_json`."""
        self._refit()
        known = zip(("ends", "seconds"), self._counts.scaled(), strict=True)
        counts = {name: [round(n, 4) for n in numbers] for name, numbers in known}
        return json.dumps({**counts, "longest": round(self.longest, 4)})

    @classmethod
    def from_json(cls, text: str | None) -> "DurationModel":
        """What was learnt before; a text that makes no sense teaches nothing."""
        durations = cls()
        try:
            known = json.loads(text or "{}")
            ends, seconds = _numbers(known["ends"]), _numbers(known["seconds"])
            longest = float(known.get("longest", 0.0))
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return durations
        durations.longest = longest if isfinite(longest) else 0.0
        durations._counts.ends, durations._counts.seconds = ends, seconds
        durations._observations = durations._ends = int(min(sum(ends), MEMORY))
        durations._refit()
        return durations

    def _count_observation(self) -> None:
        self._observations = min(self._observations + 1, MEMORY)
        self._unfitted += 1
        if self._unfitted > self._observations * _REFIT_SHARE:
            self._refit()

    def _refit(self) -> None:
        """Compute the curve anew, and change the version if that is news."""
        self._counts.settle(self._curve)
        self._curve = Hazards(self._counts.rates())
        self._unfitted = 0
        if self._curve.distance(self._announced) >= MATERIAL:
            self._announced = self._curve
            self.version += 1


def _numbers(values: Any) -> list[float]:  # noqa: ANN401 - a text may hold anything
    numbers = [float(value) for value in values]
    if len(numbers) != BINS or not all(isfinite(number) and number >= 0 for number in numbers):
        msg = "not one number for each bin"
        raise ValueError(msg)
    return numbers
