"""The jobs that are watched, in the order in which a look at them is due."""

from collections.abc import Hashable
from heapq import heapify, heappop, heappush
from math import inf
from typing import Final, Generic, TypeVar

from hostup_async._polling.durations import DurationModel

K = TypeVar("K", bound=Hashable)

# Due times are set anew when the price has moved by such a factor,
_MOVED: Final = 1.25
# a few jobs at a time: an event loop waits for each step. A long list is not begun anew before as
# many steps have passed as it has jobs, which bounds the work for each.
_FEW: Final = 64
_MANY: Final = 512
# While little is known, prices are off the common one by up to this share. Unless jobs that began
# together are looked at one after the other, none of them can teach when it is time for the next.
_UNEVEN: Final = 0.9
# While looks are dear all come late, and find only that jobs have ended: that these have come to
# end sooner would go unnoticed, if it were not for one look in so many, which comes early.
_SCOUTS: Final = 32
_SCOUTS_PRICE: Final = 0.5
_GOLDEN: Final = 0.618033988749895


class PolledJob(Generic[K]):
    """One job. Its ages count from `began`; all is in seconds.

    Attributes:
        key: The owner's name for it.
        durations: What is known of jobs like it.
        began: The moment when it began.
        deadline: The moment at which a look is due at the latest.
        not_before: The moment before which none is.
        seen_age: Its age when it was last found running.
        asked_age: Its age at the last look, whatever that found.
        looks: Counts the looks at all jobs; this job's price depends on where it stands.
        turn: Names its one entry in the heap that counts; 0 while it has none.
    """

    __slots__ = (
        "asked_age",
        "began",
        "deadline",
        "durations",
        "key",
        "looks",
        "not_before",
        "seen_age",
        "turn",
    )

    def __init__(self, key: K, durations: DurationModel, began: float, deadline: float) -> None:
        self.key: Final = key
        self.durations: Final = durations
        self.began: Final = began
        self.deadline = deadline
        self.not_before = -inf
        self.seen_age = self.asked_age = 0.0
        self.looks = self.turn = 0

    def due(self, price: float) -> float:
        """When a look is worth so many seconds undetected, within the job's own bounds."""
        phase = (self.looks - 1) * _GOLDEN % 1
        price *= 1 + _UNEVEN * (1 - self.durations.certainty()) * (2 * phase - 1)
        if not self.looks % _SCOUTS:
            price = min(price, _SCOUTS_PRICE)
        age = self.durations.due_age(self.asked_age, price)
        return max(self.not_before, min(self.began + age, self.deadline))


class PollQueue(Generic[K]):
    """A heap of the jobs that wait for a look, by the moment when it is worth its price.

    Attributes:
        jobs: All jobs that are watched, also those that are looked at just now.
    """

    def __init__(self) -> None:
        self.jobs: Final[dict[K, PolledJob[K]]] = {}
        self._heap: list[tuple[float, int, PolledJob[K]]] = []
        self._price = 1.0
        self._outdated = False
        self._late: list[PolledJob[K]] = []  # their due times are yet to be set anew
        self._looks = self._turn = self._steps = 0

    def put(self, job: PolledJob[K]) -> None:
        """From now on a look at the job can become due."""
        self._looks += 1
        job.looks = self._looks
        self._push(job)

    def take(self) -> PolledJob[K]:
        """Remove the job that `first` returned, to look at it."""
        job = heappop(self._heap)[2]
        job.turn = 0
        return job

    def drop(self, key: K) -> None:
        """Forget a job; one that is not known is forgotten already."""
        job = self.jobs.pop(key, None)
        if job:
            job.turn = 0

    def first(self, price: float) -> tuple[float, PolledJob[K] | None]:
        """The job at which a look is due first, and when; infinitely late where there is none."""
        self._steps += 1
        if not self._late and self._steps > len(self.jobs) - _FEW:
            self._begin_anew(price)
        self._go_on(_FEW)
        return self._top()

    def first_of_all(self, price: float) -> tuple[float, PolledJob[K] | None]:
        """The same, for when there is time to spare; `is_late` says whether it was not enough."""
        if not self._late:
            self._begin_anew(price)
        self._go_on(_MANY)
        return self._top()

    @property
    def is_late(self) -> bool:
        """Whether due times are still to be set anew: ask again soon."""
        return bool(self._late)

    def outdate(self) -> None:
        """What is known of durations has changed."""
        self._outdated = True

    def _push(self, job: PolledJob[K]) -> None:
        self._turn += 1
        job.turn = self._turn
        heappush(self._heap, (job.due(self._price), job.turn, job))

    def _top(self) -> tuple[float, PolledJob[K] | None]:
        heap = self._heap
        while heap and heap[0][1] != heap[0][2].turn:
            heappop(heap)
        return (heap[0][0], heap[0][2]) if heap else (inf, None)

    def _begin_anew(self, price: float) -> None:
        """Set all due times anew, if anything calls for it."""
        if self._outdated or not 1 / _MOVED < price / self._price < _MOVED:
            self._price, self._outdated, self._steps = price, False, 0
            self._late = [job for job in self.jobs.values() if job.turn]
        if len(self._heap) > 3 * len(self.jobs) + _FEW:
            self._heap = [entry for entry in self._heap if entry[1] == entry[2].turn]
            heapify(self._heap)

    def _go_on(self, most: int) -> None:
        late = self._late
        for _ in range(min(most, len(late))):
            job = late.pop()
            if job.turn:
                self._push(job)
