"""The jobs that are watched, in the order in which a poll of each is due."""

from collections.abc import Collection, Hashable, Iterator
from heapq import heapify, heappop, heappush
from math import inf
from typing import Final, Generic, TypeVar

from hostup_async._polling.durations import DurationModel

K = TypeVar("K", bound=Hashable)

# Due times are computed anew when the price has moved by this factor. Less moves a poll by less
# than a fifth of the delay it is meant to end.
_PRICE_MOVED: Final = 1.25
# Jobs that get a new due time in one step, which takes about 0.3 ms and holds up the event loop.
_STEP: Final = 64
# The same while no request waits for the decision: about 3 ms.
_LONG_STEP: Final = 512
# The heap is cleared of dead entries when it holds this many for each job.
_DEAD_ENTRIES: Final = 3
# Spread of the price between jobs while little is known, as a share of it. Jobs that began together
# are then polled at different ages, so that each poll teaches something new.
_PRICE_SPREAD: Final = 0.9
# One poll in this many is an early one, at a price of half a second. While the price is high all
# others come late and find jobs over: that jobs have come to end sooner would go unnoticed.
_EARLY_POLL_EVERY: Final = 32
_EARLY_POLL_PRICE: Final = 0.5
# While nothing is known of durations, one job is polled at this age in seconds, and at twice its
# age each time that it still runs: few polls tell in time how many jobs are to be in flight.
_SCOUT_AGE: Final = 2.0
# Multiples of the golden ratio, modulo 1, fill the unit interval evenly however many there are.
_GOLDEN: Final = 0.618033988749895


class PolledJob(Generic[K]):
    """One job. Its ages count from `began`; all is in seconds.

    Attributes:
        key: The owner's name for it.
        durations: What is known of jobs like it.
        began: The moment when it began.
        deadline: The moment at which a poll is due at the latest, whatever else is said.
        not_before: The moment before which no other is due.
        running_age: Its age when it was last found running.
        polled_age: Its age at the last poll, whatever that found.
        scout_age: The age at which it is polled at the latest, to find out how long jobs take.
        serial: The number of its last `PollQueue.put` among those of all jobs; from it follows
            by how much its price differs from the common one.
        version: The number of its entry in the heap; all others are dead. 0 while it has none.
    """

    __slots__ = (
        "began",
        "deadline",
        "durations",
        "key",
        "not_before",
        "polled_age",
        "running_age",
        "scout_age",
        "serial",
        "version",
    )

    def __init__(self, key: K, durations: DurationModel, began: float, deadline: float) -> None:
        self.key: Final = key
        self.durations: Final = durations
        self.began: Final = began
        self.deadline = deadline
        self.not_before = -inf
        self.running_age = self.polled_age = 0.0
        self.scout_age = inf
        self.serial = self.version = 0

    @property
    def is_scout(self) -> bool:
        """Whether it is polled early, to find out how long jobs take."""
        return self.scout_age < inf

    def due(self, price: float) -> float:
        """When a poll is worth its price in expected detection delay, within the job's bounds."""
        phase, confidence = (self.serial - 1) * _GOLDEN % 1, self.durations.confidence()
        is_early = confidence and price < self.durations.mean()
        price *= 1 + _PRICE_SPREAD * (1 - confidence) * (2 * phase - 1)
        if is_early and not self.serial % _EARLY_POLL_EVERY:
            price = min(price, _EARLY_POLL_PRICE)
        age = min(self.durations.due_age(self.polled_age, price), self.scout_age)
        return min(max(self.not_before, self.began + age), self.deadline)


