"""A model of whole fleets against servers with limits, on virtual time.

The limiter, the poller and the rollout are the product's own, and the limiters are the sandbox's;
only HTTP, the store and the reading of bodies are left out, so a fleet takes milliseconds.
"""

import asyncio
import math
import random
from collections.abc import Callable
from math import inf
from typing import Final, Literal

from attrs import define, field, frozen
from limit_models import SERVER_EPOCH, ResetFormat, http_date, write_reset
from virtual_time import VirtualLoop

from hostup_async import Budget, FleetPolicy
from hostup_async._fleet.rollout import Rollout
from hostup_async._models import Action, Job, JobStatus
from hostup_async._outcome import OutcomeStatus
from hostup_async._polling.durations import DurationModel
from hostup_async._polling.poller import Poller, Sender
from hostup_async._ratelimit.headers import EMPTY, RateLimitReading, read_rate_limit
from hostup_async._ratelimit.learnt import LearntLimit, LearntLimits, LimitStyle
from hostup_async._ratelimit.limiter import RateLimiter
from hostup_async._ratelimit.limits import RequestClass
from hostup_async._ratelimit.queue import Permit
from hostup_async.sandbox import Limit
from hostup_async.sandbox._limiters import LimitCheck, Limiter, limiter

HeadersOn = Literal["429", "always", "never"]
_BEGIN: Final = 10.0


@frozen(kw_only=True)
class Fleet:
    """What is reset, behind which limit. Times are in seconds.

    Attributes:
        limit: The limit of all requests, or of actions where `read_limit` is given.
        read_limit: A limit of its own for polls.
        headers: Which answers carry `X-RateLimit-*`.
        retry_after: `Retry-After` of a 429: True for the true wait, a number for that number.
        on_success: Whether successes carry `Retry-After` with their reset too.
        reset: How the reset is written.
        vps: How many VPSes each process resets.
        job: How long jobs take at the median, log-normal with `spread`.
        latency: From a request to its answer, half of it either way, give or take a fifth.
        processes: How many processes share the key.
        canary: As in `FleetPolicy`.
        max_in_flight: As there.
        others: Requests a second of others with the same key.
        changes: Moments, and the limit from then on.
        phase: Seconds by which the server's clock is ahead of a window's beginning.
        known: The limit and the durations of jobs are known from a run before.
    """

    limit: Limit | None
    read_limit: Limit | None = None
    headers: HeadersOn = "429"
    retry_after: bool | int = True
    on_success: bool = False
    reset: ResetFormat = "iso"
    vps: int = 300
    job: float = 2.0
    spread: float = 0.35
    latency: float = 0.02
    processes: int = 1
    canary: int = 0
    max_in_flight: int | None = None
    others: float = 0.0
    changes: tuple[tuple[float, Limit], ...] = ()
    phase: float = 0.0
    seed: int = 0
    known: bool = False
    longest: float = 20_000.0


@define
class Figures:
    """What a fleet took.

    Attributes:
        seconds: Until every outcome was known, or `inf`.
        accepted: When each request was accepted.
        refused: When each was refused.
        undetected: For how long each job was over before that was known.
    """

    seconds: float = inf
    accepted: list[float] = field(factory=list[float])
    refused: list[float] = field(factory=list[float])
    undetected: list[float] = field(factory=list[float])
    most_unknown: int = 0
    polls_in_vain: int = 0

    @property
    def requests(self) -> float:
        """Requests that were accepted, for each VPS."""
        return len(self.accepted) / max(1, len(self.undetected))

    @property
    def refused_share(self) -> float:
        """The share of all requests that was refused."""
        return len(self.refused) / max(1, len(self.refused) + len(self.accepted))


def floor_of(fleet: Fleet) -> float:
    """Seconds that two requests for each VPS take at the least, when all windows are used up."""
    whole = 2 * fleet.vps * fleet.processes
    if fleet.read_limit is not None and fleet.limit is not None:
        each = whole // 2
        return max(_floor(fleet.limit, each), _floor(fleet.read_limit, each)) + fleet.job
    if fleet.limit is None:
        return fleet.job
    return max(_floor(fleet.limit, whole, fleet.changes, fleet.latency, fleet.phase), fleet.job)


