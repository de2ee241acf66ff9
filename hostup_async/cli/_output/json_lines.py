"""JSON for programs, one object a line. Its schema is docs/json.md."""

import json
from collections.abc import Mapping
from typing import Any, Final

from attrs import asdict

from hostup_async import AuditRecord, Entry, FleetReport, Outcome, Plan, RunRecord, RunSnapshot

VERSION: Final = 1
"""Raised when a member changes its meaning or is removed; new members do not raise it."""


def line(event: str, members: Mapping[str, Any]) -> str:
    """One event as a line, without its end.

    `v` and `event` are ours, also where the API gives an object members of these names.
    """
    envelope = {"v": VERSION, "event": event}
    return json.dumps({**envelope, **members, **envelope}, default=str)


def plan_event(plan: Plan, *, dry_run: bool, skipped: Mapping[str, str] | None = None) -> str:
    """A plan, before anything is sent, and what a run of it would skip now."""
    members = {**json.loads(plan.to_json()), "count": len(plan), "dry_run": dry_run}
    return line("plan", {**members, "skipped": list((skipped or {}).items())})


def progress_event(snapshot: RunSnapshot, rate: float) -> str:
    """The state of a run at one moment."""
    return line(
        "progress",
        {
            "run_id": snapshot.run_id,
            "seconds": round(snapshot.seconds, 3),
            "total": snapshot.total,
            "known": snapshot.known,
            "counts": {state.value: count for state, count in snapshot.counts.items() if count},
            "in_flight": snapshot.in_flight,
            "window": snapshot.window,
            "rate": round(rate, 3),
            "seconds_left": snapshot.seconds_left,
            "stopping": snapshot.stopping,
            "stop_cause": snapshot.stop_cause,
            "waits": snapshot.budget.reason.value,
            "why": snapshot.budget.why,
            "wait_seconds": round(snapshot.budget.wait, 3),
            "canaries": snapshot.canaries,
            "in_doubt": snapshot.in_doubt,
            "doubt_seconds": snapshot.doubt_seconds,
            "is_paused": snapshot.is_paused,
        },
    )


def outcome_event(run_id: str, outcome: Outcome, name: str | None = None) -> str:
    """What became of one VPS, which may have a name."""
    return line("outcome", {"run_id": run_id, **outcome.to_dict(), "name": name})


def report_event(report: FleetReport, end: Mapping[str, Any]) -> str:
    """What became of all, without the outcomes, which were told one by one; and how it ended."""
    members = report.to_dict()
    del members["outcomes"]
    return line("report", {**members, **end})


def run_event(run: RunRecord) -> str:
    """A recorded run."""
    return line("run", run_members(run))


def run_members(run: RunRecord) -> dict[str, Any]:
    """What is told of a recorded run: all but its plan and its policy."""
    return asdict(run, filter=lambda field, _: field.name not in {"plan", "policy"})


def entry_event(run_id: str, entry: Entry) -> str:
    """The recorded state of one VPS in a run."""
    return line("entry", {"run_id": run_id, **asdict(entry)})


def audit_event(record: AuditRecord) -> str:
    """One line of the audit trail of a run."""
    return line("audit", {**asdict(record), "detail": json.loads(record.detail)})
