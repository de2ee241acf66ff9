"""Limits of every style: fleets on virtual time, and each against the sandbox in real time."""

import asyncio

import pytest
from attrs import evolve
from fleet_model import Fleet, floor_of, run
from tools import StartSandbox, client_of

from hostup_async import Budget
from hostup_async._ratelimit.headers import RateLimitReading
from hostup_async._ratelimit.learnt import LearntLimit, LearntLimits, LimitStyle
from hostup_async._ratelimit.limiter import RateLimiter
from hostup_async._ratelimit.limits import RequestClass
from hostup_async.sandbox import Limit

FAST = Limit(requests=100, seconds=5)
MINUTE = Limit(requests=60, seconds=60)
FOUR_AT_ONCE = Limit(requests=4, seconds=1, kind="concurrent")
UNNAMED = Fleet(limit=FAST, headers="never", retry_after=False, vps=150)

# A fleet, the time it may take over the floor, and the share that may be refused.
FLEETS = {
    "no headers": (UNNAMED, 1.6, 0.04),
    "no headers, clock": (evolve(UNNAMED, limit=evolve(FAST, kind="clock"), phase=1.7), 1.6, 0.05),
    "no headers, bucket": (
        evolve(UNNAMED, limit=Limit(requests=20, seconds=1, kind="bucket"), vps=300), 1.3, 0.05,
    ),
    "no headers, gaps": (evolve(UNNAMED, limit=evolve(FAST, kind="bucket", burst=1)), 1.6, 0.05),
    "no headers, counter": (evolve(UNNAMED, limit=evolve(FAST, kind="counter")), 1.3, 0.05),
    "at most 4 at once": (evolve(UNNAMED, limit=FOUR_AT_ONCE, latency=0.2, vps=300), 1.8, 0.05),
    "a minute, on all": (Fleet(limit=MINUTE, vps=60, headers="always"), 1.1, 0.01),
    "a minute, on 429s": (Fleet(limit=MINUTE, vps=60), 1.1, 0.03),
    "a minute, Retry-After on all": (
        Fleet(limit=MINUTE, vps=60, headers="always", on_success=True), 1.1, 0.01,
    ),
    "a counter of a minute": (Fleet(limit=evolve(MINUTE, kind="counter"), vps=60), 1.1, 0.06),
}  # fmt: skip


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", FLEETS)
def test_a_fleet_is_near_to_the_floor_of_its_limit(name: str, seed: int) -> None:
    fleet, ratio, refused = FLEETS[name]
    figures = run(evolve(fleet, seed=seed))
    assert len(figures.undetected) == fleet.vps
    assert figures.seconds <= ratio * floor_of(fleet)
    assert figures.refused_share <= refused


def test_a_slow_limit_is_spent_on_actions_and_on_polls_that_find_ends() -> None:
    figures = run(Fleet(limit=MINUTE, vps=90, job=10, canary=1, known=True))
    assert figures.seconds <= 225
    assert figures.requests <= 2.3


def test_short_jobs_are_known_at_once_where_a_bound_costs_time() -> None:
    figures = run(Fleet(limit=None, vps=600, job=0.001, max_in_flight=32, latency=0.005))
    assert figures.seconds < 3


@pytest.mark.parametrize(
    "limit",
    [
        Limit(requests=15, seconds=0.5, kind="counter"),
        Limit(requests=40, seconds=1, kind="bucket", burst=1),
        Limit(requests=30, seconds=1, kind="bucket", burst=5, resets_full=True),
        Limit(requests=3, seconds=1, kind="concurrent"),
        Limit(requests=15, seconds=0.5, kind="counter", counts_refused=True),
    ],
)
async def test_the_sandbox_has_limits_of_each_style(
    start_sandbox: StartSandbox, limit: Limit
) -> None:
    sandbox = await start_sandbox(
        vps=1, limit=limit, headers_on="never", retry_after=False, latency=0.005
    )
    async with client_of(sandbox.url, budget=Budget()) as client, asyncio.timeout(60):
        await asyncio.gather(*(client.vps.status(sandbox.vps_ids[0]) for _ in range(20)))
        limited = client.budget.snapshot().limited
    books = await sandbox.books()
    assert books.statuses[200] == 20
    assert books.statuses[429] == limited > 0


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def spend(limiter: RateLimiter, **answer: object) -> None:
    (await limiter.acquire(RequestClass.POLL, max_wait=0.0)).spend(**answer)  # type: ignore[arg-type]


async def test_what_was_learnt_of_a_window_is_given_to_a_later_run() -> None:
    clock = Clock()
    limiter = RateLimiter(None, 900, clock)
    assert limiter.learnt() == LearntLimits()
    for _ in range(10):
        await spend(limiter)
    clock.now += 0.5
    await spend(limiter, throttled=True, reading=RateLimitReading(limit=10, retry_after=59.6))
    clock.now += 5
    learnt = limiter.learnt()
    assert learnt.actions == LearntLimit(LimitStyle.WINDOW, 10, 60, is_named=True)
    assert learnt.actions.age == 5.0
    assert learnt.reads == learnt.actions
    later = RateLimiter(None, 900, clock)
    later.restore(learnt)
    assert later.rate() == pytest.approx(11 / 60)  # one more, as a test of it
    assert later.learnt() == learnt


@pytest.mark.parametrize("style", [LimitStyle.RATE, LimitStyle.AT_ONCE])
def test_rates_and_numbers_at_once_are_given_to_a_later_run(style: LimitStyle) -> None:
    known = LearntLimits(LearntLimit(style, 4.0), LearntLimit(style, 7.0), is_split=True)
    later = RateLimiter(None, 900, Clock())
    later.restore(known)
    assert later.learnt() == known