def _floor(
    limit: Limit,
    requests: int,
    changes: tuple[tuple[float, Limit], ...] = (),
    latency: float = 0.02,
    phase: float = 0.0,
) -> float:
    if limit.kind == "concurrent":
        return requests * latency / limit.requests
    if changes:
        (moment, after), *_ = changes
        before = moment / limit.seconds * limit.requests
        return moment + max(0, requests - before) / after.requests * after.seconds
    if limit.kind == "bucket":
        burst = limit.burst or limit.requests
        return max(0, requests - burst) * limit.seconds / limit.requests
    if limit.kind == "counter":  # a burst until the clock's window ends, and then an even rate
        first = limit.seconds - (_BEGIN + phase) % limit.seconds
        return first + max(0, requests - limit.requests) * limit.seconds / limit.requests
    return (math.ceil(requests / limit.requests) - 1) * limit.seconds


class Server:
    """Answers by its limits, with headers as HostUp or others write them."""

    def __init__(self, fleet: Fleet, figures: Figures) -> None:
        self.fleet, self.figures = fleet, figures
        self.chance = random.Random(fleet.seed)
        self._actions = limiter(fleet.limit)
        self._reads = limiter(fleet.read_limit) if fleet.read_limit else self._actions
        self._changes = list(fleet.changes)

    async def ask(
        self, kind: RequestClass, work: Callable[[float], None] | None = None
    ) -> tuple[bool, RateLimitReading]:
        """Send a request; `work` is done, where it is accepted, at the moment it is given."""
        await self._travel()
        now = _now()
        chosen, check = self._take(kind)
        allowed = check is None or check.allowed
        (self.figures.accepted if allowed else self.figures.refused).append(now - _BEGIN)
        if allowed and work is not None:
            work(now)
        headers = self._headers(check, now) if check is not None else {}
        await self._travel()
        if allowed and chosen is not None:
            chosen.release()
        return allowed, read_rate_limit(headers, now=SERVER_EPOCH) if headers else EMPTY

    async def be_used_by_others(self) -> None:
        while True:
            await asyncio.sleep(self.chance.expovariate(self.fleet.others))
            chosen, check = self._take(RequestClass.POLL)
            if chosen is not None and check is not None and check.allowed:
                chosen.release()

    def _take(self, kind: RequestClass) -> tuple[Limiter | None, LimitCheck | None]:
        now = _now()
        while self._changes and self._changes[0][0] <= now - _BEGIN:
            self._actions = self._reads = limiter(self._changes.pop(0)[1])
        chosen = self._actions if kind is RequestClass.ACTION else self._reads
        return chosen, None if chosen is None else chosen.take(now + self.fleet.phase)

    def _headers(self, check: LimitCheck, now: float) -> dict[str, str]:
        fleet, headers = self.fleet, {"Date": http_date(SERVER_EPOCH + now)}
        if fleet.headers == "always" or (fleet.headers == "429" and not check.allowed):
            reset = SERVER_EPOCH + check.reset - fleet.phase
            headers["X-RateLimit-Limit"] = str(check.limit)
            headers["X-RateLimit-Remaining"] = str(check.remaining)
            headers["X-RateLimit-Reset"] = write_reset(reset, SERVER_EPOCH + now, fleet.reset)
        if not check.allowed and fleet.retry_after is not False:
            true = max(1, math.ceil(check.wait)) if fleet.retry_after is True else None
            headers["Retry-After"] = str(fleet.retry_after if true is None else true)
        if check.allowed and fleet.on_success:
            headers["Retry-After"] = str(math.ceil(check.reset - fleet.phase - now))
        return headers

    async def _travel(self) -> None:
        await asyncio.sleep(self.fleet.latency / 2 * self.chance.uniform(0.8, 1.2))


