from itertools import islice

import pytest

from hostup_async import Problem
from hostup_async._http.retry import (
    Decision,
    RequestOutcome,
    Retries,
    RetryQuota,
    classify,
    decide,
    delays,
)

CEILINGS = [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0, 15.0]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("hostup_async._clock.monotonic", clock.monotonic)
    return clock


@pytest.fixture
def _longest_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hostup_async._clock.chance", lambda: 1.0)


@pytest.mark.parametrize(
    ("outcome", "action", "read"),
    [
        (RequestOutcome.ANSWERED, Decision.ACCEPT, Decision.ACCEPT),
        (RequestOutcome.NEVER_SENT, Decision.RETRY, Decision.RETRY),
        (RequestOutcome.LIMITED, Decision.PAUSE, Decision.PAUSE),
        (RequestOutcome.TAKEN_BACK, Decision.RAISE, Decision.PAUSE),
        (RequestOutcome.IN_DOUBT, Decision.OUTCOME_UNKNOWN, Decision.RETRY),
        (RequestOutcome.UNEXPECTED, Decision.OUTCOME_UNKNOWN, Decision.RETRY_BRIEFLY),
        (RequestOutcome.FILTERED, Decision.RAISE, Decision.RETRY_BRIEFLY),
        (RequestOutcome.UNPROVED, Decision.OUTCOME_UNKNOWN, Decision.REPEAT),
        (RequestOutcome.REFUSED, Decision.RAISE, Decision.RAISE),
    ],
)
def test_the_table_row_by_row(outcome: RequestOutcome, action: Decision, read: Decision) -> None:
    assert decide(outcome, acts=True) is action
    assert decide(outcome, acts=False) is read


def test_an_action_is_repeated_only_where_nothing_took_place() -> None:
    repeated = {
        outcome
        for outcome in RequestOutcome
        if decide(outcome, acts=True) in {Decision.RETRY, Decision.PAUSE}
    }
    assert repeated == {RequestOutcome.NEVER_SENT, RequestOutcome.LIMITED}


@pytest.mark.parametrize(
    ("status", "action", "read"),
    [
        (429, Decision.PAUSE, Decision.PAUSE),
        *(
            (status, Decision.OUTCOME_UNKNOWN, Decision.RETRY)
            for status in (408, 421, 425, 499, 500, 502, 503, 504)
        ),
        *((status, Decision.RAISE, Decision.RETRY_BRIEFLY) for status in (400, 401, 403, 404)),
        *(
            (status, Decision.OUTCOME_UNKNOWN, Decision.RETRY_BRIEFLY)
            for status in (301, 302, 303, 307, 308, 405, 409, 410, 418, 422)
        ),
        (200, Decision.RAISE, Decision.RAISE),
    ],
)
def test_what_each_status_leads_to(status: int, action: Decision, read: Decision) -> None:
    outcome = classify(Problem(status=status))
    assert (decide(outcome, acts=True), decide(outcome, acts=False)) == (action, read)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409])
def test_what_the_api_itself_refuses_is_final(status: int) -> None:
    outcome = classify(Problem(status=status, code="any", raw={"code": "any"}))
    assert outcome is RequestOutcome.REFUSED


@pytest.mark.parametrize(
    ("status", "code", "outcome"),
    [
        (403, "rate_limited", RequestOutcome.LIMITED),
        (200, "rate_limit_exceeded", RequestOutcome.TAKEN_BACK),
        (503, "rate_limit_exceeded", RequestOutcome.IN_DOUBT),
        (200, "upstream_failed", RequestOutcome.IN_DOUBT),
        *((status, "upstream_failed", RequestOutcome.IN_DOUBT) for status in (400, 404, 409, 502)),
        (409, "upstream_unavailable", RequestOutcome.IN_DOUBT),
        (200, "vps_not_ready", RequestOutcome.REFUSED),
        (409, "some_other_code", RequestOutcome.REFUSED),
    ],
)
def test_a_code_goes_before_the_status(status: int, code: str, outcome: RequestOutcome) -> None:
    assert classify(Problem(status=status, code=code)) is outcome


@pytest.mark.usefixtures("clock", "_longest_delays")
def test_a_brief_retry_gives_up_after_a_few_times() -> None:
    retries = Retries(RetryQuota(), patience=1000)
    given = [retries.next_delay(None, is_brief=True) for _ in range(5)]
    assert given == [0.5, 1.0, 2.0, 4.0, None]
    assert retries.next_delay(None) is not None


@pytest.mark.parametrize("_", range(20))
def test_delays_stay_within_their_ceilings(_: int) -> None:
    for delay, ceiling in zip(islice(delays(), len(CEILINGS)), CEILINGS, strict=True):
        assert 0 <= delay <= ceiling


@pytest.mark.usefixtures("_longest_delays")
def test_the_ceilings_double_up_to_a_bound() -> None:
    assert list(islice(delays(), len(CEILINGS))) == CEILINGS


def test_delays_are_jittered() -> None:
    assert len({next(delays()) for _ in range(20)}) > 1


@pytest.mark.parametrize(("capacity", "retries"), [(500, 100), (14, 2), (5, 1), (4, 0)])
def test_a_quota_allows_so_many_retries_in_a_row(capacity: float, retries: int) -> None:
    quota = RetryQuota(capacity, cost=5)
    allowed = [quota.take() for _ in range(retries + 3)]
    assert allowed == [True] * retries + [False] * 3


def test_answers_earn_a_retry_back() -> None:
    quota = RetryQuota(5, cost=5)
    assert quota.take()
    for _ in range(4):
        quota.give()
        assert not quota.take()
    quota.give()
    assert quota.take()


def test_a_quota_never_grows_beyond_its_capacity() -> None:
    quota = RetryQuota(10, cost=5)
    for _ in range(100):
        quota.give()
    assert [quota.take() for _ in range(3)] == [True, True, False]


@pytest.mark.usefixtures("clock", "_longest_delays")
@pytest.mark.parametrize(
    ("at_least", "delay"), [(None, 0.5), (0.0, 0.5), (0.1, 0.5), (30.0, 30.0), (60.0, 60.0)]
)
def test_a_retry_waits_at_least_as_long_as_the_api_asked(
    at_least: float | None, delay: float
) -> None:
    assert Retries(RetryQuota(), patience=60).next_delay(at_least) == delay


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("at_least", [60.001, 1e6, float("inf")])
def test_a_wait_beyond_the_patience_is_no_retry_and_costs_nothing(at_least: float) -> None:
    quota = RetryQuota(5, cost=5)
    assert Retries(quota, patience=60).next_delay(at_least) is None
    assert quota.take()


@pytest.mark.usefixtures("_longest_delays")
def test_no_retry_begins_after_the_patience(clock: Clock) -> None:
    retries = Retries(RetryQuota(), patience=10)
    begins = []
    while (delay := retries.next_delay(None)) is not None:
        clock.now += delay
        begins.append(clock.now - 1000.0)
    assert begins == [0.5, 1.5, 3.5, 7.5]


@pytest.mark.usefixtures("clock")
def test_an_empty_quota_ends_the_retries() -> None:
    quota = RetryQuota(10, cost=5)
    retries = Retries(quota, patience=1000)
    assert [retries.next_delay(None) is None for _ in range(3)] == [False, False, True]


@pytest.mark.usefixtures("clock")
def test_all_calls_share_one_quota() -> None:
    quota = RetryQuota(10, cost=5)
    outcomes = [Retries(quota, patience=1000).next_delay(None) is None for _ in range(3)]
    assert outcomes == [False, False, True]
