"""The rollout by itself: what may be sent, whatever becomes of what was sent."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hostup_async import FleetPolicy, OutcomeStatus, StopCause
from hostup_async._fleet.rollout import Rollout
from hostup_async._store.records import Entry, EntryState

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
    one.take_back(step)
    assert one.allowance() == 1
    end(one, send(one, 1))
    assert one.allowance() == 2
    one.take_back(step)  # of a step that is over
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
    failed = "1 VPS failed" if allowed == 1 else f"{allowed} VPSes failed"
    assert one.stop_reason == f"{failed}, the limit set by max_failures"


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


def test_ten_in_doubt_in_a_row_hold_the_sending_until_one_is_settled() -> None:
    one = rollout()
    steps = send(one, 10)
    for n in range(10):
        assert one.allowance() > 0
        one.in_doubt(f"vps_{n}")
    assert one.allowance() == 0
    assert one.stop_cause is None
    one.record_outcome(steps[0], "vps_0", DONE)
    assert one.allowance() > 0


def test_an_answer_ends_the_row_of_doubts() -> None:
    one = rollout()
    for n in range(9):
        one.in_doubt(f"vps_{n}")
    one.answered()
    for n in range(9, 18):
        one.in_doubt(f"vps_{n}")
    assert one.allowance() > 0


def test_ten_ambiguous_in_a_row_stop_it() -> None:
    one = rollout()
    end(one, send(one, 9), AMBIGUOUS)
    end(one, send(one, 1), DONE)
    end(one, send(one, 9), AMBIGUOUS)
    assert not one.is_stopped
    end(one, send(one, 1), AMBIGUOUS)
    assert one.stop_cause is StopCause.MAX_AMBIGUOUS
    assert one.stop_reason == "10 outcomes in a row are ambiguous"


@given(st.integers(1, 40), st.data())
def test_an_api_that_answers_nothing_gets_ten_and_what_was_in_flight(
    window: int, data: st.DataObject
) -> None:
    """Whatever the evidence then shows of them, in whatever order: it never hangs either."""
    one = rollout()
    sent = 0
    in_flight: list[str] = []
    doubted: list[str] = []
    settled: list[OutcomeStatus] = []
    while one.stop_cause is None and sent < 300:
        room = min(one.allowance(), window - len(in_flight) - len(doubted))
        held = len(doubted) + next_row(settled)
        assert held < FleetPolicy.AMBIGUOUS_IN_A_ROW or room <= 0
        choices = ["send"] * (room > 0) + ["lose"] * bool(in_flight) + ["settle"] * bool(doubted)
        assert choices, "nothing can be done, and it was not stopped"
        match data.draw(st.sampled_from(choices)):
            case "send":
                one.sent()
                in_flight.append(f"vps_{sent}")
                sent += 1
            case "lose":
                one.in_doubt(in_flight[0])
                doubted.append(in_flight.pop(0))
            case _:
                status = data.draw(st.sampled_from([DONE, AMBIGUOUS, AMBIGUOUS, AMBIGUOUS]))
                one.record_outcome(0, doubted.pop(0), status)
                settled.append(status)
    done = settled.count(DONE)
    assert sent <= (done + 1) * FleetPolicy.AMBIGUOUS_IN_A_ROW + window or sent == 300


def next_row(settled: list[OutcomeStatus]) -> int:
    """How many of the last outcomes are ambiguous, without another between."""
    row = 0
    for status in reversed(settled):
        if status is not AMBIGUOUS:
            break
        row += 1
    return row


def entry(position: int, state: EntryState) -> Entry:
    return Entry(f"vps_{position}", position, state, attempts=1)


def test_a_canary_in_flight_is_the_canary_of_the_resumed_run() -> None:
    for state in (EntryState.INTENT, EntryState.ACCEPTED):
        one = rollout(canary=1)
        steps = one.restore([entry(0, state), entry(1, EntryState.PLANNED)])
        assert steps == {0: 0}
        assert one.allowance() == 0
        one.record_outcome(steps[0], "vps_0", DONE)
        assert one.allowance() == 2


def test_a_canary_that_failed_before_the_crash_stops_the_resumed_run() -> None:
    one = rollout(canary=1)
    one.restore([entry(0, EntryState.FAILED), entry(1, EntryState.PLANNED)])
    assert one.stop_cause is StopCause.CANARY


def test_more_in_flight_than_canaries_are_all_waited_for() -> None:
    """As after a stop, when the ramp starts anew with what is in flight."""
    one = rollout(canary=1)
    steps = one.restore(entry(n, EntryState.ACCEPTED) for n in range(5))
    assert set(steps.values()) == {0}
    assert one.allowance() == 0


@given(
    st.data(),
    st.integers(0, 4),
    st.none() | st.integers(1, 6),
    st.integers(1, 80),
    st.integers(1, 30),
)
def test_a_crash_at_any_moment_changes_no_bound(
    data: st.DataObject, canary: int, k: int | None, total: int, crashes: int
) -> None:
    """What is restored from the entries allows what the process that crashed would have allowed."""
    entries = [Entry(f"vps_{n}", n) for n in range(total)]
    one = rollout(total, canary=canary, max_failures=k)
    steps: dict[int, int] = {}
    left = list(range(total))
    while left or steps:
        room = one.allowance()
        if crashes and data.draw(st.booleans()):
            again = rollout(total, canary=canary, max_failures=k)
            restored = again.restore(entries)
            assert set(restored) == set(steps)
            assert again.allowance() == room
            assert again.is_stopped == one.is_stopped
            one, steps, crashes = again, restored, crashes - 1
        elif left and room and (not steps or data.draw(st.booleans())):
            position = left.pop(0)
            steps[position] = one.sent()
            one.answered()
            entries[position] = entry(position, EntryState.ACCEPTED)
        elif steps:
            position = data.draw(st.sampled_from(sorted(steps)))
            status = data.draw(st.sampled_from([DONE, DONE, DONE, FAILED]))
            one.record_outcome(steps.pop(position), f"vps_{position}", status)
            entries[position] = entry(position, EntryState(status.value))
        else:
            assert one.is_stopped
            break
