"""The queries: each runs in its caller's transaction."""

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Dialect,
    RowMapping,
    bindparam,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from hostup_async._store.base import refuse_unknown, run_exists, run_not_found
from hostup_async._store.conflicts import Conflicts
from hostup_async._store.records import (
    OPEN,
    UNSETTLED,
    AuditRecord,
    Entry,
    EntryState,
    RunRecord,
    RunState,
)
from hostup_async._store.sql.rows import entry_row, run_row, to_audit, to_entry, to_run
from hostup_async._store.sql.schema import audit, durations, entries, runs

# Rows read or written at a time: enough to be fast, few enough to let other tasks run.
CHUNK: Final = 1000
# A query names at most this many VPSes; for more, it reads all and drops the rest here.
_NAMED: Final = 500
_LONG: Final = {runs.c.plan.key, runs.c.policy.key}
_BRIEF: Final = [column for column in runs.c if column.key not in _LONG]

_KEY: Final[dict[str, BindParameter[str]]] = {
    "run_id": bindparam("of_run"),
    "position": bindparam("at_position"),
    "vps_id": bindparam("of_vps"),
}
_INSERT: Final = insert(entries).values(_KEY)
_SAVE: Final = update(entries).where(*(entries.c[name] == value for name, value in _KEY.items()))
_RENEW: Final = (
    update(runs)
    .where(runs.c.id == bindparam("of_run"), runs.c.owner == bindparam("by_owner"))
    .values(lease_until=bindparam("until"))
)


async def renew(connection: AsyncConnection, run_id: str, owner: str, until: float) -> bool:
    """Renew the lease of a run; False where another owner has it.

    As the first statement of a transaction it also locks the run against being taken over.
    """
    key = {"of_run": run_id, "by_owner": owner, "until": until}
    return (await connection.execute(_RENEW, key)).rowcount == 1


async def find_conflicts(connection: AsyncConnection, origin: str, conflicts: Conflicts) -> None:
    """Consider the VPSes that other runs at this origin hold or acted on just now."""
    recent = runs.c.last_sent_at > conflicts.since
    query = (
        select(runs.c.id, runs.c.state, entries.c.vps_id, entries.c.state, entries.c.sent_at)
        .join_from(runs, entries)
        .where(runs.c.origin == origin, or_(runs.c.state.in_(OPEN), recent))
        .where(or_(entries.c.state.in_(UNSETTLED), entries.c.sent_at > conflicts.since))
    )
    if len(conflicts.wanted) <= _NAMED:
        query = query.where(entries.c.vps_id.in_(list(conflicts.wanted)))
    async for part in (await connection.stream(query)).partitions(CHUNK):
        for run_id, run_state, vps_id, state, sent_at in part:
            entry = Entry(vps_id, 0, EntryState(state), sent_at=sent_at)
            conflicts.consider(entry, run_id=run_id, is_open=RunState(run_state).is_open)


async def refuse_duplicate(connection: AsyncConnection, run_id: str) -> None:
    """Refuse a new run whose id another run has."""
    if (await connection.execute(select(runs.c.id).where(runs.c.id == run_id))).first():
        raise run_exists(run_id)


async def add_run(connection: AsyncConnection, run: RunRecord, owner: str, until: float) -> None:
    """Write a new run, which `owner` holds."""
    lease = {"owner": owner, "lease_until": until}
    await connection.execute(insert(runs).values(run_row(run) | lease))


async def add_entries(connection: AsyncConnection, run_id: str, stored: Sequence[Entry]) -> None:
    """Write the entries of a new run."""
    for start in range(0, len(stored), CHUNK):
        rows = [entry_row(run_id, entry) for entry in stored[start : start + CHUNK]]
        await connection.execute(_INSERT, rows)


async def save_entries(connection: AsyncConnection, run_id: str, changed: Sequence[Entry]) -> None:
    """Replace the entries at the same positions."""
    for start in range(0, len(changed), CHUNK):
        part = changed[start : start + CHUNK]
        sql, in_order = _save_statement(connection.dialect)
        rows = [in_order(entry_row(run_id, entry)) for entry in part]
        result = await connection.exec_driver_sql(sql, rows)
        if connection.dialect.supports_sane_multi_rowcount:
            refuse_unknown(run_id, part, result.rowcount)


@lru_cache(maxsize=4)
def _save_statement(dialect: Dialect) -> tuple[str, Callable[[dict[str, Any]], tuple[Any, ...]]]:
    """The SQL that saves entries, and a function that orders a row's values for it.

    Compiled once, since SQLAlchemy's binding of each row costs more than writing it.
    """
    names = [*entry_row("", Entry("", 0))]
    compiled = _SAVE.compile(dialect=dialect, column_keys=names)
    return str(compiled), itemgetter(*(compiled.positiontup or names))


