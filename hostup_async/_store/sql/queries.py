"""The queries on all tables; each runs in its caller's transaction."""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final

from attrs import asdict
from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Dialect,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from hostup_async._store.base import (
    PAUSE_EVENTS,
    damaged,
    refuse_unknown,
    run_exists,
    run_not_found,
)
from hostup_async._store.conflicts import Conflicts
from hostup_async._store.records import (
    FOLLOWABLE,
    UNSETTLED,
    AuditRecord,
    Entry,
    EntryState,
    LearntRecord,
    RunRecord,
    RunState,
)
from hostup_async._store.sql import lease
from hostup_async._store.sql.rows import (
    EntryList,
    check_run,
    entry_row,
    run_checksum,
    run_row,
    texts_checksum,
    to_audit,
    to_entry,
    to_run,
)
from hostup_async._store.sql.schema import audit, entries, learnt, runs, store

# Rows read or written at a time: enough to be fast, few enough to let other tasks run.
CHUNK: Final = 1000
# A query names at most this many VPSes; for more, it reads all and drops the rest here.
_NAMED: Final = 500
_LONG: Final = {runs.c.plan.key, runs.c.policy.key}
_BRIEF: Final = [column for column in runs.c if column.key not in _LONG]
_ENDED: Final = [state.value for state in RunState if not state.is_open]
_RUN_STATES: Final = [state.value for state in RunState]
_ENTRY_STATES: Final = [state.value for state in EntryState]
_TERMINAL: Final = [state.value for state in EntryState if state.is_terminal]

_KEY: Final[dict[str, BindParameter[str]]] = {
    "run_id": bindparam("of_run"),
    "position": bindparam("at_position"),
    "vps_id": bindparam("of_vps"),
}
_INSERT: Final = insert(entries).values(_KEY)
_SAVE: Final = update(entries).where(*(entries.c[name] == value for name, value in _KEY.items()))

Row = dict[str, Any]


async def lock(connection: AsyncConnection, now: float) -> None:
    """Keep every other writer out until the transaction ends."""
    await connection.execute(update(store).values(written_at=now))


async def find_conflicts(connection: AsyncConnection, origin: str, conflicts: Conflicts) -> None:
    """Consider the VPSes that other runs at this origin hold or acted on just now.

    States are compared with those that rule a row out, so that a damaged one is read, and seen.
    """
    since, server_since = conflicts.since, conflicts.server_since
    is_open = runs.c.state.not_in(_ENDED)
    recent = [runs.c.last_sent_at > since, runs.c.last_sent_server > server_since]
    query = (
        select(runs.c.state.label("run_state"), *entries.c)
        .join_from(runs, entries)
        .where(runs.c.origin == origin, or_(is_open, *recent))
        .where(
            or_(
                entries.c.state.not_in(_TERMINAL),
                entries.c.sent_at > since,
                entries.c.sent_server_high > server_since,
            )
        )
    )
    if len(conflicts.wanted) <= _NAMED:
        query = query.where(entries.c.vps_id.in_(list(conflicts.wanted)))
    async with connection.stream(query) as found:
        async for part in found.partitions(CHUNK):
            for state, *row in part:
                if state not in _RUN_STATES:
                    raise damaged(row[0], "its state")
                conflicts.consider(to_entry(row), run_id=row[0], is_open=state not in _ENDED)


async def add_run(connection: AsyncConnection, run: RunRecord, size: int, holding: Row) -> None:
    """Write a new run, whose holder has a lease.

    Raises:
        ConfigurationError: Another run has its id.
    """
    if (await connection.execute(select(runs.c.id).where(runs.c.id == run.id))).first():
        raise run_exists(run.id)
    last = (await connection.execute(select(func.max(runs.c.sequence)))).scalar()
    values = run_row(run, sequence=(last or 0) + 1, size=size, holding=holding)
    await connection.execute(insert(runs).values(values))


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


