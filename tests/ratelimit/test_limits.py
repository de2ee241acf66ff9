"""Whole fleets against model servers, on virtual time: their 429s, and how long they take."""

import asyncio
import math
from typing import Any, get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from limit_models import ResetFormat, Result, Scenario, run
from tools import examples
from virtual_time import VIRTUAL, now

from hostup_async import Budget, RateLimit
from hostup_async._ratelimit.headers import RateLimitReading
from hostup_async._ratelimit.limits import RequestClass
from hostup_async.sandbox import Limit
from hostup_async.sandbox._limiters import Limiter, LimitKind, limiter

FLOOR = 25.0  # seconds for 600 requests at 100 in 5 s
KINDS = [kind for kind in get_args(LimitKind) if kind != "concurrent"]
FORMATS = get_args(ResetFormat)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return VIRTUAL


def late(result: Result, after: float) -> list[float]:
    return [moment for moment in result.limited if moment > after]


@pytest.mark.parametrize("reset", FORMATS)
@pytest.mark.parametrize("kind", ["fixed", "sliding", "bucket"])
@pytest.mark.parametrize("seed", range(3))
def test_a_fleet_learns_the_limit_from_429s_alone(
    kind: LimitKind, reset: ResetFormat, seed: int
) -> None:
    result = run(Scenario(kind=kind, reset=reset, seed=seed))
    assert len(result.accepted) == 600
    assert len(result.limited) <= 40
    assert not late(result, 10)
    assert result.seconds <= 1.15 * FLOOR
    assert result.most_in(5, 10) <= 100  # no herd after the first pause


@pytest.mark.parametrize("reset", FORMATS)
@pytest.mark.parametrize("phase", [0.7, 2.0, 3.3, 4.9])
def test_windows_that_follow_the_servers_clock_are_found_as_well(
    phase: float, reset: ResetFormat
) -> None:
    result = run(Scenario(kind="clock", reset=reset, phase=phase))
    assert len(result.limited) <= 40
    assert not late(result, 15)
    assert result.seconds <= 1.15 * FLOOR


@pytest.mark.parametrize("reset", ["iso", "epoch_ms", "delta"])
@pytest.mark.parametrize("kind", ["fixed", "clock", "sliding", "bucket"])
def test_headers_on_successes_spare_nearly_every_429(kind: LimitKind, reset: ResetFormat) -> None:
    result = run(Scenario(kind=kind, reset=reset, on_successes=True))
    assert len(result.limited) <= 5
    assert result.seconds <= 1.15 * FLOOR


@pytest.mark.parametrize("off", [-7200.0, 7200.0])
@pytest.mark.parametrize("reset", FORMATS)
def test_a_clock_that_is_hours_off_changes_nothing(off: float, reset: ResetFormat) -> None:
    right, wrong = (run(Scenario(reset=reset, clock_off=one)) for one in (0.0, off))
    assert abs(wrong.seconds - right.seconds) < 1
    assert abs(len(wrong.limited) - len(right.limited)) <= 1


def test_a_limit_that_falls_while_running_is_kept_to_at_once() -> None:
    result = run(Scenario(changes=((12.0, 50),)))
    assert len(result.limited) <= 40
    assert not late(result, 25)
    assert result.snapshot is not None
    assert result.snapshot.limit == 50


@pytest.mark.parametrize("on_successes", [False, True])
def test_a_limit_that_rises_while_running_is_found(*, on_successes: bool) -> None:
    result = run(Scenario(vps=1500, on_successes=on_successes, changes=((12.0, 200),)))
    assert result.snapshot is not None
    assert result.snapshot.limit == 200
    assert result.seconds < 0.75 * 145  # what it would take at 100 in 5 s


@pytest.mark.parametrize("kind", KINDS)
def test_others_with_the_same_key_cost_time_and_few_429s(kind: LimitKind) -> None:
    result = run(Scenario(kind=kind, others=3.0, latency=0.02))
    assert len(result.accepted) == 600
    assert len(result.limited) <= 60
    assert result.seconds <= 2 * FLOOR


# A window for a single request that begins by the server's clock: whether it has begun shows only
# in a request that is refused. So there are about as many refusals as answers.
ONE_BY_THE_CLOCK = Scenario(
    kind="clock",
    requests=1,
    seconds=4.0,
    reset="iso",
    on_successes=True,
    vps=40,
    latency=0.5,
    job=2.0,
    seed=0,
)


def most_refused(scenario: Scenario) -> int:
    """To find the limit, and one for each VPS, or for each request of a window of one."""
    has_one_by_the_clock = scenario.kind == "clock" and scenario.requests == 1
    return 40 + (2 if has_one_by_the_clock else 1) * scenario.vps


