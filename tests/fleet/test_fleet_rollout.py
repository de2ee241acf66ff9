"""The rollout by itself: what may be sent, whatever becomes of what was sent."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hostup_async import FleetPolicy, OutcomeStatus, StopCause
from hostup_async._fleet.rollout import Rollout

DONE, FAILED, AMBIGUOUS = OutcomeStatus.COMPLETED, OutcomeStatus.FAILED, OutcomeStatus.AMBIGUOUS
FAILURES = [FAILED, OutcomeStatus.REFUSED, OutcomeStatus.TIMED_OUT]
ENDS = [DONE, AMBIGUOUS, *FAILURES]


def rollout(total: int = 1000, **policy: Any) -> Rollout:
    return Rollout(FleetPolicy(**policy), total)


def send(rollout: Rollout, count: int) -> list[int]:
    return [rollout.sent() for _ in range(count)]


def end(rollout: Rollout, steps: list[int], status: OutcomeStatus = DONE) -> None:
    for step in steps:
        rollout.record_outcome(step, "vps_1", status)


def test_without_a_canary_everything_may_go() -> None:
    one = rollout()
    assert one.allowance() > 10**9
    send(one, 500)
    assert one.allowance() > 10**9


def test_the_canaries_go_first_and_all_are_waited_for() -> None:
    one = rollout(canary=3)
    steps = send(one, 3)
    assert one.allowance() == 0
    end(one, steps[:2])
    assert one.allowance() == 0
    end(one, steps[2:])
    assert one.allowance() == 2


def test_each_step_is_twice_the_last_and_waits_for_half_of_it() -> None:
    one = rollout(canary=1)
    end(one, send(one, 1))
    for size in (2, 4, 8, 16):
        assert one.allowance() == size
        steps = send(one, size)
        end(one, steps[: size // 2 - 1])
        assert one.allowance() == 0
        end(one, steps[:1])
    assert one.allowance() == 32


def test_half_of_a_step_does_not_open_the_next_before_all_of_it_is_sent() -> None:
    one = rollout(canary=1)
    end(one, send(one, 1))
    end(one, send(one, 2))
    steps = send(one, 3)
    end(one, steps)
    assert one.allowance() == 1
    send(one, 1)
    end(one, steps[:1])
    assert one.allowance() == 8


@given(st.sampled_from([AMBIGUOUS, *FAILURES]), st.integers(1, 5))
def test_a_canary_that_does_not_complete_stops_everything(
    status: OutcomeStatus, canary: int
) -> None:
    one = rollout(canary=canary)
    end(one, send(one, canary)[:1], status)
    assert one.stop_reason is not None
    assert "canary vps_1" in one.stop_reason
    assert one.stop_cause is StopCause.CANARY
    assert one.allowance() == 0


def test_one_that_was_not_sent_leaves_its_place_to_another() -> None:
    one = rollout(canary=1)
    [step] = send(one, 1)
    one.return_slot(step)
    assert one.allowance() == 1
    end(one, send(one, 1))
    assert one.allowance() == 2
    one.return_slot(step)  # of a step that is over
    assert one.allowance() == 2


@given(st.lists(st.sampled_from(ENDS), max_size=60), st.integers(1, 8), st.integers(1, 8))
def test_the_budgets_stop_at_the_kth_and_not_before(
    ends: list[OutcomeStatus], failures: int, doubts: int
) -> None:
    one = rollout(max_failures=failures, max_ambiguous=doubts)
    for n, status in enumerate(ends):
        end(one, send(one, 1), status)
        failed = sum(known in FAILURES for known in ends[: n + 1])
        doubted = ends[: n + 1].count(AMBIGUOUS)
        assert (one.stop_reason is not None) == (failed >= failures or doubted >= doubts)
        assert one.stop_cause in {
            None,
            StopCause.MAX_FAILURES if failed >= failures else None,
            StopCause.MAX_AMBIGUOUS if doubted >= doubts else None,
        }
        assert (one.allowance() == 0) == (one.stop_reason is not None)


@given(st.integers(1, 10_000), st.floats(0.001, 0.999))
def test_a_share_is_of_the_plan_and_never_nothing(total: int, share: float) -> None:
    one = rollout(total, max_failures=share)
    allowed = max(1, int(share * total))
    end(one, send(one, allowed - 1), FAILED)
    assert one.allowance() > 0
    end(one, send(one, 1), FAILED)
    assert (one.stop_reason or "").startswith(f"{allowed} failures are known")


@given(
    st.data(),
    st.integers(0, 4),
    st.integers(1, 6),
    st.integers(1, 80),
)
def test_no_order_of_ends_lets_more_out_than_the_ramp_allows(
    data: st.DataObject, canary: int, k: int, total: int
) -> None:
    """Whatever ends when: the ramp holds, nothing goes after the k-th failure, nothing hangs."""
    one = rollout(total, canary=canary, max_failures=k)
    out: list[int] = []
    left, known, failures = total, 0, 0
    while left or out:
        room = one.allowance()
        if canary and not known:
            assert len(out) + room <= canary
        assert not room or failures < k
        if canary and known:
            assert len(out) + room <= 4 * known + 2
        if left and room and (not out or data.draw(st.booleans())):
            out.append(one.sent())
            left -= 1
        elif out:
            step = out.pop(data.draw(st.integers(0, len(out) - 1)))
            status = data.draw(st.sampled_from([DONE, DONE, DONE, FAILED]))
            known, failures = known + 1, failures + (status is FAILED)
            one.record_outcome(step, "vps_1", status)
        else:
            assert one.stop_reason
            break


def test_the_first_reason_stays() -> None:
    one = rollout(max_failures=1)
    one.stop(StopCause.DEADLINE, "enough")
    end(one, send(one, 1), FAILED)
    assert (one.stop_cause, one.stop_reason) == (StopCause.DEADLINE, "enough")
