"""The books of one limit: what they allow, when they open, what they learn."""

from math import inf
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostup_async import RateLimit
from hostup_async._ratelimit.headers import EMPTY, RateLimitReading
from hostup_async._ratelimit.ledger import LONGEST_TRUST, Ledger

# Whole numbers of seconds, so that sums of moments are exact.
GAPS = st.lists(st.integers(0, 40), min_size=1, max_size=150)
LIMITS = st.builds(RateLimit, st.integers(1, 8), st.integers(1, 60).map(float))


class Sent(NamedTuple):
    granted_at: float
    at_once: int = 1


def send(ledger: Ledger, now: float, reading: RateLimitReading = EMPTY) -> None:
    """One request that is granted and answered at once."""
    ledger.in_flight += 1
    ledger.record_success(now, Sent(now), reading=reading)


def be_limited(ledger: Ledger, now: float, limit: int | None, wait: float) -> float | None:
    ledger.in_flight += 1
    return ledger.record_429(now, Sent(now), RateLimitReading(limit=limit, retry_after=wait))


def send_all(ledger: Ledger, gaps: list[int], start: float = 1000.0) -> list[float]:
    """Send one request after each gap, or as soon after it as the ledger allows."""
    now, sends = start, []
    for gap in gaps:
        now += gap
        if ledger.available(now) < 1:
            now = ledger.opens_at(now)
            assert ledger.available(now) >= 1
        send(ledger, now)
        sends.append(now)
    return sends


def use_up(ledger: Ledger, limit: int, *, at: float, wait: float) -> None:
    """Send as many as are allowed, and one more, which is refused."""
    for _ in range(limit):
        send(ledger, at)
    be_limited(ledger, at + 0.5, limit, wait)


@given(LIMITS, GAPS)
def test_a_known_limit_is_kept_in_every_window(limit: RateLimit, gaps: list[int]) -> None:
    sends = send_all(Ledger(limit), gaps)
    for first, last in zip(sends, sends[int(limit.requests) :], strict=False):
        assert last - first >= limit.window


@given(LIMITS, GAPS)
def test_a_known_limit_delays_no_request_without_need(limit: RateLimit, gaps: list[int]) -> None:
    ledger = Ledger(limit)
    sends: list[float] = []
    now = 1000.0
    for gap in gaps:
        now += gap
        recent = [moment for moment in sends if moment > now - limit.window]
        assert ledger.available(now) == limit.requests - len(recent)
        if ledger.available(now) >= 1:
            send(ledger, now)
            sends.append(now)


def test_what_is_in_flight_is_held_in_reserve() -> None:
    ledger = Ledger(RateLimit(3, 60))
    ledger.in_flight += 2
    assert ledger.available(0.0) == 1
    ledger.record_success(50.0, Sent(0.0))
    assert (ledger.available(50.0), ledger.available(109.0), ledger.available(110.0)) == (1, 1, 2)


@pytest.mark.parametrize(
    "reading", [EMPTY, RateLimitReading(limit=1, remaining=0, reset_after=1000.0)]
)
def test_a_known_limit_learns_nothing(reading: RateLimitReading) -> None:
    ledger = Ledger(RateLimit(2, 60))
    send(ledger, 0.0, reading)
    assert (ledger.estimate.limit, ledger.available(0.0)) == (2, 1)


def test_the_window_is_what_lies_between_its_first_request_and_its_end() -> None:
    ledger = Ledger()
    use_up(ledger, 10, at=0.0, wait=59.6)
    assert (ledger.estimate.limit, ledger.estimate.window) == (10, 60)
    assert ledger.paused_until == pytest.approx(60.1)


def test_a_window_that_a_policy_names_goes_before_one_that_is_measured() -> None:
    ledger = Ledger()
    reading = RateLimitReading(limit=1, reset_after=40.0, window=10.0)
    send(ledger, 0.0, reading)
    assert ledger.estimate.window == 10


def test_after_a_pause_one_request_asks_and_the_rest_follow() -> None:
    ledger = Ledger()
    use_up(ledger, 100, at=0.0, wait=4.5)
    assert ledger.available(4.9) == 0
    assert ledger.opens_at(4.9) == 5
    assert ledger.available(5.0) == 1
    send(ledger, 5.0)
    assert ledger.available(5.0) == 2
    send(ledger, 5.0)
    assert ledger.available(5.0) == 3


def test_a_window_that_goes_by_as_believed_is_confirmed() -> None:
    ledger = Ledger()
    use_up(ledger, 10, at=0.0, wait=4.5)
    for opening in (5.0, 10.0, 15.0):
        assert not ledger.estimate.confirmed
        for _ in range(10):
            assert ledger.available(opening) >= 1
            send(ledger, opening)
    assert ledger.available(20.0) == 10
    assert ledger.estimate.confirmed


