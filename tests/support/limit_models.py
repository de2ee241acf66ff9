"""A model of a fleet of resets against a server with a limit, on virtual time."""

import asyncio
import math
import random
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Literal

from attrs import define, field, frozen
from virtual_time import VirtualLoop

from hostup_async import Budget, BudgetSnapshot, LearntLimits
from hostup_async._ratelimit.headers import EMPTY, RateLimitReading, read_rate_limit
from hostup_async._ratelimit.limits import RequestClass
from hostup_async.sandbox import Limit
from hostup_async.sandbox._limiters import LimitCheck, Limiter, LimitKind, limiter

ResetFormat = Literal["iso", "epoch", "epoch_ms", "delta"]
SERVER_EPOCH = 1_790_000_000.4


@frozen(kw_only=True)
class Scenario:
    """What the server does, and who else uses it."""

    kind: LimitKind = "fixed"
    requests: int = 100
    seconds: float = 5.0
    reset: ResetFormat = "iso"
    on_successes: bool = False
    vps: int = 300
    latency: float = 0.004
    job: float = 2.0
    others: float = 0.0
    """Requests a second of others with the same key."""
    phase: float = 0.0
    """Seconds by which the server's clock is ahead of a window's beginning."""
    clock_off: float = 0.0
    """Seconds by which our wall clock is wrong."""
    changes: tuple[tuple[float, int], ...] = ()
    """Moments, and the limit from then on."""
    seed: int = 0
    before: LearntLimits | None = None
    """What we learnt of it before."""
    share: float = 1.0
    """The part of it that we use."""


@define
class Result:
    accepted: list[float] = field(factory=list[float])
    limited: list[float] = field(factory=list[float])
    seconds: float = 0.0
    snapshot: BudgetSnapshot | None = None
    learnt: LearntLimits = field(factory=LearntLimits)

    def most_in(self, begin: float, end: float) -> int:
        return sum(begin <= moment < end for moment in self.accepted)


class Server:
    """Answers by its limit, with headers as HostUp or others write them."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.result = Result()
        self._limiter = self._make(scenario.requests)
        self._changes = list(scenario.changes)
        self._began = self._now()

    async def ask(self) -> tuple[bool, RateLimitReading]:
        await self._travel()
        check, now = self._take(), self._now()
        moments = self.result.accepted if check.allowed else self.result.limited
        moments.append(now - self._began)
        has_headers = not check.allowed or self.scenario.on_successes
        headers = self._headers(check, now) if has_headers else None
        await self._travel()
        ours = SERVER_EPOCH + now + self.scenario.clock_off
        return check.allowed, read_rate_limit(headers, now=ours) if headers else EMPTY

    async def be_used_by_others(self) -> None:
        draw = random.Random(self.scenario.seed)
        while True:
            await asyncio.sleep(draw.expovariate(self.scenario.others))
            self._take()

    def _take(self) -> LimitCheck:
        now = self._now()
        while self._changes and self._changes[0][0] <= now - self._began:
            self._limiter = self._make(self._changes.pop(0)[1])
        return self._limiter.take(now + self.scenario.phase)

    def _make(self, requests: int) -> Limiter:
        limit = Limit(requests=requests, seconds=self.scenario.seconds, kind=self.scenario.kind)
        made = limiter(limit)
        assert made is not None
        return made

    def _headers(self, check: LimitCheck, now: float) -> dict[str, str]:
        reset = SERVER_EPOCH + check.reset - self.scenario.phase
        headers = {
            "Date": http_date(SERVER_EPOCH + now),
            "X-RateLimit-Limit": str(check.limit),
            "X-RateLimit-Remaining": str(check.remaining),
            "X-RateLimit-Reset": write_reset(reset, SERVER_EPOCH + now, self.scenario.reset),
        }
        if not check.allowed:
            headers["Retry-After"] = str(max(1, math.ceil(check.wait)))
        return headers

    async def _travel(self) -> None:
        await asyncio.sleep(self.scenario.latency * random.uniform(0.5, 0.7))

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def http_date(moment: float) -> str:
    return formatdate(math.floor(moment), usegmt=True)


def write_reset(reset: float, now: float, form: ResetFormat) -> str:
    if form == "iso":
        text = datetime.fromtimestamp(reset, UTC).isoformat(timespec="milliseconds")
        return text.replace("+00:00", "Z")
    if form == "epoch":
        return str(math.ceil(reset))
    return str(math.ceil(reset * 1000) if form == "epoch_ms" else math.ceil(reset - now))


async def send(budget: Budget, server: Server, kind: RequestClass) -> None:
    """One call: again after each 429, in its old place."""
    since = asyncio.get_running_loop().time()
    while True:
        permit = await budget._limiter.acquire(kind, since=since)
        allowed, reading = await server.ask()
        permit.spend(throttled=not allowed, reading=reading)
        if allowed:
            return


async def reset(budget: Budget, server: Server, job: float) -> None:
    """One action, and one poll when its job has ended."""
    await send(budget, server, RequestClass.ACTION)
    await asyncio.sleep(job)
    await send(budget, server, RequestClass.POLL)


def make_budget(scenario: Scenario) -> Budget:
    clock = asyncio.get_running_loop().time
    budget = Budget(clock=clock, max_wait=100_000, share=scenario.share)
    if scenario.before is not None:
        budget._limiter.restore(scenario.before)
    return budget


async def play(scenario: Scenario) -> Result:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(10)
    budget, server = make_budget(scenario), Server(scenario)
    draw, began = random.Random(scenario.seed), loop.time()
    others = asyncio.create_task(server.be_used_by_others()) if scenario.others else None
    jobs = [draw.lognormvariate(math.log(scenario.job), 0.35) for _ in range(scenario.vps)]
    await asyncio.gather(*(reset(budget, server, job) for job in jobs))
    if others:
        others.cancel()
    server.result.seconds = loop.time() - began
    server.result.snapshot = budget.snapshot()
    server.result.learnt = budget._limiter.learnt()
    return server.result


def run(scenario: Scenario) -> Result:
    """Play a scenario to its end, in no time."""
    random.seed(scenario.seed)
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(play(scenario))
