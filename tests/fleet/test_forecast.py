"""How many seconds a run still takes, on a clock that the tests set."""

from math import inf
from typing import Any

import pytest
from fleet_tools import learnt
from hypothesis import given
from hypothesis import strategies as st

from hostup_async import Budget, FleetPolicy, OutcomeStatus, RateLimit
from hostup_async._fleet.forecast import Progress, seconds_left
from hostup_async._fleet.rollout import Rollout
from hostup_async._polling.durations import DurationModel
from hostup_async._ratelimit.headers import RateLimitReading
from hostup_async._ratelimit.limits import RequestClass

TEN = DurationModel.from_json(learnt(10.0))
JOB = TEN.mean()  # about 10 s


def at(**changes: Any) -> Progress:
    values = {
        "planned": 89, "in_flight": 1, "youngest": 0.0, "known": 0, "requests": 1,
        "steps": 0, "in_steps": 0, "window": 1000, **changes,
    }  # fmt: skip
    return Progress(**values)


def no_limit(*_: float) -> float:
    return 0.0


def test_a_slow_limit_takes_the_windows_that_are_still_needed() -> None:
    limiter = Budget(RateLimit(60, 60), clock=lambda: 0.0)._limiter
    few, all_sent = (
        at(planned=30, in_flight=0, requests=0),
        at(planned=0, in_flight=20, requests=20),
    )
    for progress, expected in ((few, JOB), (at(planned=90), 180.0), (all_sent, JOB)):
        assert seconds_left(progress, TEN, limiter.seconds_for) == pytest.approx(expected, rel=0.1)


def test_a_canary_that_is_polled_often_does_not_make_hours_of_minutes() -> None:
    limiter = Budget(RateLimit(60, 60), clock=lambda: 0.0)._limiter
    steps, in_steps = Rollout(FleetPolicy(canary=1), 90).steps_left(89, 8)
    progress = at(requests=15, steps=steps, in_steps=in_steps)
    left = seconds_left(progress, TEN, limiter.seconds_for)
    assert left is not None
    assert 180 <= left <= 360


async def test_the_time_left_goes_on_through_a_pause() -> None:
    now = [0.0]
    limiter = Budget(RateLimit(60, 60), clock=lambda: now[0])._limiter
    permit = await limiter.acquire(RequestClass.ACTION)
    permit.spend(throttled=True, reading=RateLimitReading(retry_after=150.0))
    left = []
    for moment in (0.0, 50.0, 149.0):
        now[0] = moment
        left.append(seconds_left(at(planned=90), TEN, limiter.seconds_for))
    assert left == [330, 280, 181]


def test_a_ramp_takes_about_a_job_for_each_step() -> None:
    rollout = Rollout(FleetPolicy(canary=1), 1000)
    steps, in_steps = rollout.steps_left(1000, 200)
    assert (steps, in_steps) == (8, 1 + 2 + 4 + 8 + 16 + 32 + 64 + 128)
    left = seconds_left(at(planned=1000, steps=8, in_steps=255, window=200), TEN, no_limit)
    assert left == pytest.approx(9 * JOB)


def test_a_bound_on_what_is_in_flight_takes_its_turns() -> None:
    left = seconds_left(at(planned=100, in_flight=4, window=4), TEN, no_limit)
    assert left == pytest.approx(26 * JOB)


def test_nothing_is_told_while_no_end_was_seen_and_no_limit_counts_as_none() -> None:
    assert seconds_left(at(), DurationModel(), no_limit) is None
    assert seconds_left(at(), TEN, lambda *_: None) == pytest.approx(JOB, rel=0.1)


@given(
    canary=st.integers(0, 5),
    sent=st.integers(0, 300),
    known=st.floats(0, 1),
    planned=st.integers(0, 1000),
    window=st.integers(1, 300),
)
def test_the_steps_that_are_left_hold_no_more_than_is_planned(
    canary: int, sent: int, known: float, planned: int, window: int
) -> None:
    rollout = Rollout(FleetPolicy(canary=canary), planned + sent)
    for number in range(sent):
        if rollout.allowance() < 1:
            break
        step = rollout.sent()
        if number < known * sent:
            rollout.record_outcome(step, f"vps_{number}", OutcomeStatus.COMPLETED)
    steps, in_steps = rollout.steps_left(planned, window)
    assert 0 <= in_steps <= planned
    assert steps <= 12
    if rollout.allowance() == inf:
        assert steps == 0
