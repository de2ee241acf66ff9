"""What is learnt of durations, from polls and from exact times."""

import json
import random
from collections.abc import Callable
from math import exp, inf, isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostup_async._polling.durations import DurationModel

AGES = st.floats(0, 20_000) | st.floats(0, 20)
BOUNDS = st.floats(0.01, 300)


@st.composite
def tables(draw: st.DrawFn) -> DurationModel:
    """Whatever can be learnt."""
    durations = DurationModel()
    for after, took, exact in draw(
        st.lists(st.tuples(AGES, st.floats(0, 5000), st.booleans()), max_size=40)
    ):
        durations.observe_running(0, after)
        durations.observe_end(after + took if exact else after, after + took)
    return durations


@given(tables(), AGES, AGES)
def test_ever_fewer_jobs_survive(durations: DurationModel, one: float, other: float) -> None:
    first, last = sorted((one, other))
    assert 1 >= durations.survival(first) >= durations.survival(last) >= 0
    assert durations.survival(0) == 1


@given(tables(), st.lists(AGES, min_size=3, max_size=3))
def test_what_goes_undetected_grows_and_is_no_longer_than_the_gap(
    durations: DurationModel, ages: list[float]
) -> None:
    poll, early, late = sorted(ages)
    less = durations.expected_detection_delay(poll, early)
    more = durations.expected_detection_delay(poll, late)
    assert 0 <= less <= more + 1e-6
    assert more <= late - poll + 1e-6
    assert durations.expected_detection_delay(poll, poll) == pytest.approx(0, abs=1e-6)


@given(tables(), AGES, BOUNDS)
def test_the_due_age_is_when_so_much_has_gone_undetected(
    durations: DurationModel, poll: float, bound: float
) -> None:
    due = durations.due_age(poll, bound)
    assert due >= poll
    assert durations.expected_detection_delay(poll, due) == pytest.approx(bound, rel=1e-3, abs=1e-4)


@given(tables(), st.floats(0, 0.999))
def test_a_quantile_is_the_age_that_such_a_share_does_not_survive(
    durations: DurationModel, share: float
) -> None:
    assert durations.survival(durations.quantile(share)) == pytest.approx(1 - share, abs=1e-6)


@given(tables())
def test_the_mean_is_the_area_under_the_survivors(durations: DurationModel) -> None:
    # What is alive at a bin's end is undetected no more: from birth to then, time less the mean
    # of what is lived of it.
    far = durations.quantile(1 - 1e-12)
    lived = far - durations.expected_detection_delay(0, far)
    assert lived == pytest.approx(durations.mean(), rel=1e-3, abs=1e-3)


@given(tables(), AGES, BOUNDS)
def test_what_was_learnt_outlives_its_process(
    durations: DurationModel, poll: float, bound: float
) -> None:
    again = DurationModel.from_json(durations.to_json())
    assert again.mean() == pytest.approx(durations.mean(), rel=0.05, abs=0.01)
    assert again.due_age(poll, bound) - poll == pytest.approx(
        durations.due_age(poll, bound) - poll, rel=0.05, abs=0.01
    )
    assert again.confidence() == pytest.approx(durations.confidence(), abs=0.03)


BINS = len(json.loads(DurationModel().to_json())["ends"])
JUNK = [
    None,
    "",
    "{",
    "[]",
    "null",
    "7",
    '"ends"',
    "[" * 100_000,
    '{"ends": [], "seconds": []}',
    '{"ends": 1, "seconds": 2}',
    json.dumps({"ends": [1] * BINS}),
    json.dumps({"ends": [1] * BINS, "seconds": [1] * (BINS - 1)}),
    json.dumps({"ends": [1] * BINS, "seconds": [-1] * BINS}),
    json.dumps({"ends": [1] * BINS, "seconds": [inf] * BINS}),
    json.dumps({"ends": ["x"] * BINS, "seconds": [1] * BINS}),
    json.dumps({"ends": [None] * BINS, "seconds": [1] * BINS}),
    json.dumps({"ends": [10**400] * BINS, "seconds": [1] * BINS}),
]


@pytest.mark.parametrize("text", JUNK)
def test_junk_teaches_nothing(text: str | None) -> None:
    durations = DurationModel.from_json(text)
    assert durations.to_json() == DurationModel().to_json()
    assert durations.quantile(0.5) == pytest.approx(30, rel=0.01)
    assert durations.confidence() == 0


NUMBERS = st.lists(st.floats(0, 1e308), min_size=BINS, max_size=BINS)


@given(NUMBERS, NUMBERS, AGES, BOUNDS)
def test_no_text_breaks_the_arithmetic(
    ends: list[float], seconds: list[float], poll: float, bound: float
) -> None:
    durations = DurationModel.from_json(json.dumps({"ends": ends, "seconds": seconds}))
    due = durations.due_age(poll, bound)
    assert isfinite(due)
    assert due >= poll
    assert isfinite(durations.mean())