def test_what_was_sent_before_a_429_extends_its_pause_and_teaches_nothing() -> None:
    ledger = Ledger()
    ledger.in_flight += 3
    reading = RateLimitReading(limit=10, retry_after=5.0)
    assert ledger.record_429(1.0, Sent(0.0), reading) == 5
    assert ledger.record_429(2.0, Sent(0.5), RateLimitReading(limit=3, retry_after=9.0)) is None
    assert ledger.record_429(2.0, Sent(1.0), RateLimitReading(limit=3, retry_after=1.0)) is None
    assert (ledger.paused_until, ledger.estimate.limit) == (11, 10)


def test_early_refusals_lead_to_the_rate_that_others_leave_over() -> None:
    ledger = Ledger()
    use_up(ledger, 100, at=0.0, wait=9.5)
    now, tokens, filled_at = 10.0, 40.0, 10.0
    while now < 120:
        if ledger.available(now) < 1:
            now = max(now, ledger.opens_at(now))
        tokens, filled_at = min(40.0, tokens + 4 * (now - filled_at)), now
        if tokens >= 1:
            tokens -= 1
            send(ledger, now)
        else:
            be_limited(ledger, now, 100, 1.0)
    assert ledger.estimate.limit == 100
    assert ledger.estimate.rate == pytest.approx(4, rel=0.15)
    assert ledger.throttled_count < 12


def test_others_who_go_give_their_share_back() -> None:
    ledger = Ledger()
    estimate = ledger.estimate
    use_up(ledger, 10, at=0.0, wait=9.5)
    for opening in (10.0, 20.0, 30.0):
        send_all(ledger, [0] * 10, opening)
    send_all(ledger, [0] * 4, 40.0)
    be_limited(ledger, 40.0, 10, 9.5)
    assert estimate.cap == 9  # no less than what went well since the refusal before
    sends = send_all(ledger, [0] * 200, 50.0)
    assert estimate.cap >= 10
    assert ledger.throttled_count == 2
    assert len(sends) == 200


def test_a_limit_that_was_lowered_is_believed_at_once_and_a_raised_one_in_time() -> None:
    ledger = Ledger()
    estimate = ledger.estimate
    reading = RateLimitReading(limit=100, remaining=90, reset_after=10.0)
    send(ledger, 0.0, reading)
    ledger.in_flight += 2
    ledger.record_success(
        2.0, Sent(1.0), reading=RateLimitReading(limit=50, remaining=40, reset_after=9.0)
    )
    assert estimate.limit == 50
    ledger.record_success(3.0, Sent(1.5), reading=reading)  # sent before the lowering: old news
    assert estimate.limit == 50
    ledger.in_flight += 1
    ledger.record_success(5.0, Sent(4.0), reading=reading)
    assert estimate.limit == 100


def test_other_users_of_the_key_are_counted_where_successes_tell() -> None:
    ledger = Ledger()
    send(ledger, 0.0, RateLimitReading(limit=10, remaining=4, reset_after=60.0))
    assert ledger.available(1.0) == 4


def test_an_answer_that_overtook_others_gives_nothing_back() -> None:
    ledger = Ledger()
    ledger.in_flight += 5
    for remaining in (5, 9, 8, 7, 6):
        reading = RateLimitReading(limit=10, remaining=remaining, reset_after=60.0)
        ledger.record_success(1.0, Sent(0.0), reading=reading)
    assert ledger.left(1.0) == 5


def test_after_a_window_that_was_told_to_be_used_up_one_request_asks() -> None:
    ledger = Ledger()
    send(ledger, 0.0, RateLimitReading(limit=10, remaining=0, reset_after=7.0))
    assert (ledger.available(6.9), ledger.opens_at(6.9), ledger.available(7.0)) == (0, 7, 1)
    send(ledger, 7.0, RateLimitReading(limit=10, remaining=9, reset_after=7.0))
    assert ledger.available(7.0) > 1


def test_without_a_limit_what_is_in_flight_grows_with_what_was_accepted() -> None:
    ledger = Ledger()
    assert ledger.available(0.0) == 4
    for moment in range(3200):
        send(ledger, float(moment))
    assert ledger.available(3200.0) == 104
    assert len(ledger._spent) < 100


def test_a_limit_that_no_answer_names_is_counted() -> None:
    ledger = Ledger()
    for _ in range(50):
        send(ledger, 0.0)
    be_limited(ledger, 0.5, None, 29.5)
    assert (ledger.estimate.limit, ledger.estimate.window) == (50, 30)


def test_a_pause_of_days_is_asked_about_after_an_hour() -> None:
    ledger = Ledger()
    be_limited(ledger, 0.0, 10, 1_000_000.0)
    assert (ledger.opens_at(1.0), ledger.wait_behind(0, 1.0)) == (LONGEST_TRUST, 999_999)


@pytest.mark.parametrize(
    "reading", [EMPTY, RateLimitReading(retry_after=5.0), RateLimitReading(limit=0)]
)
def test_a_success_without_a_limit_changes_nothing(reading: RateLimitReading) -> None:
    ledger = Ledger()
    send(ledger, 0.0, reading)
    assert (ledger.estimate.limit, ledger.available(0.0)) == (inf, 4)
