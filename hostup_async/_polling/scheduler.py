"""What to spend the next request on: a poll of a job, or one more action.

Pure logic on a clock that is passed in. A poll is worth the time for which its job has probably
been over unnoticed (`DurationModel.expected_detection_delay`). Its price, in the unit of that
worth, seconds, is a shadow price: what one more request would be worth elsewhere. It rises while
actions wait for requests and falls while requests are left over, so that all requests are used
and none is used for less than another would bring. `PollScheduler.decide` is the rule.

Where the hazard is low, polls at a constant price are Keller's square-root law (1974, "Optimum
checking schedules for systems subject to random failure"): gaps of `sqrt(2 * price / hazard)`.

Rejected: polls at fixed or growing intervals, which spend most requests on jobs that cannot be
over yet; and a fixed number of workers, which cannot follow Little's law (see `benchmarks/`).
"""

from functools import partial
from math import ceil, inf
from typing import Final, Generic

from attrs import frozen

from hostup_async._polling.durations import DurationModel
from hostup_async._polling.price import LONGEST_STEP, Price, UsualMean, lowest_price
from hostup_async._polling.queue import K, PolledJob, PollQueue

# The rest between two steps of re-keying, in seconds: others on the event loop get their turn.
_SHORTEST_REST: Final = 0.005

# Of what Little's law says is needed: durations vary, and an empty window wastes requests.
_LITTLE_MARGIN: Final = 1.25
_REQUESTS_PER_JOB: Final = 2  # at the best: its action, and one poll that finds it over
# The share of jobs that have ended by the age at which a job is taken to have.
_SURELY: Final = 0.95
# The last actions go before polls once no more windows than these are needed: the one that they go
# in, and one for their polls.
_LAST_WINDOWS: Final = 2
# The window where no rate limit is known. Not what is possible bounds it, but what is at stake.
DEFAULT_WINDOW: Final = 1000


@frozen
class Poll(Generic[K]):
    """Poll this job, then call `PollScheduler.polled`."""

    key: K


@frozen
class Send:
    """Send the next action, then call `PollScheduler.sent`."""


@frozen
class Rest:
    """Do nothing until this moment, unless something happens before.

    Attributes:
        until: The moment; infinite where only an event can change anything.
        at_max_in_flight: Whether requests are left unused because of the operator's bound.
    """

    until: float
    at_max_in_flight: bool = False


@frozen
class ConcurrencyLimit:
    """How many actions may be in flight.

    Attributes:
        size: How many may be.
        wanted: How many the rate could make use of; above `size`, the operator's bound costs time.
    """

    size: int
    wanted: int


_SEND: Final = Send()


