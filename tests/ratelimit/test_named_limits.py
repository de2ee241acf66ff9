"""Whether actions and reads have limits of their own, from what their 429s name."""

import asyncio
from typing import Any

import pytest
from virtual_time import VIRTUAL, now

from hostup_async import Budget, RateLimit
from hostup_async._ratelimit.headers import RateLimitReading
from hostup_async._ratelimit.limiter import RateLimiter
from hostup_async._ratelimit.limits import RequestClass
from hostup_async._ratelimit.named_limits import NamedLimits

ACTION, POLL, PREFLIGHT = RequestClass


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return VIRTUAL


def differ(*named: str, in_a_row: bool = False) -> list[bool]:
    """What each 429 shows: `a20` refused an action and named 20, `r20` a read; `=` is in a row."""
    limits = NamedLimits()
    return [
        limits.differ(
            int(one[1:].rstrip("=")),
            is_action=one[0] == "a",
            in_a_row=in_a_row or one.endswith("="),
        )
        for one in named
    ]


def test_two_429s_in_a_row_of_both_kinds_show_two_limits() -> None:
    assert differ("a20", "r300", in_a_row=True) == [False, True]
    assert differ("r300", "r300", "a20", in_a_row=True) == [False, False, True]


def test_two_that_lie_apart_show_it_once_one_side_repeats_its_own() -> None:
    assert differ("a20", "r300", "r300", "a20") == [False, False, False, True]


@pytest.mark.parametrize("in_a_row", [False, True])
@pytest.mark.parametrize(
    "named", [["a20", "a30", "a20"], ["r20", "r30", "r20"], ["a20", "r20", "a20", "r20"]]
)
def test_one_side_alone_and_equal_limits_show_nothing(named: list[str], *, in_a_row: bool) -> None:
    assert not any(differ(*named, in_a_row=in_a_row))


@pytest.mark.parametrize("sides", ["arar", "arra", "aara", "raar", "rara"])
def test_a_common_limit_that_was_changed_shows_nothing(sides: str) -> None:
    first, second, third, fourth = list(sides)
    assert not any(differ(f"{first}100", f"{second}100", f"{third}50", f"{fourth}50"))
    assert not any(differ(f"{first}100", f"{second}50", f"{third}50", f"{fourth}50"))
    assert not any(differ(f"{first}100", f"{second}50", f"{second}50=", f"{third}50="))


def make_limiter(limit: RateLimit | None = None) -> RateLimiter:
    return Budget(limit, clock=asyncio.get_running_loop().time)._limiter


async def be_refused(limiter: RateLimiter, kind: RequestClass, limit: int, wait: float) -> float:
    permit = await limiter.acquire(kind)
    moment = now()
    permit.spend(RateLimitReading(limit=limit, retry_after=wait), throttled=True)
    return moment


async def test_each_side_then_keeps_to_its_own_limit() -> None:
    limiter = make_limiter()
    for _ in range(20):
        (await limiter.acquire(ACTION)).spend()
    await be_refused(limiter, ACTION, 20, 10.0)
    await be_refused(limiter, POLL, 300, 10.0)
    assert limiter.snapshot().is_split
    assert (limiter.rate(ACTION), limiter.rate(POLL), limiter.rate(PREFLIGHT)) == (2, 30, 30)
    assert limiter.snapshot().limited == 2


async def test_both_sides_keep_to_the_pauses_that_were_asked_for_before() -> None:
    limiter = make_limiter()
    action, read = await limiter.acquire(ACTION), await limiter.acquire(POLL)
    action.spend(RateLimitReading(limit=20, retry_after=10.0), throttled=True)
    read.spend(RateLimitReading(limit=300, retry_after=4.0), throttled=True)
    assert limiter.snapshot().is_split
    for kind in RequestClass:
        (await limiter.acquire(kind)).spend()
        assert now() == 10


async def test_those_that_wait_go_on_waiting_each_on_its_side() -> None:
    limiter, order = make_limiter(), list[tuple[str, float]]()

    async def take(kind: RequestClass) -> None:
        permit = await limiter.acquire(kind)
        order.append((kind.value, now()))
        permit.spend()

    action, read = await limiter.acquire(ACTION), await limiter.acquire(POLL)
    action.spend(RateLimitReading(limit=20, retry_after=5.0), throttled=True)
    kinds = [POLL, ACTION, PREFLIGHT, ACTION]
    waiting = [asyncio.create_task(take(kind)) for kind in kinds]
    await asyncio.sleep(1)
    assert limiter.snapshot().queued == 4
    read.spend(RateLimitReading(limit=300, retry_after=9.0), throttled=True)
    assert limiter.snapshot().queued == 4
    await asyncio.gather(*waiting)
    assert order == [("action", 5), ("action", 5), ("poll", 10), ("preflight", 10)]
    assert (limiter.snapshot().queued, limiter.snapshot().in_flight) == (0, 0)


async def test_a_limit_that_the_user_knows_is_not_split() -> None:
    limiter = make_limiter(RateLimit(50, 10))
    await be_refused(limiter, ACTION, 20, 1.0)
    await be_refused(limiter, POLL, 300, 1.0)
    assert not limiter.snapshot().is_split