class Rekeying(Generic[K]):
    """Which jobs still stand in the heap by an earlier price, or by what was known earlier.

    Why not a plain heap: its keys are due times, and the price moves all of them at once, as does
    what is learnt of durations. With 100,000 jobs, computing them anew takes half a second; doing
    that in one step would stop the event loop, and doing it at each change of price would take
    all of the processor. So a new price is taken up a few jobs at a time (`step`), and the next
    one only when as many steps have passed as there are jobs: constant work a decision, and due
    times that are old by a few seconds at most. A heap by age, without the price in its keys,
    does not exist: how a due time follows from the price depends on each job's own polls.

    Attributes:
        price: The price by which due times are now computed, in seconds.
    """

    __slots__ = ("_is_stale", "_late", "_steps", "price")

    def __init__(self) -> None:
        self.price = 1.0
        self._is_stale = False
        self._late: list[PolledJob[K]] = []
        self._steps = 0  # since it began last

    @property
    def is_under_way(self) -> bool:
        """Whether there are jobs left for `step`."""
        return bool(self._late)

    def invalidate(self) -> None:
        """All due times are old: what is known of durations has changed."""
        self._is_stale = True

    def begin(self, price: float, jobs: Collection[PolledJob[K]], *, at_once: bool) -> None:
        """Take up a new price, if it has moved, all jobs have the last one, and it is time.

        Args:
            price: The present price.
            jobs: All jobs.
            at_once: Whether there is time to spare, so that no number of steps need have passed.
        """
        self._steps += not at_once
        if self._late or not (at_once or self._steps > len(jobs) - _STEP):
            return
        if self._is_stale or not 1 / _PRICE_MOVED < price / self.price < _PRICE_MOVED:
            self.price, self._is_stale, self._steps = price, False, 0
            self._late = [job for job in jobs if job.version]

    def step(self, most: int) -> Iterator[PolledJob[K]]:
        """The next jobs to be put into the heap anew; those polled meanwhile are left out."""
        for _ in range(min(most, len(self._late))):
            job = self._late.pop()
            if job.version:
                yield job


class PollQueue(Generic[K]):
    """A heap of the jobs that wait for a poll, by the moment when it is worth its price.

    A job that is put in again, or dropped, leaves its old entry behind; that is dead, since its
    version is no longer the job's, and removed when it comes up.

    Attributes:
        jobs: All jobs that are watched, also those that are being polled.
    """

    def __init__(self) -> None:
        self.jobs: Final[dict[K, PolledJob[K]]] = {}
        self._heap: list[tuple[float, int, PolledJob[K]]] = []
        self._rekeying: Final[Rekeying[K]] = Rekeying()
        self._puts = self._version = 0
        self._sent: PolledJob[K] | None = None  # to find out how long jobs take

    def put(self, job: PolledJob[K]) -> None:
        """From now on a poll of the job can become due."""
        self._puts += 1
        job.serial = self._puts
        self._scout(job)
        self._push(job)

    def _scout(self, job: PolledJob[K]) -> None:
        """Poll this job early if nothing is known of durations, and no other one is."""
        sent, durations = self._sent, job.durations
        is_first = sent is None or sent.durations is not durations or sent.key not in self.jobs
        job.scout_age = inf
        if (is_first or job is sent) and not durations.confidence():
            job.scout_age, self._sent = max(_SCOUT_AGE, 2 * job.polled_age), job

    def take(self) -> PolledJob[K]:
        """Remove the job that `first` returned, to poll it."""
        job = heappop(self._heap)[2]
        job.version = 0
        return job

    def drop(self, key: K) -> None:
        """Forget a job; one that is not known is forgotten already."""
        job = self.jobs.pop(key, None)
        if job:
            job.version = 0

    def first(self, price: float) -> tuple[float, PolledJob[K] | None]:
        """When the next poll is due, and of which job; infinitely late where there is none."""
        self._rekey(price, _STEP, at_once=False)
        return self._top()

    def first_with_time_to_spare(self, price: float) -> tuple[float, PolledJob[K] | None]:
        """When the next poll is due, and of which job, more exactly than `first` says.

        More due times are computed anew before. Where `is_rekeying` says that it was not enough,
        ask again soon.
        """
        self._rekey(price, _LONG_STEP, at_once=True)
        return self._top()

    @property
    def is_rekeying(self) -> bool:
        """Whether due times are still to be computed anew."""
        return self._rekeying.is_under_way

    def invalidate(self) -> None:
        """What is known of durations has changed."""
        self._rekeying.invalidate()

    def _rekey(self, price: float, most: int, *, at_once: bool) -> None:
        self._rekeying.begin(price, self.jobs.values(), at_once=at_once)
        for job in self._rekeying.step(most):
            self._push(job)

    def _push(self, job: PolledJob[K]) -> None:
        self._version += 1
        job.version = self._version
        heappush(self._heap, (job.due(self._rekeying.price), job.version, job))
        if len(self._heap) > _DEAD_ENTRIES * len(self.jobs) + _STEP:
            self._heap = [entry for entry in self._heap if entry[1] == entry[2].version]
            heapify(self._heap)

    def _top(self) -> tuple[float, PolledJob[K] | None]:
        heap = self._heap
        while heap and heap[0][1] != heap[0][2].version:
            heappop(heap)
        return (heap[0][0], heap[0][2]) if heap else (inf, None)
