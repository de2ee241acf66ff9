"""Records to rows and back."""

import json
from collections.abc import Mapping
from typing import Any, Final

from attrs import fields
from sqlalchemy import RowMapping

from hostup_async._models import Action
from hostup_async._store.records import AuditRecord, Entry, EntryState, RunRecord, RunState

_STATES: Final = {state.value: state for state in EntryState}
_ENTRY: Final = [one.name for one in fields(Entry)]
_RUN: Final = [one.name for one in fields(RunRecord) if one.name != "counts"]


def entry_row(run_id: str, entry: Entry) -> dict[str, Any]:
    """An entry as the parameters of a statement. Written out, since it is the hot path."""
    return {
        "of_run": run_id,
        "at_position": entry.position,
        "of_vps": entry.vps_id,
        "state": entry.state.value,
        "reason": entry.reason,
        "job_id": entry.job_id,
        "poll_url": entry.poll_url,
        "request_ids": json.dumps(entry.request_ids) if entry.request_ids else None,
        "attempts": entry.attempts,
        "sent_at": entry.sent_at,
        "accepted_at": entry.accepted_at,
        "finished_at": entry.finished_at,
        "evidence": entry.evidence,
    }


def to_entry(row: RowMapping) -> Entry:
    """The entry in a row."""
    values = {name: row[name] for name in _ENTRY}
    values["state"] = _STATES[values["state"]]
    values["request_ids"] = tuple(json.loads(values["request_ids"] or "[]"))
    return Entry(**values)


def run_row(run: RunRecord) -> dict[str, Any]:
    """The columns of a run without its counts."""
    values = {name: getattr(run, name) for name in _RUN}
    return values | {"action": run.action.value, "state": run.state.value}


def to_run(row: RowMapping, counts: Mapping[str, int]) -> RunRecord:
    """The run in a row; the long columns may be missing."""
    values: dict[str, Any] = {name: row[name] for name in _RUN if name in row}
    values["action"] = Action(values["action"])
    values["state"] = RunState(values["state"])
    return RunRecord(**values, counts={_STATES[name]: count for name, count in counts.items()})


def to_audit(row: RowMapping) -> AuditRecord:
    """The audit event in a row."""
    return AuditRecord(row["run_id"], row["at"], row["who"], row["what"], row["detail"])
