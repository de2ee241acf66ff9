"""What to spend the next request on: a look at a job, or one more action.

Pure logic on a clock that is passed in. A look is worth the time for which its job has probably
been over without our knowing (`DurationModel.undetected`). Its price, also in seconds, rises while
actions wait for requests and falls while requests are left over.
"""

from math import ceil, exp, inf
from typing import Final, Generic

from attrs import frozen

from hostup_async._polling.durations import DurationModel
from hostup_async._polling.queue import K, PolledJob, PollQueue

# The price of a look, in seconds undetected. At the lowest one, requests cost nothing.
LOWEST_PRICE: Final = 0.22
HIGHEST_PRICE: Final = 30.0
# In mean durations: at this price looks are rarely in vain, and a higher one saves nothing.
_DEAREST: Final = 0.9
# While the window is full, looks are what opens it.
_EAGER: Final = 0.25
# The price changes e-fold in so many seconds.
_ADAPTS: Final = 2.0
_LONGEST_STEP: Final = 1.0
_SHORTEST_REST: Final = 0.005

# Little's law, with a little to spare.
_AMPLE: Final = 1.25
# The window where no rate limit is known: what is at stake, not what is possible, bounds it.
DEFAULT_WINDOW: Final = 1000
# Where jobs come to take longer than usual by more than this factor, our rate may be the cause.
_SLOWER: Final = 1.5
_LEAST_SHARE: Final = 0.5
# What is usual grows by this factor with each end, at most.
_GETS_USED: Final = 1 + 1 / 300


@frozen
class Poll(Generic[K]):
    """Look at this job, then call `PollScheduler.looked`."""

    key: K


@frozen
class Send:
    """Send the next action, then call `PollScheduler.sent`."""


@frozen
class Rest:
    """Do nothing until this moment, unless something happens before.

    Attributes:
        until: The moment; infinite where only an event can change anything.
        limited: Whether requests are left unused because the operator's bound is reached.
    """

    until: float
    limited: bool = False


@frozen
class ConcurrencyLimit:
    """How many actions may be in flight.

    Attributes:
        size: What applies.
        wanted: What the rate could make use of; above `size`, the operator's bound costs time.
    """

    size: int
    wanted: int


_SEND: Final = Send()


