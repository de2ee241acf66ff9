"""Exit codes of runs, and what programs are told of them."""

import json
import re
from pathlib import Path
from typing import Any

import attrs
import pytest
from cli_tools import here

from hostup_async import (
    Action,
    AuditRecord,
    Budget,
    Entry,
    EntryState,
    FleetReport,
    Outcome,
    OutcomeStatus,
    Plan,
    RunRecord,
    RunSnapshot,
    StopCause,
)
from hostup_async.cli._exits import EXIT_CODES, ExitCode
from hostup_async.cli._output import json_lines
from hostup_async.cli._output.pace import Pace
from hostup_async.cli._work.run import FinishedRun
from hostup_async.cli._work.verdict import exit_code

DOCUMENTED = (Path(__file__).parents[2] / "docs" / "json.md").read_text()
S = OutcomeStatus


def ended(
    *statuses: OutcomeStatus, cause: StopCause | None = None, interrupted: bool = False
) -> FinishedRun:
    outcomes = tuple(
        Outcome(f"vps_{n}", status, sent_at=None if status is S.NOT_SENT else float(n))
        for n, status in enumerate(statuses)
    )
    report = FleetReport(
        run_id="r",
        action=Action.RESET,
        outcomes=outcomes,
        seconds=1.0,
        stopped=cause and "why",
        stop_cause=cause,
    )
    return FinishedRun(report, interrupted)


def code(run: FinishedRun, **facts: bool) -> ExitCode:
    settings = {"left_out": False, **facts}
    return exit_code(run, **settings)


@pytest.mark.parametrize(
    ("statuses", "wanted"),
    [
        ((S.COMPLETED,), ExitCode.COMPLETED),
        ((S.COMPLETED, S.FAILED), ExitCode.FAILED),
        ((S.COMPLETED, S.REFUSED), ExitCode.FAILED),
        ((S.COMPLETED, S.SKIPPED), ExitCode.FAILED),
        ((S.COMPLETED, S.TIMED_OUT), ExitCode.FAILED),
        ((S.COMPLETED, S.NOT_SENT), ExitCode.FAILED),
        ((S.COMPLETED, S.NOT_DONE), ExitCode.FAILED),
        ((S.FAILED, S.AMBIGUOUS), ExitCode.AMBIGUOUS),
    ],
)
def test_what_became_of_all(statuses: tuple[OutcomeStatus, ...], wanted: ExitCode) -> None:
    assert code(ended(*statuses)) is wanted


def test_each_status_has_an_exit_code() -> None:
    for status in OutcomeStatus:
        assert (code(ended(status)) is ExitCode.COMPLETED) == (status is S.COMPLETED)


def of_code(code: ExitCode) -> str:
    """What `EXIT_CODES` says of one of them."""
    [found] = re.findall(rf"\b{code.value} ([^;]*)[;.]", EXIT_CODES)
    return str(found)


@pytest.mark.parametrize("status", OutcomeStatus)
def test_the_helps_name_each_status_at_its_exit_code(status: OutcomeStatus) -> None:
    named_as = {OutcomeStatus.AMBIGUOUS: "unknown"}
    text = of_code(code(ended(status)))
    assert named_as.get(status, status.value.removeprefix("not_").replace("_", " ")) in text


@pytest.mark.parametrize("command", [(), ("reset",)])
def test_the_readme_and_the_helps_describe_the_exit_codes_alike(command: tuple[str, ...]) -> None:
    assert all(map(of_code, ExitCode))
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    for text in (readme, here(*command, "--help").stdout):
        assert EXIT_CODES in " ".join(text.split())


def test_what_was_left_out_is_not_done() -> None:
    assert code(ended(S.COMPLETED), left_out=True) is ExitCode.FAILED


def test_a_key_that_is_refused() -> None:
    for rest in (S.REFUSED, S.COMPLETED, S.NOT_SENT):
        refused = ended(rest, S.NOT_SENT, cause=StopCause.KEY_REFUSED)
        assert code(refused) is ExitCode.AUTHENTICATION


