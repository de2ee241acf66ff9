"""Records to rows and back, with a checksum in each row.

SQLite does not notice a changed byte in a value. So each row of a run and of an entry carries a
CRC-32 of its other columns, and one that does not match raises a `StoreError` that names the row.
It guards against damage, and against an edit by hand, not against malice. A run's checksum leaves
out the columns of its lease that every save and heartbeat changes.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self
from zlib import crc32

from attrs import fields, frozen

from hostup_async._models import Action
from hostup_async._store.base import damaged
from hostup_async._store.records import AuditRecord, Entry, EntryState, RunRecord, RunState
from hostup_async._store.sql.schema import runs

_STATES: Final = {state.value: state for state in EntryState}
_TEXTS: Final = (runs.c.plan.key, runs.c.policy.key)
_HOLDING: Final = ("owner", "beats", "renewed_at", "written_at")
_RUN_COLUMNS: Final = [
    column.key for column in runs.c if column.key not in {*_TEXTS, *_HOLDING, "checksum"}
]
_RUN_FIELDS: Final = [one.name for one in fields(RunRecord) if one.name not in {"counts", "holder"}]
_UNREADABLE: Final = (KeyError, ValueError, TypeError, IndexError, AttributeError)


AnyRow = Mapping[Any, Any]
"""A row's columns by name."""


def entry_row(run_id: str, entry: Entry) -> dict[str, Any]:
    """An entry as the parameters of a statement. Written out, since it is the hot path."""
    key = (run_id, entry.position, entry.vps_id)
    rest = {
        "state": entry.state.value,
        "reason": _storable(entry.reason),
        "job_id": entry.job_id,
        "poll_url": entry.poll_url,
        "request_ids": json.dumps(entry.request_ids) if entry.request_ids else None,
        "attempts": entry.attempts,
        "sent_at": _real(entry.sent_at),
        "accepted_at": _real(entry.accepted_at),
        "finished_at": _real(entry.finished_at),
        "evidence": _storable(entry.evidence),
        "sent_server_low": _real(entry.sent_server_low),
        "sent_server_high": _real(entry.sent_server_high),
    }
    checksum = _checksum((*key, *rest.values()))
    return {"of_run": key[0], "at_position": key[1], "of_vps": key[2], **rest, "checksum": checksum}


def to_entry(row: Sequence[Any]) -> Entry:
    """The entry in a row of all columns, in the order of the table.

    Raises:
        StoreError: The row is damaged.
    """
    (run_id, position, vps_id, state, reason, job_id, poll_url, request_ids, attempts, sent_at,
     accepted_at, finished_at, evidence, low, high, checksum) = row  # fmt: skip
    where = f"entry {position!r} ({vps_id!r})"
    if checksum != _checksum(tuple(row)[:-1]):
        raise damaged(run_id, where)
    try:
        return Entry(
            vps_id,
            position,
            _STATES[state],
            reason,
            job_id,
            poll_url,
            tuple(json.loads(request_ids or "[]")),
            attempts,
            sent_at,
            accepted_at,
            finished_at,
            evidence,
            low,
            high,
        )
    except _UNREADABLE:
        raise damaged(run_id, where) from None


def run_row(
    run: RunRecord, *, sequence: int, size: int, holding: Mapping[str, Any]
) -> dict[str, Any]:
    """The row of a new run, whose columns of the lease are given."""
    values = {name: getattr(run, name) for name in _RUN_FIELDS}
    values |= {
        **holding,
        "action": run.action.value,
        "state": run.state.value,
        "created_at": float(run.created_at),
        "created_server_low": _real(run.created_server_low),
        "reason": _storable(run.reason),
        "who": _storable(run.who),
        "sequence": sequence,
        "size": size,
        "counts": None,
        "last_sent_at": None,
        "last_sent_server": None,
        "texts_checksum": texts_checksum(run.plan, run.policy),
    }
    return values | {"checksum": run_checksum(values)}


def run_checksum(row: AnyRow) -> int:
    """The checksum of a run's row."""
    return _checksum(tuple(row[name] for name in _RUN_COLUMNS))


def check_run(row: AnyRow) -> None:
    """Make sure that a run's row, which may lack the long columns, is as it was written.

    Raises:
        StoreError: The row is damaged.
    """
    texts = tuple(row[name] for name in _TEXTS if name in row)
    if row["checksum"] != run_checksum(row):
        raise damaged(row["id"], "its row")
    if texts and row["texts_checksum"] != _checksum(texts):
        raise damaged(row["id"], "the plan or the policy")


def to_run(row: AnyRow, counts: Mapping[str, int], holder: str | None) -> RunRecord:
    """The run in a row that was checked; the long columns may be missing."""
    values: dict[str, Any] = {name: row[name] for name in _RUN_FIELDS if name in row}
    try:
        values["action"] = Action(values["action"])
        values["state"] = RunState(values["state"])
        known = {_STATES[name]: count for name, count in counts.items()}
    except _UNREADABLE:
        raise damaged(row["id"], "its row") from None
    return RunRecord(**values, counts=known, holder=holder)


@frozen
class EntryList:
    """Which entries a run must have.

    Attributes:
        run_id: The run.
        size: How many entries it has.
        ids: Their VPSes in order, by the plan; None where the plan has no such list.
    """

    run_id: str
    size: int
    ids: list[str] | None

    @classmethod
    def of(cls, row: AnyRow) -> Self:
        """The list of a run, of its whole row."""
        try:
            ids = [str(one) for one in json.loads(row["plan"])["ids"]]
        except _UNREADABLE:
            return cls(row["id"], row["size"], None)
        return cls(row["id"], row["size"], ids)

    def check(self, part: Sequence[Entry], begin: int, *, is_last: bool) -> None:
        """Make sure that these entries are those from the position `begin` on.

        Raises:
            StoreError: An entry is missing, or is not the one that the plan has there.
        """
        for position, entry in enumerate(part, begin):
            if entry.position != position:
                raise damaged(self.run_id, f"entry {position} (missing)")
            if self.ids is not None and self.ids[position : position + 1] != [entry.vps_id]:
                raise damaged(self.run_id, f"entry {position} ({entry.vps_id!r}, not in the plan)")
        if is_last and begin + len(part) != self.size:
            raise damaged(self.run_id, f"entry {begin + len(part)} (missing)")


def to_audit(row: AnyRow) -> AuditRecord:
    """The audit event in a row."""
    try:
        json.loads(row["detail"])
        return AuditRecord(row["run_id"], float(row["at"]), row["who"], row["what"], row["detail"])
    except _UNREADABLE:
        raise damaged(row["run_id"], f"line {row['id']} of the audit trail") from None


def texts_checksum(plan: str, policy: str) -> int:
    """The checksum of a run's long columns."""
    return _checksum((plan, policy))


def _checksum(values: tuple[Any, ...]) -> int:
    return crc32(repr(values).encode())


def _real(value: float | None) -> float | None:
    """A number as the database gives it back: its checksum tells 1 from 1.0."""
    return None if value is None else float(value)


def _storable(text: str | None) -> str | None:
    """A text for people that a database takes: an API may put lone surrogates in it."""
    if text is None or text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode()
