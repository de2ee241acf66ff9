"""A reset that means "full again", and what else is told from the dimensions of a limit."""

from math import inf

import pytest

from hostup_async._ratelimit.at_once import AtOnce
from hostup_async._ratelimit.headers import RateLimitReading
from hostup_async._ratelimit.ledger import Ledger
from hostup_async._ratelimit.named_limits import NamedLimits
from hostup_async._ratelimit.pacer import Pacer
from hostup_async._ratelimit.refill import RefillDetector
from hostup_async._ratelimit.window import Observation


class Sent:
    at_once = 1

    def __init__(self, granted_at: float) -> None:
        self.granted_at = granted_at


def told(used: int, reset_after: float) -> RateLimitReading:
    return RateLimitReading(limit=60, remaining=60 - used, reset_after=reset_after)


def send(ledger: Ledger, now: float, reading: RateLimitReading) -> None:
    ledger.in_flight += 1
    ledger.record_success(now, Sent(now), reading=reading)


def test_a_reset_that_moves_away_with_each_request_tells_the_rate_of_a_bucket() -> None:
    detector = RefillDetector()
    rates = [detector.observe(told(used, used / 2)) for used in range(1, 20)]
    assert rates[:7] == [None] * 7
    assert {rate for rate in rates if rate} == {2.0}


@pytest.mark.parametrize("window", [5, 60])
def test_a_reset_of_a_window_tells_none(window: float) -> None:
    detector = RefillDetector()
    for used in range(1, 60):
        assert detector.observe(told(used, window - used * window / 120)) is None
    for used in range(1, 60):  # rounded up, the next window
        assert detector.observe(told(used, window + 2)) is None


def test_a_window_that_began_before_us_tells_none() -> None:
    """One of the clock: the first request came at its end, the others come in the next one."""
    detector = RefillDetector()
    for used, reset_after in [(1, 2.0), *((used, 60.0) for used in range(2, 60))]:
        assert detector.observe(told(used, reset_after)) is None


def test_a_bucket_that_is_empty_gives_its_next_request_back_long_before_it_is_full() -> None:
    ledger = Ledger()
    for used in range(1, 61):
        assert ledger.available(0.0) >= 1
        send(ledger, 0.0, told(used, float(used)))
    assert ledger.available(0.5) < 1
    assert ledger.opens_at(0.5) == pytest.approx(1.0, abs=0.1)
    sent, now = 0, 0.0
    while now < 60:
        now = max(now + 0.01, ledger.opens_at(now))
        if ledger.available(now) >= 1:
            sent += 1
            send(ledger, now, told(60, 60.0))
    assert 55 <= sent <= 61


def test_a_number_at_once_is_lowered_by_a_refusal_within_it() -> None:
    at_once = AtOnce()
    assert at_once.explains(5, 5)
    assert at_once.most == 4
    for _ in range(40):
        at_once.accept()
    assert at_once.explains(4, 4)
    assert at_once.most == 3


@pytest.mark.parametrize("in_flight", [1, 4])
def test_a_number_at_once_is_refuted_where_nothing_passes_within_it(in_flight: int) -> None:
    at_once = AtOnce()
    assert at_once.explains(5, 5)
    assert not at_once.explains(in_flight, 4)
    assert not at_once.is_limited
    assert not at_once.explains(5, 5)


def test_successes_that_name_two_limits_in_turn_show_that_the_kinds_differ() -> None:
    named = NamedLimits()
    turns = [named.alternate(30 if n % 2 else 300, is_action=bool(n % 2)) for n in range(6)]
    assert turns == [False] * 5 + [True]


def test_a_limit_that_was_changed_shows_nothing() -> None:
    named = NamedLimits()
    for limit in (40, 200, 40, 200, 200, 200):  # the last answers overtake each other
        for is_action in (True, False):
            assert not named.alternate(limit, is_action=is_action)


def refused(now: float, since_429: float) -> Observation:
    return Observation(
        now=now,
        sent_at=now,
        opened_at=None,
        accepted_since_opening=0,
        opened_by_count=False,
        accepted_since_429=1,
        seconds_since_429=since_429,
        paused=2.0,
        granted=0,
        at_once=1,
        most_at_once=1,
        spent=(),
        server_remaining=inf,
    )


def test_refusals_that_have_another_cause_do_not_lower_a_rate_without_end() -> None:
    pacer, now = Pacer(1.0, 1.0, now=0.0, granted=0), 0.0
    for _ in range(50):
        now += 1 / pacer.rate
        pacer.refuse(refused(now, 2 + 1 / pacer.rate))
        now += 2
        pacer.accept(now)
    assert pacer.rate == 0.125
