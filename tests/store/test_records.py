import json
import tracemalloc

import attrs
import pytest
from store_tools import BEGAN

from hostup_async import Entry, EntryState, Outcome, OutcomeStatus, RunState
from hostup_async._store.records import new_run_id

FULL = Entry(
    "vps_01hxa3b4c5d6e7f8g9h0j1k2m3",
    7,
    EntryState.ACCEPTED,
    "why",
    "job_1",
    "/api/v2/jobs/job_1",
    ("req_1",),
    1,
    BEGAN,
    BEGAN + 1,
)


def test_the_states_end_as_the_outcomes_do() -> None:
    last = {state.value for state in EntryState if state.is_terminal}
    assert last == {status.value for status in OutcomeStatus}
    assert {state.if_abandoned for state in EntryState} == {
        state for state in EntryState if state.is_terminal and state.if_abandoned is state
    }
    assert {state for state in RunState if state.is_open} == {RunState.RUNNING, RunState.STOPPED}


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (EntryState.PLANNED, OutcomeStatus.NOT_SENT),
        (EntryState.INTENT, OutcomeStatus.AMBIGUOUS),
        (EntryState.ACCEPTED, OutcomeStatus.NOT_FOLLOWED),
        (EntryState.FAILED, OutcomeStatus.FAILED),
    ],
)
def test_an_outcome_has_what_the_entry_has(state: EntryState, status: OutcomeStatus) -> None:
    outcome = attrs.evolve(FULL, state=state).outcome()
    assert outcome.status is status
    shared = [one.name for one in attrs.fields(Outcome) if one.name != "status"]
    assert [getattr(outcome, name) for name in shared] == [getattr(FULL, name) for name in shared]


def test_an_outcome_is_ready_for_json() -> None:
    data = FULL.outcome().to_dict()
    assert json.loads(json.dumps(data)) == data
    assert list(data) == [one.name for one in attrs.fields(Outcome)]
    assert (data["status"], type(data["status"])) == ("not_followed", str)
    assert data["request_ids"] == ["req_1"]


def test_an_intent_knows_its_moment_by_both_clocks_and_loses_it_when_reverted() -> None:
    intent = Entry("vps_1", 0).intended(BEGAN, (5.0, 6.0))
    assert (intent.sent_at, intent.sent_server_low, intent.sent_server_high) == (BEGAN, 5.0, 6.0)
    assert intent.reverted("nothing was sent") == Entry("vps_1", 0, reason="nothing was sent")
    again = intent.intended(BEGAN + 9)
    assert (again.attempts, again.sent_server_low, again.sent_server_high) == (2, None, None)
    assert again.reverted("nothing was sent").sent_at == BEGAN + 9


def test_an_entry_that_is_settled_is_left_as_it_is() -> None:
    done = attrs.evolve(FULL, state=EntryState.COMPLETED)
    assert done.abandoned("abandoned", BEGAN) is done
    left = FULL.abandoned("abandoned", BEGAN + 9)
    assert (left.state, left.reason, left.finished_at) == ("not_followed", "abandoned", BEGAN + 9)


def test_run_ids_sort_by_time_and_do_not_tie() -> None:
    assert len({new_run_id(BEGAN) for _ in range(100)}) == 100
    ids = [new_run_id(BEGAN + number) for number in range(0, 10**8, 10**6)]
    assert ids == sorted(ids)
    assert new_run_id(0.0).startswith("19700101-000000-")


def test_entries_are_small() -> None:
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    fleet = [
        Entry(
            f"vps_01hxa3b4c5d6e7f8g9h0j{number}",
            number,
            EntryState.ACCEPTED,
            None,
            f"job_01hxa3b4c5d6e7f8g9h0j{number}",
            f"/api/v2/vps/vps_01hxa3b4c5d6e7f8g9h0j{number}/jobs/job_01hxa3b4c5d6e7f8g9h{number}",
            (f"req_01hxa3b4c5d6e7f8g9h0j{number}",),
            1,
            BEGAN + number,
            BEGAN + number,
        )
        for number in range(2000)
    ]
    size = (tracemalloc.get_traced_memory()[0] - before) / len(fleet)
    tracemalloc.stop()
    assert size < 1000
