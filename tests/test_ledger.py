from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostup_async import RateLimit
from hostup_async._ledger import KnownLimit, LearnedLimit, Ledger
from hostup_async._ratelimit import EMPTY, RateLimitReading

# Whole numbers of seconds, so that sums of moments are exact.
GAPS = st.lists(st.integers(0, 40), min_size=1, max_size=150)
LIMITS = st.builds(RateLimit, st.integers(1, 8), st.integers(1, 60).map(float))


def send_all(ledger: Ledger, gaps: list[int], start: float = 1000.0) -> list[float]:
    """Send one request after each gap, or as soon after it as the ledger allows."""
    now, sends = start, []
    for gap in gaps:
        now = max(now + gap, ledger.ready_at(now + gap))
        ledger.spend(now)
        sends.append(now)
    return sends


def used_up(limit: int, *, reset_after: float, now: float) -> LearnedLimit:
    """A ledger whose limit was met at `now`, in a window that began there."""
    ledger = LearnedLimit()
    for _ in range(limit):
        ledger.spend(now)
    ledger.learn(RateLimitReading(limit=limit, remaining=0, reset_after=reset_after), now)
    return ledger


@given(LIMITS, GAPS)
def test_a_known_limit_is_kept_in_every_window(limit: RateLimit, gaps: list[int]) -> None:
    sends = send_all(KnownLimit(limit), gaps)
    for first, last in zip(sends, sends[limit.requests :], strict=False):
        assert last - first >= limit.window


@given(LIMITS, GAPS)
def test_a_known_limit_delays_no_request_without_need(limit: RateLimit, gaps: list[int]) -> None:
    ledger = KnownLimit(limit)
    sends: list[float] = []
    now = 1000.0
    for gap in gaps:
        now += gap
        recent = [moment for moment in sends if moment > now - limit.window]
        assert ledger.left(now) == limit.requests - len(recent)
        assert (ledger.ready_at(now) <= now) == (len(recent) < limit.requests)
        if ledger.ready_at(now) <= now:
            ledger.spend(now)
            sends.append(now)


def test_a_known_limit_opens_when_its_oldest_send_is_a_window_old() -> None:
    ledger = KnownLimit(RateLimit(2, 60))
    ledger.spend(0.0)
    ledger.spend(10.0)
    assert (ledger.ready_at(20.0), ledger.left(20.0)) == (60.0, 0)
    ledger.spend(60.0)
    assert ledger.ready_at(60.0) == 70.0


def test_a_refund_gives_the_last_send_back() -> None:
    ledger = KnownLimit(RateLimit(2, 60))
    ledger.spend(0.0)
    ledger.spend(10.0)
    ledger.refund()
    assert (ledger.ready_at(10.0), ledger.left(10.0)) == (10.0, 1)


@pytest.mark.parametrize("ledger", [KnownLimit(RateLimit(2, 60)), LearnedLimit()])
def test_a_refund_of_nothing_gives_nothing(ledger: Ledger) -> None:
    before = ledger.left(0.0)
    ledger.refund()
    assert ledger.left(0.0) == before


@pytest.mark.parametrize(
    "reading", [EMPTY, RateLimitReading(limit=1, remaining=0, reset_after=1000.0)]
)
def test_a_known_limit_learns_nothing(reading: RateLimitReading) -> None:
    ledger = KnownLimit(RateLimit(2, 60))
    ledger.spend(0.0)
    ledger.learn(reading, 0.0)
    assert (ledger.ready_at(0.0), ledger.left(0.0)) == (0.0, 1)


def test_without_a_limit_nothing_waits() -> None:
    ledger = LearnedLimit()
    for moment in range(1000):
        assert ledger.ready_at(float(moment)) == float(moment)
        ledger.spend(float(moment))
    assert ledger.left(1000.0) == inf


def test_a_learnt_limit_closes_its_window_and_opens_it_again() -> None:
    ledger = used_up(3, reset_after=60.0, now=100.0)
    assert (ledger.ready_at(101.0), ledger.left(101.0)) == (160.0, 0)
    assert (ledger.ready_at(160.0), ledger.left(160.0)) == (160.0, 3)
    assert ledger.ready_at(500.0) == 500.0


@given(st.integers(1, 8), st.integers(1, 60), GAPS)
def test_a_learnt_limit_is_kept_in_each_window(limit: int, window: int, gaps: list[int]) -> None:
    ledger = used_up(limit, reset_after=float(window), now=1000.0)
    sends = [1000.0] * limit + send_all(ledger, gaps, start=1000.0)
    opened = sends[0]
    counted = 0
    for moment in sends:
        if moment >= opened + window:
            opened, counted = moment, 0
        counted += 1
        assert counted <= limit


@given(st.integers(1, 8), st.integers(1, 60), st.integers(0, 10_000))
def test_a_learnt_limit_is_never_shut_beyond_its_window(limit: int, window: int, wait: int) -> None:
    ledger = used_up(limit, reset_after=float(window), now=0.0)
    now = float(wait)
    assert ledger.ready_at(now) <= max(now, float(window))
    assert (ledger.ready_at(now) <= now) == (wait >= window)


def test_the_window_is_what_lies_between_its_first_request_and_its_reset() -> None:
    ledger = LearnedLimit()
    ledger.spend(0.0)
    ledger.spend(20.0)
    ledger.learn(RateLimitReading(limit=2, reset_after=40.0), 20.0)
    for moment in (60.0, 61.0):
        ledger.spend(moment)
    assert ledger.ready_at(62.0) == 120.0


def test_a_window_that_a_policy_names_goes_before_one_that_is_worked_out() -> None:
    ledger = LearnedLimit()
    ledger.spend(0.0)
    ledger.learn(RateLimitReading(limit=1, reset_after=40.0, window=10.0), 0.0)
    ledger.spend(40.0)
    assert ledger.ready_at(41.0) == 50.0


def test_other_users_of_the_key_are_counted() -> None:
    ledger = LearnedLimit()
    ledger.spend(0.0)
    ledger.learn(RateLimitReading(limit=10, remaining=4, reset_after=60.0), 0.0)
    assert ledger.left(1.0) == 4


def test_an_answer_that_overtook_others_gives_nothing_back() -> None:
    ledger = LearnedLimit()
    for _ in range(5):
        ledger.spend(0.0)
    ledger.learn(RateLimitReading(limit=10, remaining=9, reset_after=60.0), 0.0)
    assert ledger.left(1.0) == 5


def test_a_refund_opens_a_used_up_window() -> None:
    ledger = used_up(3, reset_after=60.0, now=0.0)
    ledger.refund()
    assert (ledger.ready_at(1.0), ledger.left(1.0)) == (1.0, 1)


@pytest.mark.parametrize(
    "reading", [EMPTY, RateLimitReading(retry_after=5.0), RateLimitReading(limit=0)]
)
def test_an_answer_without_a_limit_changes_nothing(reading: RateLimitReading) -> None:
    ledger = LearnedLimit()
    ledger.spend(0.0)
    ledger.learn(reading, 0.0)
    assert (ledger.ready_at(0.0), ledger.left(0.0)) == (0.0, inf)