async def find_run(connection: AsyncConnection, run_id: str) -> Row:
    """The row of a run.

    Raises:
        ConfigurationError: There is none.
        StoreError: It is damaged.
    """
    found = await connection.execute(select(runs).where(runs.c.id == run_id))
    row = found.mappings().one_or_none()
    if row is None:
        raise run_not_found(run_id)
    check_run(row)
    return dict(row)


async def read_run(connection: AsyncConnection, row: Row) -> RunRecord:
    """The run of a row. While it is held its entries are counted; later the sums are stored."""
    kept = row["counts"]
    counts = json.loads(kept) if kept else (await _sums(connection, row["id"]))["counts"]
    return to_run(row, counts, lease.living_holder(row))


async def newest(connection: AsyncConnection, limit: int) -> list[RunRecord]:
    """The newest runs, newest first, without the long columns."""
    query = select(*_BRIEF).order_by(runs.c.sequence.desc(), runs.c.id.desc()).limit(limit)
    rows = (await connection.execute(query)).mappings().all()
    for row in rows:
        check_run(row)
    return [await read_run(connection, dict(row)) for row in rows]


async def _sums(connection: AsyncConnection, run_id: str) -> Row:
    """How many entries of a run are in which state, and when the last was sent.

    Raises:
        StoreError: An entry is in an unknown state.
    """
    at, server = func.max(entries.c.sent_at), func.max(entries.c.sent_server_high)
    query = (
        select(entries.c.state, func.count(), at, server)
        .where(entries.c.run_id == run_id)
        .group_by(entries.c.state)
    )
    rows = (await connection.execute(query)).all()
    for state, *_ in rows:
        if state not in _ENTRY_STATES:
            raise damaged(run_id, f"an entry in the state {state!r}")
    return {
        "counts": {state: count for state, count, _, _ in rows},
        "last_sent_at": _latest(at for _, _, at, _ in rows),
        "last_sent_server": _latest(at for *_, at in rows),
    }


def _latest(moments: Iterable[object]) -> float | None:
    return max((at for at in moments if isinstance(at, float)), default=None)


async def change_run(connection: AsyncConnection, row: Row, changes: Row) -> None:
    """Change columns of a run, whose whole row is given."""
    changes = changes | {"checksum": run_checksum(row | changes)}
    await connection.execute(update(runs).where(runs.c.id == row["id"]).values(changes))


async def take(
    connection: AsyncConnection, row: Row, holding: Row, policy: str | None = None
) -> None:
    """Let a run go on in the hands of a lease; drops its sums, since its entries change again."""
    changes: Row = {"state": RunState.RUNNING.value, "counts": None} | holding
    if policy is not None:
        changes |= {"policy": policy, "texts_checksum": texts_checksum(row["plan"], policy)}
    await change_run(connection, row, changes)


async def end(
    connection: AsyncConnection, row: Row, state: RunState, finished_at: float | None
) -> Row:
    """Release a run, and store its state and the sums over its entries; gives its new row."""
    sums = await _sums(connection, row["id"])
    changes = sums | {
        "state": state.value,
        "finished_at": finished_at,
        "counts": json.dumps(sums["counts"]),
        "owner": None,
    }
    await change_run(connection, row, changes)
    return row | changes


async def read_entries(
    connection: AsyncConnection, wanted: EntryList, begin: int = 0
) -> list[Entry]:
    """The next entries of a run from a position on; none after the last.

    Raises:
        StoreError: An entry is damaged, missing, or is not the one that the plan has there.
    """
    of_run = entries.c.run_id == wanted.run_id
    part = await _page(connection, of_run, entries.c.position >= begin)
    wanted.check(part, begin, is_last=len(part) < CHUNK)
    return part


async def check_entries(connection: AsyncConnection, row: Row) -> None:
    """Make sure that all entries of a run are there and undamaged; raises as `read_entries`."""
    wanted, begin = EntryList.of(row), 0
    while part := await read_entries(connection, wanted, begin):
        begin += len(part)


async def abandon_entries(connection: AsyncConnection, run_id: str, words: str, at: float) -> None:
    """Give each unsettled entry of an abandoned run its last state."""
    after = -1
    of_run, unsettled = entries.c.run_id == run_id, entries.c.state.in_(UNSETTLED)
    while part := await _page(connection, of_run, unsettled, entries.c.position > after):
        await save_entries(connection, run_id, [entry.abandoned(words, at) for entry in part])
        after = part[-1].position


