from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostup_async.sandbox import Limit
from hostup_async.sandbox._limiters import LimitCheck, Limiter, Limiters, limiter

GAPS = st.lists(st.floats(0, 5, allow_nan=False), min_size=1, max_size=120)
LIMITS = st.builds(Limit, requests=st.integers(1, 8), seconds=st.floats(0.5, 10))


def kept(limit: Limit) -> Limiter:
    found = limiter(limit)
    assert found is not None
    return found


def replay(limit: Limit, gaps: list[float]) -> list[tuple[float, LimitCheck]]:
    keeper, now, told = kept(limit), 1000.0, []
    for gap in gaps:
        now += gap
        told.append((now, keeper.take(now)))
    return told


def of_kind(limit: Limit, kind: str) -> Limit:
    return Limit(requests=limit.requests, seconds=limit.seconds, kind=kind)  # type: ignore[arg-type] # a parameter


@given(LIMITS, GAPS)
def test_sliding_never_allows_more_than_n_in_any_window(limit: Limit, gaps: list[float]) -> None:
    allowed = [at for at, verdict in replay(of_kind(limit, "sliding"), gaps) if verdict.allowed]
    for start, end in zip(allowed, allowed[limit.requests :], strict=False):
        assert end - start >= limit.seconds


@given(LIMITS, GAPS)
def test_clock_windows_begin_at_multiples(limit: Limit, gaps: list[float]) -> None:
    for at, verdict in replay(of_kind(limit, "clock"), gaps):
        ratio = verdict.reset / limit.seconds
        assert ratio == pytest.approx(round(ratio), abs=1e-6)
        assert at <= verdict.reset <= at + limit.seconds + 1e-6


@given(LIMITS, GAPS)
def test_fixed_windows_do_not_overlap_and_hold_n(limit: Limit, gaps: list[float]) -> None:
    told = replay(of_kind(limit, "fixed"), gaps)
    resets = sorted({verdict.reset for _, verdict in told})
    assert all(later - earlier >= limit.seconds * 0.999 for earlier, later in pairwise(resets))
    for reset in resets:
        assert sum(v.allowed for _, v in told if v.reset == reset) <= limit.requests


@given(LIMITS, GAPS)
def test_bucket_allows_a_burst_and_then_its_rate(limit: Limit, gaps: list[float]) -> None:
    allowed = [at for at, verdict in replay(of_kind(limit, "bucket"), gaps) if verdict.allowed]
    rate = limit.requests / limit.seconds
    for first, start in enumerate(allowed):
        for n, end in enumerate(allowed[first:], 1):
            assert n <= limit.requests + (end - start) * rate + 1e-6


@given(LIMITS, GAPS, st.sampled_from(["fixed", "clock", "sliding", "bucket"]))
def test_after_the_told_wait_a_request_is_allowed(
    limit: Limit, gaps: list[float], kind: str
) -> None:
    keeper, now = kept(of_kind(limit, kind)), 1000.0
    for gap in gaps:
        now += gap
        verdict = keeper.take(now)
        assert verdict.allowed or verdict.remaining == 0
        if not verdict.allowed:
            now += verdict.wait + 1e-6
            assert keeper.take(now).allowed


def test_a_refused_request_consumes_nothing() -> None:
    told = replay(Limit(requests=2, seconds=10, kind="sliding"), [0, 0, 1, 1, 8.5])
    assert [verdict.allowed for _, verdict in told] == [True, True, False, False, True]


def test_remaining_and_reset_of_a_fixed_window() -> None:
    told = replay(Limit(requests=2, seconds=10), [0, 3, 3, 4])
    assert [v.remaining for _, v in told] == [1, 0, 0, 1]
    assert [v.reset for _, v in told] == [1010, 1010, 1010, 1020]
    assert [v.wait for _, v in told] == [0, 7, 4, 0]


def test_a_bucket_waits_for_one_token() -> None:
    told = replay(Limit(requests=2, seconds=10, kind="bucket"), [0, 0, 1, 4])
    assert [v.allowed for _, v in told] == [True, True, False, True]
    assert told[2][1].wait == pytest.approx(4)
    assert told[2][1].reset == pytest.approx(1005)


def taken(keeper: Limiters, *, action: bool) -> LimitCheck | None:
    chosen = keeper.of_route(action=action)
    return None if chosen is None else chosen.take(0)


def test_actions_have_a_limit_of_their_own() -> None:
    keeper = Limiters.of(Limit(requests=1, seconds=9), Limit(requests=1, seconds=9))
    told = [taken(keeper, action=action) for action in (True, False, True, False)]
    assert [verdict and verdict.allowed for verdict in told] == [True, True, False, False]


def test_a_changed_limit_counts_anew() -> None:
    keeper = Limiters.of(Limit(requests=1, seconds=9), None)
    taken(keeper, action=True)
    keeper.change(Limit(requests=2, seconds=9))
    verdict = taken(keeper, action=True)
    assert verdict is not None
    assert verdict.remaining == 1
    keeper.change(None)
    assert taken(keeper, action=False) is None