class PollScheduler(Generic[K]):
    """Decides, for each request that may be sent, what it is best spent on.

    Args:
        durations: What is known of how long jobs take; it goes on learning.
        limit: At most so many actions in flight; it may be changed at any time.

    Attributes:
        held_back: For how long, in seconds, requests were left unused because of the limit.
    """

    def __init__(self, durations: DurationModel | None = None, *, limit: int | None = None) -> None:
        self.durations = durations or DurationModel()
        self.limit = limit
        self.held_back = 0.0
        self._list: PollQueue[K] = PollQueue()
        self._sending = 0
        self._price = LOWEST_PRICE
        self._then = inf
        self._trend = 0
        self._limited = False
        self._usual_mean = self.durations.mean()

    def __len__(self) -> int:
        return len(self._list.jobs)

    @property
    def price(self) -> float:
        """What a look costs at present, in seconds undetected."""
        return self._price

    @property
    def in_flight(self) -> int:
        """Actions that are being sent, and jobs whose end is not known."""
        return self._sending + len(self._list.jobs)

    def plan_for(self, durations: DurationModel) -> None:
        """Let the actions to be sent be ones of which this is known."""
        if durations is not self.durations:
            self.durations, self._usual_mean = durations, durations.mean()

    def watch(
        self,
        key: K,
        now: float,
        *,
        began_at: float | None = None,
        deadline: float = inf,
        durations: DurationModel | None = None,
    ) -> None:
        """Begin to watch a job, or begin anew.

        Args:
            key: Your name for it.
            now: The present moment.
            began_at: When it began; now, unless said.
            deadline: When a look is due at the latest, say because the wait for it ends.
            durations: What is known of such jobs, where that is not what the pilot's are like.
        """
        self._list.drop(key)
        began = now if began_at is None else min(began_at, now)
        job = PolledJob(key, durations or self.durations, began, deadline)
        self._list.jobs[key] = job
        self._list.put(job)

    def forget(self, key: K) -> None:
        """Watch a job no longer."""
        self._list.drop(key)

    def sent(self) -> None:
        """The action of a `Send` is answered: `watch` its job, if there is one, before all else."""
        self._sending -= 1

    def looked(
        self,
        key: K,
        now: float,
        *,
        ended: bool | None,
        exact_duration: float | None = None,
        not_before: float = -inf,
    ) -> None:
        """A look at a job is answered; one that has ended is watched no longer.

        Args:
            key: The job; one that was forgotten meanwhile is no matter.
            now: The moment of the answer.
            ended: Whether the job has ended; None where the look found no answer.
            exact_duration: How long it took, where the answer says so.
            not_before: No look at this job before this moment.
        """
        job = self._list.jobs.get(key)
        if job is None:
            return
        if ended is not None:
            self._learn(job, now - job.began, ended=ended, exact=exact_duration)
        if ended:
            self._list.drop(key)
        else:
            job.not_before = not_before
            self._list.put(job)

    def decide(
        self,
        now: float,
        *,
        rate: float | None,
        tokens_idle: float,
        sends_waiting: int,
        may_send: bool = True,
    ) -> Poll[K] | Send | Rest:
        """What to do with the request that may be sent now.

        Args:
            now: The present moment.
            rate: The requests a second that the budget sustains; None where that is not known,
                infinite where there is no limit.
            tokens_idle: The requests that may be sent now besides this one without falling
                behind the rate later; below 0 where so many will be missing, so that a request
                saved now is one more later.
            sends_waiting: The actions still to be sent; 0 while draining.
            may_send: Whether one of them may be sent now, as far as whoever sends them knows.
        """
        self._adapt(now)
        window = self.window(rate)
        admitted = sends_waiting > 0 and may_send and self.in_flight < window.size
        due, job = self._list.first(self._price)
        scarce = tokens_idle < 1 and (admitted or due < now - _LONGEST_STEP or tokens_idle < 0)
        self._trend, self._limited = int(scarce), False
        # What is sent last ends last: once all the rest has room, it goes before the looks.
        hurried = admitted and tokens_idle < 1 and sends_waiting <= window.size - self.in_flight
        if job and due <= now and not hurried:
            return self._look(now)
        if admitted:
            self._sending += 1
            return _SEND
        if tokens_idle < 0:  # a look in vain now is one that is missing later
            return Rest(min(due, now + _LONGEST_STEP) if job else due)
        return self._idle(now, window, sends_waiting)

    def window(self, rate: float | None) -> ConcurrencyLimit:
        """How many actions may be in flight at this rate, by Little's law.

        Args:
            rate: Requests a second, as for `decide`.
        """
        wanted = DEFAULT_WINDOW
        if rate is not None and rate < inf:
            wanted = max(1, ceil(_AMPLE * rate / 2 * (self._bearable_mean() + self._price)))
        return ConcurrencyLimit(wanted if self.limit is None else min(wanted, self.limit), wanted)

    def _bearable_mean(self) -> float:
        """The mean duration, or less where it grew so much that our own rate may be the cause."""
        mean, bearable = self.durations.mean(), _SLOWER * self._usual_mean
        return mean if mean <= bearable else bearable * max(_LEAST_SHARE, bearable / mean)

    def _look(self, now: float) -> Poll[K]:
        job = self._list.take()
        job.asked_age = max(job.asked_age, now - job.began)
        if now >= job.deadline:
            job.deadline = inf
        return Poll(job.key)

    def _idle(self, now: float, window: ConcurrencyLimit, sends_waiting: int) -> Poll[K] | Rest:
        """No look is worth its price and nothing may be sent: there are requests to spare."""
        due, job = self._list.first_of_all(self._price)
        if job and sends_waiting:  # for the window
            due = min(due, job.due(max(LOWEST_PRICE, _EAGER * self._price)))
        if due <= now:
            return self._look(now)
        self._trend = -1
        self._limited = sends_waiting > 0 and window.size < window.wanted
        if self._list.is_late:
            due = now + _SHORTEST_REST
        elif job and self._price > LOWEST_PRICE:
            due = min(due, now + _LONGEST_STEP)
        return Rest(due, self._limited)

    def _adapt(self, now: float) -> None:
        """Move the price as the last decision found it; looks may be that much rarer or not."""
        passed, self._then = max(0.0, now - self._then), now
        if self._limited:
            self.held_back += passed
        if self._trend:
            step = min(passed, _LONGEST_STEP) / _ADAPTS
            moved = self._price * exp(self._trend * step)
            self._price = max(min(moved, HIGHEST_PRICE, self._dearest()), LOWEST_PRICE)

    def _dearest(self) -> float:
        """The price from which on looks are rarely in vain; low while there is much to learn."""
        return _DEAREST * self._bearable_mean() * self.durations.certainty()

    def _learn(self, job: PolledJob[K], age: float, *, ended: bool, exact: float | None) -> None:
        durations, seen = job.durations, job.seen_age
        version = durations.version
        durations.check(seen, job.asked_age, ended=ended)
        if not ended:
            durations.ran(seen, job.asked_age)
            job.seen_age = job.asked_age
        elif exact is None:
            durations.ended(seen, max(seen, age))
        else:
            # The API's clock is not ours, yet the end was between two looks.
            exact = min(max(seen, exact), max(seen, age))
            durations.ran(seen, exact)
            durations.ended(exact, exact)
        if durations.version != version:
            self._list.outdate()
        if ended and durations is self.durations:
            self._usual_mean = min(durations.mean(), _GETS_USED * self._usual_mean)