# The time to the next poll, of an age and of chance, which is from 0 to 1.
Gap = Callable[[float, float], float]
GAPS: dict[str, Gap] = {
    "regular": lambda _, chance: 1.5 + 3 * chance,
    "growing": lambda age, chance: max(1.0, age * (0.2 + 0.4 * chance)),
    "scarce": lambda _, chance: 2 + 16 * chance,
}


def follow(durations: DurationModel, took: float, gap: Callable[[float], float]) -> None:
    seen = 0.0
    while (age := seen + gap(seen)) < took:
        durations.observe_running(seen, age)
        seen = age
    durations.observe_end(seen, age)


@pytest.mark.parametrize("gap", GAPS.values(), ids=GAPS)
def test_polls_alone_teach_the_distribution(gap: Gap) -> None:
    chance, durations = random.Random(3), DurationModel()
    for _ in range(3000):
        follow(durations, 8 * exp(0.35 * chance.gauss(0, 1)), lambda age: gap(age, chance.random()))
    assert durations.quantile(0.25) == pytest.approx(6.3, rel=0.2)
    assert durations.quantile(0.5) == pytest.approx(8.0, rel=0.12)
    assert durations.quantile(0.9) == pytest.approx(12.5, rel=0.15)
    assert durations.mean() == pytest.approx(8.5, rel=0.1)


def test_slow_jobs_count_before_they_end() -> None:
    # Half of the jobs take about 5 s, half 100 s; so far the fast ones alone have ended.
    chance, durations = random.Random(4), DurationModel()
    for _ in range(200):
        took = chance.uniform(3, 7)
        durations.observe_running(0, took)
        durations.observe_end(took, took)
        durations.observe_running(0, 20)
    assert durations.survival(20) == pytest.approx(0.5, abs=0.04)
    assert durations.quantile(0.25) == pytest.approx(5, rel=0.1)
    assert durations.mean() > 20


def test_exact_times_teach_the_distribution() -> None:
    chance, durations = random.Random(5), DurationModel()
    for _ in range(2000):
        took = 40 * exp(0.2 * chance.gauss(0, 1))
        durations.observe_running(0, took)
        durations.observe_end(took, took)
    assert durations.quantile(0.5) == pytest.approx(40, rel=0.05)
    assert durations.quantile(0.95) == pytest.approx(55.6, rel=0.08)
    assert durations.mean() == pytest.approx(40.8, rel=0.05)


@pytest.mark.parametrize(("before", "after"), [(8.0, 40.0), (40.0, 8.0)])
def test_a_shift_is_followed(before: float, after: float) -> None:
    chance, durations = random.Random(7), DurationModel()
    for median in (before, after):
        for _ in range(1000):
            follow(durations, median * chance.uniform(0.8, 1.2), lambda _: chance.uniform(1, 5))
        assert durations.quantile(0.5) == pytest.approx(median, rel=0.15)


def test_the_version_changes_with_what_is_news_alone() -> None:
    chance, durations = random.Random(9), DurationModel()
    versions = []
    for _ in range(4):
        before = durations.version
        for _ in range(500):
            took = 8 * exp(0.35 * chance.gauss(0, 1))
            durations.observe_running(0, took)
            durations.observe_end(took, took)
        versions.append(durations.version - before)
    assert versions[0] > 2
    assert max(versions[1:]) <= 12


def test_memory_of_many_jobs_neither_overflows_nor_slows_learning() -> None:
    durations = DurationModel()
    for _ in range(12_000):  # the weights pass their bound twice
        durations.observe_running(0, 8)
        durations.observe_end(8, 9)
    assert durations.quantile(0.5) == pytest.approx(8.5, rel=0.1)
    for _ in range(1000):
        durations.observe_running(0, 2)
        durations.observe_end(2, 2)
    assert durations.quantile(0.5) == pytest.approx(2, rel=0.15)


def test_instant_jobs_leave_room_for_a_slow_one() -> None:
    durations = DurationModel()
    for _ in range(500):
        durations.observe_end(0, 0)
    assert durations.due_age(0, 0.2) < 0.3
    seen = 0.0
    polls = 0
    while seen < 60:
        age = durations.due_age(seen, 0.2)
        durations.observe_running(seen, age)
        seen, polls = age, polls + 1
    assert polls < 60


def test_it_shows_what_it_knows() -> None:
    durations = DurationModel()
    assert repr(durations) == "<DurationModel: median 30 s, mean 53.8 s, confidence 0.00>"
    for _ in range(40):
        durations.observe_end(8, 8)
    assert repr(durations).endswith("confidence 0.50>")