class PollScheduler(Generic[K]):
    """Decides, for each request that may be sent, what it is best spent on.

    Args:
        durations: What is known of how long jobs take; it goes on learning.
        max_in_flight: The operator's bound on actions in flight, None for no bound; it may be
            changed at any time.

    Attributes:
        held_back: For how long, in seconds, requests were left unused because of that bound.
        decided_limit: How many actions might be in flight, by the last decision.
    """

    def __init__(
        self, durations: DurationModel | None = None, *, max_in_flight: int | None = None
    ) -> None:
        self.durations = durations or DurationModel()
        self.max_in_flight = max_in_flight
        self.held_back = 0.0
        self.decided_limit = ConcurrencyLimit(0, 0)
        self._queue: Final[PollQueue[K]] = PollQueue()
        self._price: Final = Price()
        self._usual_mean = UsualMean(self.durations)
        self._sending = 0
        self._decided_at = inf
        self._at_max_in_flight = False  # as of then

    def __len__(self) -> int:
        return len(self._queue.jobs)

    def __repr__(self) -> str:
        return (
            f"<PollScheduler: {self._sending} being sent, {len(self)} watched, "
            f"price {self.price:.2f} s>"
        )

    @property
    def price(self) -> float:
        """What a poll costs at present, in seconds of expected detection delay."""
        return self._price.value

    @property
    def in_flight(self) -> int:
        """Actions that are being sent, and jobs whose end is not known."""
        return self._sending + len(self._queue.jobs)

    def plan_sends_by(self, durations: DurationModel) -> None:
        """Let the actions to be sent be ones whose durations are these."""
        if durations is not self.durations:
            self.durations, self._usual_mean = durations, UsualMean(durations)

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
            deadline: When a poll is due at the latest, because the wait for it ends.
            durations: What is known of such jobs, where they are not like those to be sent.
        """
        self._queue.drop(key)
        began = now if began_at is None else min(began_at, now)
        job = PolledJob(key, durations or self.durations, began, deadline)
        self._queue.jobs[key] = job
        self._queue.put(job)

    def hasten(self, key: K, deadline: float) -> None:
        """Have a poll due at this moment, which is earlier than was said before."""
        job = self._queue.jobs.get(key)
        if job is not None:
            job.deadline = deadline
            if job.version:  # else it is being polled, and put back after that
                self._queue.put(job)

    def forget(self, key: K) -> None:
        """Watch a job no longer."""
        self._queue.drop(key)

    def sent(self) -> None:
        """The action of a `Send` is answered: `watch` its job, if there is one, before all else."""
        self._sending -= 1

    def polled(
        self,
        key: K,
        now: float,
        *,
        ended: bool | None,
        exact_duration: float | None = None,
        not_before: float = -inf,
    ) -> None:
        """A poll of a job is answered; one that has ended is watched no longer.

        Args:
            key: The job; one that was forgotten meanwhile is ignored.
            now: The moment of the answer.
            ended: Whether the job has ended; None where the poll found no answer.
            exact_duration: How long it took, where the answer says so.
            not_before: No poll of this job is due before this moment, but for its deadline.
        """
        job = self._queue.jobs.get(key)
        if job is None:
            return
        if ended is not None:
            self._learn(job, now - job.began, ended=ended, exact=exact_duration)
        if ended:
            self._queue.drop(key)
        else:
            job.not_before = not_before
            self._queue.put(job)

    def decide(  # noqa: PLR0913 - each is a fact of the moment
        self,
        now: float,
        *,
        rate: float | None,
        tokens_idle: float,
        sends_waiting: int,
        may_send: bool = True,
        tokens_left: float = 0.0,
        tokens_spare: float | None = None,
        renewed_in: float = inf,
        period: float = 0.0,
    ) -> Poll[K] | Send | Rest:
        """What to do with the request that may be sent now: the first line that applies.

        ================================  ====  =================================================
        situation                         do    why
        ================================  ====  =================================================
        a poll is worth its price, and    Poll  its job has probably been over for that long, and
        no action is hurried                    its end may let another action go
        an action waits, and the window   Send  no poll is worth more
        has room for it
        requests will be missing later    Rest  a poll in vain now is one that is missing then
        actions wait, the window is full  Poll  the request would be left over, and an end would
        and a poll is worth a quarter of        let an action go
        the price
        anything else                     Rest  until the next poll is due
        ================================  ====  =================================================

        The price rises while requests are scarce, and falls at the last line, where requests
        are left over.

        Args:
            now: The present moment.
            rate: The requests a second that the budget sustains; None where that is not known,
                infinite where there is no limit.
            tokens_idle: The requests that may be sent now besides this one without falling
                behind the rate later; below 0 where that many will be missing, so that a request
                saved now is one more later.
            sends_waiting: The actions still to be sent; 0 while draining.
            may_send: Whether one of them may be sent now, as far as its sender knows.
            tokens_left: Requests left in this window of the limit.
            tokens_spare: The requests left over of all windows that are needed until the last
                outcome is known; None where no windows are planned.
            period: Seconds of a window, after which requests come back together.
            renewed_in: Seconds until the window ends, and what is left of it is lost.
        """
        limit_at = partial(
            self.concurrency_limit,
            period=period,
            sends_waiting=sends_waiting,
            tokens_left=tokens_left,
        )
        if tokens_spare is not None:
            sendable = min(sends_waiting, limit_at(rate).size - self.in_flight) if may_send else 0
            lost = tokens_left - self._usable(renewed_in, sendable)
            tokens_idle, tokens_spare = max(tokens_idle, lost), max(tokens_spare, lost)
        jobs = sends_waiting + len(self)
        if rate is None and sends_waiting and self.max_in_flight is not None:
            rate = inf  # the operator's bound keeps the requests few, and costs time
        self._pass_time(now, rate, None if tokens_spare is None else tokens_spare / max(1, jobs))
        self.decided_limit = window = limit_at(rate)
        room = window.size - self.in_flight if may_send else 0
        admitted = sends_waiting > 0 and room > 0
        due, job = self._queue.first(self.price)
        scarce = self._is_scarce(tokens_idle, admitted=admitted, overdue=now - due)
        self._price.trend = int(scarce)
        hurried = admitted and self._is_hurried(tokens_idle, sends_waiting, room)
        if job and due <= now and (job.is_scout or not hurried):
            return self._poll(now)
        if admitted:
            self._sending += 1
            return _SEND
        if tokens_idle < 0:
            return self._save_request(now)
        return self._spare_request(now, window, sends_waiting)

    def concurrency_limit(
        self,
        rate: float | None,
        *,
        period: float = 0.0,
        sends_waiting: int = 0,
        tokens_left: float = 0.0,
    ) -> ConcurrencyLimit:
        """How many actions may be in flight at this rate, by Little's law.

        In flight = jobs a second x seconds until an end is known. Every job takes two requests,
        its action and a poll, and its end is known about the price after it; and half a window of
        the limit later, where requests come back together. The last actions of a fleet that fit
        into a window of the limit all go in it, if they are no more than that again: so no window
        is lost to polls that came too early.

        Args:
            rate: Requests a second, as for `decide`.
            period: Seconds of a window, after which requests come back together.
            sends_waiting: The actions still to be sent, where requests will be missing later.
            tokens_left: Requests left in this window of the limit.
        """
        wanted = DEFAULT_WINDOW
        if rate is not None and rate < inf:
            mean = self._usual_mean.bearable(self.durations.mean())
            known_after = mean + min(self.price, mean) + period / 2
            requests = rate * known_after + (0 if period else tokens_left)
            wanted = max(1, ceil(_LITTLE_MARGIN * requests / _REQUESTS_PER_JOB))
            is_bounded = 0 < sends_waiting <= max(wanted, rate * period)
            if is_bounded and self._are_last(sends_waiting, rate, period, tokens_left):
                wanted = max(wanted, self.in_flight + sends_waiting)
        most = self.max_in_flight
        return ConcurrencyLimit(wanted if most is None else min(wanted, most), wanted)

    def _are_last(self, sends_waiting: int, rate: float, period: float, tokens_left: float) -> bool:
        """Whether the actions to be sent are the last ones, and are to go before polls."""
        mean = self.durations.mean()
        if self._usual_mean.bearable(mean) < mean:
            return False  # our own rate may slow jobs down
        needed = _REQUESTS_PER_JOB * sends_waiting + len(self)
        longest = self.durations.quantile(_SURELY) + _LAST_WINDOWS * period
        return sends_waiting <= tokens_left or needed <= rate * longest

    def _usable(self, seconds: float, sendable: int) -> float:
        """About how many requests can be used within some seconds: sends, and polls of ends."""
        return max(0, sendable) + len(self) * min(1, seconds / self.durations.mean())

    @staticmethod
    def _is_scarce(tokens_idle: float, *, admitted: bool, overdue: float) -> bool:
        """No request is idle, and more could be used: one more would be worth the price or more."""
        return tokens_idle < 1 and (admitted or overdue > LONGEST_STEP or tokens_idle < 0)

    @staticmethod
    def _is_hurried(tokens_idle: float, sends_waiting: int, room: int) -> bool:
        """All that wait have room: they go before polls, for the action sent last ends last."""
        return tokens_idle < 1 and sends_waiting <= room

    def _poll(self, now: float) -> Poll[K]:
        job = self._queue.take()
        job.polled_age = max(job.polled_age, now - job.began)
        if now >= job.deadline:
            job.deadline = inf
        return Poll(job.key)

    def _save_request(self, now: float) -> Poll[K] | Rest:
        """No poll is worth its price, nothing may be sent, and requests will be missing later."""
        due, job = self._queue.first_with_time_to_spare(self.price)
        if due <= now:
            return self._poll(now)
        rest = _SHORTEST_REST if self._queue.is_rekeying else LONGEST_STEP
        return Rest(min(due, now + rest) if job else due)

    def _spare_request(
        self, now: float, window: ConcurrencyLimit, sends_waiting: int
    ) -> Poll[K] | Rest:
        """No poll is worth its price and nothing may be sent: there are requests to spare."""
        due, job = self._queue.first_with_time_to_spare(self.price)
        if job and sends_waiting:
            due = min(due, job.due(self._price.window_full))
        if due <= now:
            return self._poll(now)
        self._price.trend = -1
        self._at_max_in_flight = sends_waiting > 0 and window.size < window.wanted
        if self._queue.is_rekeying:
            due = now + _SHORTEST_REST
        elif job and not self._price.is_lowest:
            due = min(due, now + LONGEST_STEP)
        return Rest(due, self._at_max_in_flight)

    def _pass_time(self, now: float, rate: float | None, spare: float | None) -> None:
        """Account for the time since the last decision, as that one left things."""
        passed, self._decided_at = max(0.0, now - self._decided_at), now
        if self._at_max_in_flight:
            self.held_back += passed
        self._at_max_in_flight = False
        mean = self._usual_mean.bearable(self.durations.mean())
        confidence = self.durations.confidence()
        lowest = lowest_price(mean, rate, spare, confidence=confidence)
        known = {"mean": mean, "confidence": confidence}
        self._price.adapt(passed, **known, lowest=lowest, is_free=rate == inf)

    def _learn(self, job: PolledJob[K], age: float, *, ended: bool, exact: float | None) -> None:
        durations, running_age = job.durations, job.running_age
        version = durations.version
        durations.check_drift(running_age, job.polled_age, ended=ended)
        if not ended:
            durations.observe_running(running_age, job.polled_age)
            job.running_age = job.polled_age
        elif exact is None:
            durations.observe_end(running_age, max(running_age, age))
        else:
            # By the API's clock, which is not ours; yet the end was between two polls.
            exact = min(max(running_age, exact), max(running_age, age))
            durations.observe_running(running_age, exact)
            durations.observe_end(exact, exact)
        if durations.version != version:
            self._queue.invalidate()
        if ended and durations is self.durations:
            self._usual_mean.observe(durations.mean())
