"""What was learnt of a limit lasts: as a text, and as what another budget begins with."""

from functools import partial
from math import ceil
from typing import Any, NamedTuple

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from limit_models import Scenario, run
from tools import examples

from hostup_async import (
    Budget,
    ConfigurationError,
    LearntLimit,
    LearntLimits,
    LimitStyle,
    RateLimit,
)
from hostup_async._ratelimit.headers import RateLimitReading
from hostup_async._ratelimit.ledger import Ledger
from hostup_async._ratelimit.limits import RequestClass
from hostup_async._ratelimit.plan import seconds_for

DAY = 86_400.0
WINDOW = partial(LearntLimit, LimitStyle.WINDOW)
SLOW = Scenario(requests=60, seconds=60, vps=90, job=10)
LIMITS = st.builds(
    LearntLimit,
    style=st.sampled_from(LimitStyle),
    requests=st.floats(0.01, 1e6),
    window=st.floats(0.1, 86_400),
    age=st.floats(0, 1e7),
    is_fixed=st.none() | st.booleans(),
)


class Sent(NamedTuple):
    granted_at: float
    at_once: int = 1


def age_of(ledger: Ledger, now: float) -> float:
    learnt = ledger.estimate.learnt(now)
    assert learnt is not None
    return learnt.age


def known(requests: float, window: float, **more: Any) -> LearntLimits:
    limit = LearntLimit(**{"style": LimitStyle.WINDOW, **more}, requests=requests, window=window)
    return LearntLimits(limit, limit)


@given(st.none() | LIMITS, st.none() | LIMITS, st.booleans(), st.floats(0, 1e9))
def test_what_was_learnt_survives_as_a_text(
    actions: LearntLimit | None,
    reads: LearntLimit | None,
    is_split: bool,  # noqa: FBT001 - drawn
    age: float,
) -> None:
    limits = LearntLimits(actions=actions, reads=reads, is_split=is_split)
    again = LearntLimits.from_json(limits.to_json(), age=age)
    assert again == limits
    for one, same in ((actions, again.actions), (reads, again.reads)):
        assert one is same is None or (one and same and same.is_fixed is one.is_fixed)
        assert same is None or same.age == age


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"actions": 3}', '{"actions": {"requests": -1}}',
     '{"actions": {"requests": 60, "window": 0}}', '{"actions": {"requests": "NaN"}}',
     '{"actions": {"requests": 60, "style": "moon"}}', '{"actions": {"colour": 1}}', "[" * 9999],
)  # fmt: skip
def test_a_text_that_makes_no_sense_teaches_nothing(text: str) -> None:
    assert LearntLimits.from_json(text) == LearntLimits()


def test_a_fleet_that_begins_with_what_another_learnt_meets_one_429_and_not_more_windows() -> None:
    cold = run(SLOW)
    assert cold.learnt == known(60, 60, is_named=True)
    warm = run(evolve(SLOW, before=cold.learnt))
    assert len(warm.limited) == 1
    assert warm.seconds <= min(cold.seconds, 122)  # 180 requests take three windows
    assert warm.learnt == cold.learnt


@pytest.mark.parametrize("kind", ["fixed", "clock", "sliding", "bucket"])
@pytest.mark.parametrize(
    "before",
    [known(60, 3600), known(6, 6000), known(1, 86_400), known(5000, 1), known(60, 60, age=1e7),
     known(1e6, 60), known(0.001, 1, style=LimitStyle.RATE),
     known(1e5, 1, style=LimitStyle.RATE), known(2, 1, style=LimitStyle.AT_ONCE)],
    ids=str,
)  # fmt: skip
def test_a_wrong_limit_of_before_costs_a_few_429s_and_no_waiting(
    kind: Any, before: LearntLimits
) -> None:
    scenario = Scenario(kind=kind, requests=100, seconds=5)
    cold, warm = run(scenario), run(evolve(scenario, before=before))
    assert len(warm.accepted) == 600
    assert len(warm.limited) <= len(cold.limited) + 20
    assert warm.seconds <= cold.seconds + 10


@given(
    before=st.builds(
        known,
        st.integers(1, 2000),
        st.floats(0.5, 90_000),
        style=st.sampled_from(LimitStyle),
        age=st.sampled_from([0.0, 9 * DAY]),
    ),
    scenario=st.builds(
        Scenario,
        kind=st.sampled_from(["fixed", "sliding", "bucket"]),
        requests=st.integers(10, 150),
        seconds=st.floats(1, 60),
        on_successes=st.booleans(),
        vps=st.integers(1, 60),
        seed=st.integers(0, 99),
    ),
)
@settings(max_examples=examples(25), deadline=None)
def test_whatever_is_believed_at_the_start_no_fleet_stalls(
    before: LearntLimits, scenario: Scenario
) -> None:
    cold, warm = run(scenario), run(evolve(scenario, before=before))
    assert len(warm.accepted) == 2 * scenario.vps
    assert warm.seconds <= 2 * cold.seconds + 3 * scenario.seconds + 10
    assert len(warm.limited) <= len(cold.limited) + 40


