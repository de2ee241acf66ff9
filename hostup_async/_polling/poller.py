"""One poller for each client: each request that may be sent goes to a poll, or to one more action.

The scheduler decides, this carries out. No job has a task or a timer of its own.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import defaultdict
from math import inf
from typing import Final

from hostup_async._errors import ClientClosed, RateLimited
from hostup_async._models import Action, Job
from hostup_async._polling.durations import DurationModel
from hostup_async._polling.price import LONGEST_STEP
from hostup_async._polling.scheduler import ConcurrencyLimit, Poll, PollScheduler, Rest, Send
from hostup_async._polling.watch import LAST_POLL, NoLastPoll, PollJob, Watch
from hostup_async._ratelimit.limiter import RateLimiter
from hostup_async._ratelimit.limits import RequestClass
from hostup_async._ratelimit.queue import Permit

# About how many requests an action takes: it is sent, and polled.
_REQUESTS_PER_ACTION: Final = 2
# The greatest age of a job when it is first watched, in seconds. Its age is told by a wall clock;
# one that was set meanwhile must not teach that jobs take years.
_OLDEST: Final = 3600.0
# Nothing goes out in this many rounds, of `LAST_POLL` seconds together: a last poll is given up.
_IDLE_ROUNDS: Final = 2


class Sender(ABC):
    """What has actions to send, and sends each when the poller tells it to."""

    @property
    @abstractmethod
    def action(self) -> Action:
        """What it sends."""

    @property
    @abstractmethod
    def limit(self) -> int | None:
        """The most actions in flight that it allows; None for no bound of its own."""

    @abstractmethod
    def left(self) -> int:
        """How many actions it has still to send."""
        ...

    @abstractmethod
    def waiting(self) -> int:
        """How many of them it would send now."""

    @abstractmethod
    def send(self, permit: Permit) -> None:
        """Send one; call `Poller.sent` when it is answered."""

    @abstractmethod
    def fail(self, error: Exception) -> None:
        """Nothing can be sent: the limit allows none within the longest wait, or a mistake."""


class Poller:
    """Follows jobs to their end, and tells senders when to send.

    Args:
        limiter: Whose permits it spends.
    """

    def __init__(self, limiter: RateLimiter) -> None:
        self._limiter: Final = limiter
        self._scheduler: Final = PollScheduler[Watch]()
        self._durations: defaultdict[Action, DurationModel] = defaultdict(DurationModel)
        self._senders: list[Sender] = []
        self._watches: set[Watch] = set()
        self._polls: set[asyncio.Task[None]] = set()
        self._requests_begun = 0
        self._is_sending = False
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()  # the task's: both belong to one loop, and are made anew

    def durations(self, action: Action | None) -> DurationModel:
        """What is known of how long the jobs of an action take; it goes on learning."""
        return self._durations[action or Action.RESET]

    def restore_durations(self, action: Action, durations: DurationModel) -> None:
        """Begin with what was learnt before, where nothing was learnt here yet."""
        if not self.durations(action).confidence():
            self._durations[action] = durations

    def learnt_durations(self) -> dict[Action, DurationModel]:
        """What was learnt of durations, by action."""
        return {action: one for action, one in self._durations.items() if one.confidence()}

    def concurrency_limit(self) -> ConcurrencyLimit:
        """How many actions may be in flight."""
        if self._is_sending:  # as decided: the permit granted since changes the plan
            return self._scheduler.decided_limit
        plan = self._limiter.plan(RequestClass.ACTION, self._needed())
        return self._scheduler.concurrency_limit(
            self._limiter.rate_of_both(),
            period=plan.period,
            sends_waiting=self._left(),
            tokens_left=plan.left,
        )

    def _left(self) -> int:
        return sum(sender.left() for sender in self._senders)

    def _needed(self) -> int:
        """About how many requests are needed until all is known."""
        unknown = self._scheduler.in_flight - len(self._polls)
        return _REQUESTS_PER_ACTION * self._left() + max(0, unknown)

    @property
    def held_back(self) -> float:
        """For how long, in seconds, requests were left unused because of a sender's own bound."""
        return self._scheduler.held_back

    def watch(self, poll: PollJob, *, action: Action | None, age: float, patience: float) -> Watch:
        """Begin to watch a job; `follow` its end, or `forget` it.

        Args:
            poll: How to poll it.
            action: What kind of job it is.
            age: How long ago it was accepted, in seconds.
            patience: When the wait for its end is over, in seconds from now.
        """
        now = self._now()
        watch = Watch(poll, now + patience)
        self._watches.add(watch)
        self._scheduler.watch(
            watch,
            now,
            began_at=now - min(max(0.0, age), _OLDEST),
            deadline=watch.deadline,
            durations=self.durations(action),
        )
        self.wake()
        return watch

    async def follow(self, watch: Watch) -> Job:
        """Wait for the end of a job that is watched.

        Raises:
            TimeoutError: Its time is over, and so was not the job when it was polled once more,
                at its deadline or later; or no such poll got an answer within some seconds.
            RateLimited: The rate limit allows no such poll in time.
        """
        try:
            await asyncio.wait([watch.end], timeout=max(0.0, watch.deadline - self._now()))
            await self._wait_for_last_poll(watch)
            return await watch.end
        finally:
            self.forget(watch)

    async def _wait_for_last_poll(self, watch: Watch) -> None:
        """Wait until its turn has come, and an answer; give up where nothing at all goes out.

        A process that slept beyond many deadlines has many last polls to make, at the pace of the
        rate limit. It is watched in two rounds, since one may end because the process sleeps.
        """
        idle_rounds = 0
        while idle_rounds < _IDLE_ROUNDS and not watch.end.done():
            begun, is_polled = self._requests_begun, watch.is_being_polled
            await asyncio.wait([watch.end], timeout=LAST_POLL / _IDLE_ROUNDS)
            is_idle = begun == self._requests_begun and not is_polled
            idle_rounds = idle_rounds + 1 if is_idle else 0
        watch.resolve(NoLastPoll("No last poll of the job could be made."))

    def hasten(self, watch: Watch) -> None:
        """Let the wait for a job's end be over now: one last poll decides."""
        watch.deadline = self._now()
        self._scheduler.hasten(watch, watch.deadline)
        self.wake()

    def forget(self, watch: Watch) -> None:
        """Watch a job no longer."""
        watch.cancel()
        if watch in self._watches:
            self._watches.remove(watch)
            self._scheduler.forget(watch)
            self.wake()

    def add(self, sender: Sender) -> None:
        """Tell a sender when to send, from now on."""
        self._senders.append(sender)
        self._scheduler.plan_sends_by(self.durations(sender.action))
        self.wake()

    def remove(self, sender: Sender) -> None:
        """Tell a sender no more to send."""
        self._senders.remove(sender)
        self.wake()

    def sent(self) -> None:
        """An action that a sender was told to send is answered; its job is watched by now."""
        self._scheduler.sent()
        self.wake()

    def wake(self) -> None:
        """Something changed: decide anew, on the running loop."""
        if self._task is not None and not self._task.done():
            self._wake.set()
        elif self._watches or self._senders:
            self._wake = asyncio.Event()
            self._task = asyncio.create_task(self._run(), name="hostup poller")
            self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Wake another task if this one was cancelled from outside: a wake may have been lost."""
        if task is self._task and task.cancelled():
            self.wake()

    async def aclose(self) -> None:
        """Stop; what still waits for a job fails. Another loop may use it afterwards."""
        self._resolve_all(ClientClosed("The client was closed while its jobs were followed."))
        for watch in self._watches:
            watch.abort()
            self._scheduler.forget(watch)
        self._watches.clear()
        tasks = set(self._polls)  # those that have not begun must begin, see `Watch.abort`
        task, self._task = self._task, None  # so that what comes meanwhile wakes another task
        if task is not None:
            task.cancel()
            tasks.add(task)
        await asyncio.gather(*tasks, return_exceptions=True)
        self.wake()  # a sender tries to send, and so learns that the client is closed

    def _resolve_all(self, end: Exception) -> None:
        for watch in self._watches:
            watch.resolve(end)

    async def _run(self) -> None:
        try:
            while self._watches or self._senders:
                self._wake.clear()
                await self._carry_out(self._decide())
        except Exception as error:
            self._resolve_all(error)
            for sender in list(self._senders):
                sender.fail(error)
            raise

    async def _carry_out(self, decision: Poll[Watch] | Send | Rest) -> None:
        match decision:
            case Rest(until=until):
                await self._rest(until)
            case Poll(key=watch):
                await self._poll(watch)
            case Send():
                await self._send()

    def _decide(self) -> Poll[Watch] | Send | Rest:
        senders = self._senders
        limits = [sender.limit for sender in senders]
        unbounded = None in limits or not limits
        self._scheduler.max_in_flight = None if unbounded else sum(filter(None, limits))
        kind = RequestClass.ACTION if senders else RequestClass.POLL
        plan = self._limiter.plan(kind, self._needed())
        return self._scheduler.decide(
            self._now(),
            rate=self._limiter.rate_of_both() if senders else self._limiter.rate(kind),
            tokens_idle=plan.surplus,
            sends_waiting=self._left(),
            may_send=any(sender.waiting() for sender in senders),
            tokens_left=plan.left,
            tokens_spare=plan.spare,
            renewed_in=plan.renewed_in,
            period=plan.period,
        )

    async def _rest(self, until: float) -> None:
        loop = asyncio.get_running_loop()
        timer = None if until == inf else loop.call_at(until, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            if timer is not None:
                timer.cancel()

    async def _poll(self, watch: Watch) -> None:
        try:
            max_wait = min(self._limiter.max_wait, watch.patience(self._now()))
            permit = await self._limiter.acquire(RequestClass.POLL, max_wait=max_wait)
        except RateLimited as error:
            watch.resolve(error)
            return
        self._requests_begun += 1
        task = asyncio.create_task(self._poll_with(permit, watch))
        self._polls.add(task)
        task.add_done_callback(self._polls.discard)

    async def _poll_with(self, permit: Permit, watch: Watch) -> None:
        if watch.end.done():
            permit.refund()
            return
        watch.task = asyncio.current_task()
        try:
            answer = await watch.poll(permit)
        except Exception as error:  # noqa: BLE001 - it belongs to what waits for this job
            watch.resolve(error)
            return
        self._record(watch, *(answer or (None, 0.0)))
        self.wake()

    def _record(self, watch: Watch, job: Job | None, not_again: float) -> None:
        """Tell the scheduler, and what waits for the job, what a poll found."""
        now = self._now()
        self._scheduler.polled(
            watch,
            now,
            ended=None if job is None else job.is_final,
            exact_duration=None if job is None else job.duration,
            not_before=now + not_again,
        )
        if job is not None and job.is_final:
            watch.resolve(job)

    async def _send(self) -> None:
        try:
            permit = await self._limiter.acquire(RequestClass.ACTION)
        except RateLimited as error:
            self._scheduler.sent()
            for waiting in list(self._senders):
                waiting.fail(error)
            return
        self._requests_begun += 1
        self._is_sending = True
        ready = next((sender for sender in self._senders if sender.waiting()), None)
        self._is_sending = False
        if ready is not None:
            ready.send(permit)
            return
        permit.refund()
        self._scheduler.sent()
        # A sender counts what has ended until its own task runs: deciding anew would go round here.
        await self._rest(self._now() + LONGEST_STEP)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