async def settle_entries(
    connection: AsyncConnection, run_id: str, settled: Sequence[Entry]
) -> list[Entry]:
    """Replace entries whose action was accepted and whose end was not known; which those were."""
    by_position = {entry.position: entry for entry in settled}
    found: list[Entry] = []
    for start in range(0, len(settled), _NAMED):
        named = entries.c.position.in_(list(by_position)[start : start + _NAMED])
        found += await _page(connection, entries.c.run_id == run_id, named)
    known = [one for one in found if by_position[one.position].vps_id == one.vps_id]
    refuse_unknown(run_id, settled, len(known))
    open_ones = [by_position[one.position] for one in found if one.state in FOLLOWABLE]
    await save_entries(connection, run_id, open_ones)
    return open_ones


async def _page(connection: AsyncConnection, *conditions: ColumnElement[bool]) -> list[Entry]:
    query = select(entries).where(*conditions).order_by(entries.c.position).limit(CHUNK)
    return [to_entry(row) for row in await connection.execute(query)]


async def write_event(connection: AsyncConnection, event: AuditRecord) -> None:
    """Add an event to the audit trail."""
    values = {name: getattr(event, name) for name in ("run_id", "at", "who", "what", "detail")}
    await connection.execute(insert(audit).values(values))


async def trail(connection: AsyncConnection, run_id: str) -> list[AuditRecord]:
    """A run's audit trail, oldest first."""
    query = select(audit).where(audit.c.run_id == run_id).order_by(audit.c.id)
    return [to_audit(row) for row in (await connection.execute(query)).mappings()]


async def last_pause_event(connection: AsyncConnection, run_id: str) -> AuditRecord | None:
    """The newest event of a run that began a pause or ended one."""
    is_pause = audit.c.what.in_([event.value for event in PAUSE_EVENTS])
    query = select(audit).where(audit.c.run_id == run_id, is_pause)
    query = query.order_by(audit.c.id.desc()).limit(1)
    row = (await connection.execute(query)).mappings().one_or_none()
    return None if row is None else to_audit(row)


async def last_written_at(connection: AsyncConnection) -> float:
    """When the database was last written to, by the writers' clocks; -inf if that is unknown."""
    newest_event = select(audit.c.at).order_by(audit.c.id.desc()).limit(1)
    queries = [select(store.c.written_at), select(func.max(runs.c.written_at)), newest_event]
    latest = _latest([(await connection.execute(query)).scalar() for query in queries])
    return -math.inf if latest is None else latest


async def learnt_records(
    connection: AsyncConnection, origin: str | None, fingerprint: str | None
) -> list[LearntRecord]:
    """What was learnt, of every key and API that is not named."""
    query = select(learnt).where(*_learnt_of(origin, fingerprint))
    query = query.order_by(learnt.c.origin, learnt.c.fingerprint, learnt.c.what)
    return [LearntRecord(**row) for row in (await connection.execute(query)).mappings()]


async def put_learnt(connection: AsyncConnection, record: LearntRecord) -> None:
    """Keep what was learnt, in place of what was known; the caller holds the store's lock."""
    is_same = _learnt_of(record.origin, record.fingerprint)
    await connection.execute(delete(learnt).where(*is_same, learnt.c.what == record.what))
    await connection.execute(insert(learnt).values(asdict(record)))


async def forget_learnt(
    connection: AsyncConnection, origin: str | None, fingerprint: str | None
) -> int:
    """Forget what `learnt_records` returns; the caller holds the store's lock."""
    change = delete(learnt).where(*_learnt_of(origin, fingerprint))
    return (await connection.execute(change)).rowcount


def _learnt_of(origin: str | None, fingerprint: str | None) -> list[ColumnElement[bool]]:
    named = (learnt.c.origin, origin), (learnt.c.fingerprint, fingerprint)
    return [column == value for column, value in named if value is not None]