def test_one_early_429_is_excused_since_another_process_may_have_used_the_window() -> None:
    ledger = Ledger()
    ledger.restore(LearntLimit(LimitStyle.WINDOW, 60, 60, age=500), 0.0)
    for moment in range(10):
        ledger.in_flight += 1
        ledger.record_success(float(moment), Sent(float(moment)))
    ledger.in_flight += 1
    ledger.record_429(10.0, Sent(10.0), RateLimitReading(limit=60, retry_after=20.0))
    assert (ledger.estimate.limit, ledger.estimate.window) == (60, 60)
    assert age_of(ledger, 10.0) == 510  # that showed nothing
    ledger.in_flight += 1
    ledger.record_429(30.0, Sent(30.0), RateLimitReading(limit=40, retry_after=20.0))
    assert ledger.estimate.limit == 40
    assert age_of(ledger, 35.0) == 5


def test_what_is_given_or_known_is_not_replaced_and_nothing_is_learnt_of_it() -> None:
    budget = Budget(RateLimit(9, 9))
    budget._limiter.restore(known(60, 60))
    assert budget.snapshot().limit == 9
    assert budget._limiter.learnt().is_empty
    fresh = Budget()
    fresh._limiter.restore(known(60, 60))
    fresh._limiter.restore(known(50, 50))
    assert fresh.snapshot().limit == 60


def test_limits_of_actions_and_reads_are_remembered_apart() -> None:
    actions, reads = WINDOW(30, 10), WINDOW(300, 10)
    budget = Budget()
    budget._limiter.restore(LearntLimits(actions=actions, reads=reads, is_split=True))
    assert budget.snapshot().is_split
    assert budget._limiter.allowed() == LearntLimits(actions=actions, reads=reads, is_split=True)
    assert budget._limiter.rate(RequestClass.POLL) == pytest.approx(30, rel=0.02)


@pytest.mark.parametrize("kind", ["fixed", "sliding"])
@pytest.mark.parametrize("before", [None, known(100, 5)])
def test_a_share_leaves_the_rest_of_every_window_to_others(
    kind: Any, before: LearntLimits | None
) -> None:
    result = run(Scenario(kind=kind, share=0.7, before=before, vps=250))
    begin = 10 if before is None else 0  # until then the limit is found
    windows = range(begin, int(result.seconds) - 5)
    assert max(result.most_in(moment, moment + 5) for moment in windows) <= 72
    assert result.seconds <= 1.2 * 500 / 70 * 5


def test_a_share_of_a_given_limit_is_its_count() -> None:
    assert Budget(RateLimit(60, 60), share=0.7).snapshot().left == 42
    assert Budget(RateLimit(100, 60), share=0.29).snapshot().left == 29
    assert Budget(RateLimit(1, 60), share=0.1).snapshot().left == 1
    assert Budget(RateLimit.UNLIMITED, share=0.5).snapshot().limit is None
    assert Budget(RateLimit(60, 60), share=0.7).snapshot().share == 0.7


@pytest.mark.parametrize("share", [0, -1, 1.01, True, "0.5", None, float("nan")])
def test_a_share_that_is_none_is_refused(share: Any) -> None:
    with pytest.raises(ConfigurationError, match="above 0 and at most 1, such as 0"):
        Budget(share=share)


@given(st.integers(1, 9), st.integers(0, 30), st.integers(0, 200), st.integers(1, 60))
def test_the_time_for_some_requests_is_when_the_last_may_go(
    limit: int, used: int, wanted: int, window: int
) -> None:
    ledger, now = Ledger(RateLimit(limit, window)), 0.0
    used = min(used, limit)
    for _ in range(used):
        ledger.in_flight += 1
        ledger.record_success(now, Sent(now))
    windows = max(0, ceil((wanted - (limit - used)) / limit))
    assert seconds_for(ledger, wanted, now) == pytest.approx(windows * window)


def test_the_time_counts_the_pause_and_goes_on_through_it() -> None:
    ledger = Ledger(RateLimit(60, 60))
    ledger.in_flight += 1
    ledger.record_429(0.0, Sent(0.0), RateLimitReading(retry_after=40.0))
    assert [seconds_for(ledger, 120, now) for now in (0.0, 10.0, 39.0)] == [100, 90, 61]
    assert seconds_for(Ledger(), 120, 0.0) is None
    assert seconds_for(Ledger(RateLimit.UNLIMITED), 120, 0.0) == 0


def test_the_least_time_is_that_of_the_windows_or_the_rate() -> None:
    window = WINDOW(60, 60)
    assert [window.least_seconds(count) for count in (0, 1, 60, 61, 120, 121)] == [
        0, 0, 0, 60, 60, 120,
    ]  # fmt: skip
    assert LearntLimit(LimitStyle.RATE, 2).least_seconds(9) == 4.5
    assert LearntLimit(LimitStyle.AT_ONCE, 2).least_seconds(9) == 0
    split = LearntLimits(actions=window, reads=evolve(window, requests=10), is_split=True)
    assert split.least_seconds(60, 30) == 120
    assert LearntLimits(window, window).least_seconds(60, 60) == 60
    assert LearntLimits().least_seconds(1, 1) is None