@pytest.mark.parametrize(
    ("cause", "statuses", "wanted"),
    [
        (StopCause.MAX_FAILURES, (S.FAILED, S.REFUSED, S.NOT_SENT), ExitCode.BUDGET),
        (StopCause.STOPPED, (S.FAILED, S.REFUSED, S.NOT_SENT), ExitCode.FAILED),
        (StopCause.MAX_FAILURES, (S.FAILED, S.COMPLETED), ExitCode.BUDGET),
        (StopCause.MAX_AMBIGUOUS, (S.AMBIGUOUS, S.NOT_SENT), ExitCode.BUDGET),
        (StopCause.CANARY, (S.FAILED, S.NOT_SENT), ExitCode.BUDGET),
        (StopCause.DEADLINE, (S.COMPLETED, S.FAILED, S.NOT_SENT), ExitCode.FAILED),
        (StopCause.CANARY, (S.FAILED,), ExitCode.FAILED),
    ],
)
def test_failure_budgets_and_canaries(
    cause: StopCause, statuses: tuple[OutcomeStatus, ...], wanted: ExitCode
) -> None:
    assert code(ended(*statuses, cause=cause)) is wanted


def test_an_interruption_outranks_the_rest() -> None:
    assert code(ended(S.AMBIGUOUS, interrupted=True)) is ExitCode.INTERRUPTED
    left = ended(S.AMBIGUOUS, S.NOT_SENT, cause=StopCause.INTERRUPTED)
    assert code(left) is ExitCode.INTERRUPTED


def snapshot(seconds: float, completed: int, **changes: Any) -> RunSnapshot:
    values: dict[str, Any] = {
        "run_id": "r",
        "total": 10,
        "counts": {EntryState.COMPLETED: completed, EntryState.PLANNED: 10 - completed},
        "in_flight": 2,
        "window": 4,
        "is_held_back": False,
        "seconds": seconds,
        "seconds_left": None,
        "stopping": None,
        "budget": Budget().snapshot(),
        **changes,
    }
    return RunSnapshot(**values)


def test_the_pace_is_that_of_the_last_seconds() -> None:
    pace = Pace()
    rates = [pace.add(snapshot(float(second), min(10, second))) for second in range(41)]
    assert rates[5] == 1
    assert rates[40] == 0
    assert pace.left(snapshot(5.0, 5), 1.0) == 5
    assert pace.left(snapshot(5.0, 5, seconds_left=8.0), 1.0) == 8
    assert pace.left(snapshot(5.0, 5), 0.0) is None


LINES = {
    "plan": json_lines.plan_event(
        Plan(action="reset", origin="https://x", ids=["vps_1"]), dry_run=True
    ),
    "progress": json_lines.progress_event(snapshot(1.0, 2), 2.0, None),
    "outcome": json_lines.outcome_event("r", Outcome("vps_1", S.COMPLETED)),
    "run": json_lines.run_event(RunRecord(id="r", action=Action.RESET, origin="https://x")),
    "entry": json_lines.entry_event("r", Entry("vps_1", 0)),
    "audit": json_lines.audit_event(AuditRecord("r", 0.0, "me", "created")),
    "report": json_lines.line(
        "report",
        {name: None for name in ended(S.COMPLETED).report.to_dict() if name != "outcomes"}
        | {"interrupted": False, "resume": None, "exit_code": 0},
    ),
}


@pytest.mark.parametrize("name", LINES)
def test_each_member_of_an_event_is_documented(name: str) -> None:
    told = json.loads(LINES[name])
    assert (told["v"], told["event"]) == (json_lines.VERSION, name)
    section = re.search(rf"^## `{name}`\n(.*?)(?=^## |\Z)", DOCUMENTED, re.MULTILINE | re.DOTALL)
    assert section, name
    documented = set(re.findall(r"`([a-z_]+)`", section[1]))
    if name == "outcome":
        assert {one.name for one in attrs.fields(Outcome)} <= documented
    assert set(told) - {"v", "event"} <= documented


def test_the_plan_and_the_records_keep_their_secrets() -> None:
    record = RunRecord(id="r", action=Action.RESET, origin="https://x", plan="{}", policy="{}")
    assert not {"plan", "policy"} & set(json.loads(json_lines.run_event(record)))