class Process(Sender):
    """One process with a fleet of its own."""

    def __init__(self, fleet: Fleet, server: Server, limiter: RateLimiter, number: int) -> None:
        self.fleet, self.server, self.limiter = fleet, server, limiter
        self.poller = Poller(limiter)
        self.rollout = Rollout(FleetPolicy(canary=fleet.canary), fleet.vps)
        chance = random.Random(1000 * fleet.seed + number)
        self.jobs = [
            fleet.job * math.exp(fleet.spread * chance.gauss(0, 1)) for _ in range(fleet.vps)
        ]
        self.tasks = set[asyncio.Task[None]]()
        self.over = asyncio.Event()
        self.known = 0
        self.unknown = 0

    @property
    def action(self) -> Action:
        return Action.RESET

    @property
    def limit(self) -> int | None:
        return self.fleet.max_in_flight

    def left(self) -> int:
        return len(self.jobs)

    def waiting(self) -> int:
        room = min(len(self.jobs), self.rollout.allowance())
        size = self.poller.concurrency_limit().size
        bound = size if self.limit is None else min(size, self.limit)
        return max(0, min(int(room), bound - self.unknown))

    def send(self, permit: Permit) -> None:
        task = asyncio.create_task(self._reset(permit, self.jobs.pop(), self.rollout.sent()))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        self.unknown += 1
        self.server.figures.most_unknown = max(self.server.figures.most_unknown, self.unknown)

    def fail(self, error: Exception) -> None:
        raise error

    async def run(self) -> None:
        self.poller.add(self)
        if self.fleet.vps:
            await self.over.wait()
        self.poller.remove(self)
        await self.poller.aclose()

    async def _reset(self, permit: Permit, took: float, step: int) -> None:
        ends = inf

        def accept(now: float) -> None:
            nonlocal ends
            ends = now + took

        await self._call(permit, RequestClass.ACTION, accept)

        async def poll(permit: Permit, max_wait: float) -> tuple[Job, float]:
            is_over = False

            def find(now: float) -> None:
                nonlocal is_over
                is_over = now >= ends

            wait = await self._call(permit, RequestClass.POLL, find, max_wait=max_wait)
            self.server.figures.polls_in_vain += not is_over
            return Job(status=JobStatus.COMPLETED if is_over else JobStatus.IN_PROGRESS), wait

        watch = self.poller.watch(poll, action=Action.RESET, age=0.0, patience=100_000.0)
        self.poller.sent()
        await self.poller.follow(watch)
        self.server.figures.undetected.append(_now() - ends)
        self.unknown -= 1
        self.known += 1
        self.rollout.record_outcome(step, str(self.known), OutcomeStatus.COMPLETED)
        if self.known == self.fleet.vps:
            self.over.set()
        self.poller.wake()

    async def _call(
        self,
        permit: Permit,
        kind: RequestClass,
        work: Callable[[float], None],
        max_wait: float | None = None,
    ) -> float:
        """Send until it is accepted; what its answer says of the next poll."""
        since = _now()
        while True:
            with permit:
                allowed, reading = await self.server.ask(kind, work)
                permit.spend(reading, throttled=not allowed)
            if allowed:
                return reading.next_poll_after
            permit = await self.limiter.acquire(kind, since=since, max_wait=max_wait)


async def play(fleet: Fleet) -> Figures:
    """Reset the fleet."""
    await asyncio.sleep(_BEGIN)
    figures = Figures()
    server = Server(fleet, figures)
    others = asyncio.create_task(server.be_used_by_others()) if fleet.others else None
    processes: list[Process] = []
    for number in range(fleet.processes):
        budget = Budget(clock=_now, max_wait=100_000)
        process = Process(fleet, server, budget._limiter, number)
        if fleet.known:
            teach(process)
        processes.append(process)
    began = _now()
    try:
        async with asyncio.timeout(fleet.longest):
            await asyncio.gather(*(process.run() for process in processes))
        figures.seconds = _now() - began
    except TimeoutError:
        pass
    if others:
        others.cancel()
    return figures


def teach(process: Process) -> None:
    """Let a process know what an earlier run learnt."""
    limit = process.fleet.limit
    if limit is not None and limit.kind in {"fixed", "clock", "sliding"}:
        is_fixed = limit.kind != "sliding"
        window = LearntLimit(
            LimitStyle.WINDOW, limit.requests, limit.seconds, is_named=True, is_fixed=is_fixed
        )
        process.limiter.restore(LearntLimits(window, window))
    chance, durations = random.Random(7), DurationModel()
    for _ in range(300):
        took = process.fleet.job * math.exp(process.fleet.spread * chance.gauss(0, 1))
        durations.observe_running(0, took)
        durations.observe_end(took, took)
    process.poller.restore_durations(Action.RESET, durations)


def run(fleet: Fleet) -> Figures:
    """Play a fleet to its end, in no time."""
    random.seed(fleet.seed)
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(play(fleet))


def _now() -> float:
    return asyncio.get_running_loop().time()