@given(
    st.builds(
        Scenario,
        kind=st.sampled_from(KINDS),
        reset=st.sampled_from(FORMATS),
        requests=st.integers(1, 150),
        seconds=st.floats(0.3, 60),
        on_successes=st.booleans(),
        vps=st.integers(1, 60),
        latency=st.floats(0.001, 1),
        seed=st.integers(0, 99),
    )
)
@example(ONE_BY_THE_CLOCK)
@settings(max_examples=examples(60), deadline=None)
def test_whatever_the_limit_everything_ends_and_most_is_accepted(scenario: Scenario) -> None:
    result = run(scenario)
    assert len(result.accepted) == 2 * scenario.vps
    assert len(result.limited) <= most_refused(scenario)


class Sides:
    """A server with a limiter for actions and one for reads, perhaps the same one."""

    def __init__(self, actions: Limit, reads: Limit | None, **known: Any) -> None:
        first = limiter(actions)
        assert first is not None
        second = limiter(reads) if reads else first
        assert second is not None
        clock = asyncio.get_running_loop().time
        self.limiter = Budget(clock=clock, max_wait=100_000, **known)._limiter
        self._limiters: dict[RequestClass, Limiter] = {
            RequestClass.ACTION: first,
            RequestClass.POLL: second,
        }
        self.refused = dict.fromkeys(self._limiters, 0)

    async def send(self, kind: RequestClass) -> None:
        while True:
            permit = await self.limiter.acquire(kind)
            await asyncio.sleep(0.02)
            check = self._limiters[kind].take(now())
            if check.allowed:
                permit.spend()
                return
            self.refused[kind] += 1
            wait = float(math.ceil(check.wait))
            reading = RateLimitReading(limit=check.limit, retry_after=wait)
            permit.spend(throttled=True, reading=reading)

    async def send_many(self, kind: RequestClass, count: int) -> float:
        await asyncio.gather(*(self.send(kind) for _ in range(count)))
        return now()


async def test_limits_of_actions_and_reads_are_told_apart_by_the_429s_of_both() -> None:
    sides = Sides(Limit(requests=20, seconds=10), Limit(requests=100, seconds=60))
    await sides.send_many(RequestClass.ACTION, 30)
    await sides.send_many(RequestClass.POLL, 150)
    assert not sides.limiter.snapshot().is_split
    await sides.send_many(RequestClass.ACTION, 60)
    assert sides.limiter.snapshot().is_split
    began = now()
    actions, reads = await asyncio.gather(
        sides.send_many(RequestClass.ACTION, 60), sides.send_many(RequestClass.POLL, 300)
    )
    assert actions - began == pytest.approx(25, abs=10)
    assert reads - began == pytest.approx(150, abs=60)
    assert sum(sides.refused.values()) <= 60
    assert sides.limiter.rate(RequestClass.ACTION) == pytest.approx(2, rel=0.1)
    assert sides.limiter.rate(RequestClass.POLL) == pytest.approx(100 / 60, rel=0.1)


@pytest.mark.parametrize("kind", KINDS)
async def test_sides_that_share_a_limit_are_left_together(kind: LimitKind) -> None:
    sides = Sides(Limit(requests=20, seconds=10, kind=kind), None)
    await asyncio.gather(
        sides.send_many(RequestClass.ACTION, 60), sides.send_many(RequestClass.POLL, 60)
    )
    assert not sides.limiter.snapshot().is_split
    assert sum(sides.refused.values()) <= 40


async def test_limits_of_actions_and_reads_that_the_user_knows_are_both_used() -> None:
    known = {"limit": RateLimit(20, 10), "read_limit": RateLimit(300, 10)}
    sides = Sides(Limit(requests=20, seconds=10), Limit(requests=300, seconds=10), **known)
    assert sides.limiter.snapshot().is_split
    actions, reads = await asyncio.gather(
        sides.send_many(RequestClass.ACTION, 200), sides.send_many(RequestClass.POLL, 2000)
    )
    assert actions == pytest.approx(90, abs=1)
    assert reads == pytest.approx(60, abs=1)
    assert sum(sides.refused.values()) == 0
    assert sides.limiter.rate(RequestClass.ACTION) == 2
    assert sides.limiter.rate(RequestClass.POLL) == 30


async def test_a_known_limit_of_reads_leaves_that_of_actions_to_be_learnt() -> None:
    reads = RateLimit(300, 10)
    sides = Sides(Limit(requests=20, seconds=10), Limit(requests=300, seconds=10), read_limit=reads)
    await sides.send_many(RequestClass.ACTION, 60)
    assert sides.limiter.rate(RequestClass.ACTION) == pytest.approx(2)
    assert sides.limiter.rate(RequestClass.POLL) == 30