async def find_run(connection: AsyncConnection, run_id: str) -> RowMapping:
    """The row of a run.

    Raises:
        ConfigurationError: There is none.
    """
    found = await connection.execute(select(runs).where(runs.c.id == run_id))
    row = found.mappings().one_or_none()
    if row is None:
        raise run_not_found(run_id)
    return row


async def read_run(connection: AsyncConnection, row: RowMapping) -> RunRecord:
    """The run of a row. While it is held its entries are counted; later the sums are stored."""
    kept = row["counts"]
    counts = json.loads(kept) if kept else (await count_states(connection, row["id"]))[0]
    return to_run(row, counts)


async def newest(connection: AsyncConnection, limit: int) -> list[RunRecord]:
    """The newest runs, newest first, without the long columns."""
    query = select(*_BRIEF).order_by(runs.c.created_at.desc(), runs.c.id.desc()).limit(limit)
    rows = (await connection.execute(query)).mappings().all()
    return [await read_run(connection, row) for row in rows]


async def count_states(
    connection: AsyncConnection, run_id: str
) -> tuple[dict[str, int], float | None]:
    """How many entries of a run are in which state, and the latest moment of sending."""
    query = (
        select(entries.c.state, func.count(), func.max(entries.c.sent_at))
        .where(entries.c.run_id == run_id)
        .group_by(entries.c.state)
    )
    rows = (await connection.execute(query)).all()
    sent = [sent_at for _, _, sent_at in rows if sent_at is not None]
    return {state: count for state, count, _ in rows}, max(sent, default=None)


async def give_to(connection: AsyncConnection, run_id: str, owner: str, until: float) -> None:
    """Give a run to an owner; drops the stored sums, since its entries change again."""
    values = {
        "state": RunState.RUNNING.value,
        "owner": owner,
        "lease_until": until,
        "counts": None,
    }
    await connection.execute(update(runs).where(runs.c.id == run_id).values(values))


async def end(
    connection: AsyncConnection, run_id: str, state: RunState, finished_at: float | None
) -> None:
    """Release a run, and store its state and the sums over its entries."""
    counts, last_sent_at = await count_states(connection, run_id)
    values = {
        "state": state.value,
        "finished_at": finished_at,
        "counts": json.dumps(counts),
        "last_sent_at": last_sent_at,
        "owner": None,
        "lease_until": None,
    }
    await connection.execute(update(runs).where(runs.c.id == run_id).values(values))


async def release_all(connection: AsyncConnection, owner: str, kept: Sequence[str]) -> None:
    """Release every run of an owner as it stands, except those in `kept`."""
    change = update(runs).where(runs.c.owner == owner, runs.c.id.not_in(kept))
    await connection.execute(change.values(owner=None, lease_until=None))


async def page(
    connection: AsyncConnection, run_id: str, after: int, *states: EntryState
) -> list[Entry]:
    """The next entries of a run after a position, of some states or of all."""
    query = select(entries).where(entries.c.run_id == run_id, entries.c.position > after)
    if states:
        query = query.where(entries.c.state.in_(states))
    found = await connection.execute(query.order_by(entries.c.position).limit(CHUNK))
    return [to_entry(row) for row in found.mappings()]


async def abandon_entries(connection: AsyncConnection, run_id: str, words: str, at: float) -> None:
    """Give each unsettled entry of an abandoned run its last state."""
    after = -1
    while part := await page(connection, run_id, after, *UNSETTLED):
        await save_entries(connection, run_id, [entry.abandoned(words, at) for entry in part])
        after = part[-1].position


async def write_event(connection: AsyncConnection, event: AuditRecord) -> None:
    """Add an event to the audit trail."""
    values = {name: getattr(event, name) for name in ("run_id", "at", "who", "what", "detail")}
    await connection.execute(insert(audit).values(values))


async def trail(connection: AsyncConnection, run_id: str) -> list[AuditRecord]:
    """A run's audit trail, oldest first."""
    query = select(audit).where(audit.c.run_id == run_id).order_by(audit.c.id)
    return [to_audit(row) for row in (await connection.execute(query)).mappings()]


async def durations_of(connection: AsyncConnection, origin: str, action: str) -> str | None:
    """The learnt durations of an action at an origin, as JSON; None if there are none."""
    query = select(durations.c.text).where(*_learnt(origin, action))
    text: str | None = (await connection.execute(query)).scalar()
    return text


async def put_durations(connection: AsyncConnection, origin: str, action: str, text: str) -> None:
    """Replace the learnt durations; the caller holds the store's lock."""
    change = update(durations).where(*_learnt(origin, action)).values(text=text)
    if not (await connection.execute(change)).rowcount:
        values = {"origin": origin, "action": action, "text": text}
        await connection.execute(insert(durations).values(values))


def _learnt(origin: str, action: str) -> list[ColumnElement[bool]]:
    return [durations.c.origin == origin, durations.c.action == action]
