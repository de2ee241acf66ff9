"""Whether the database has all that was recorded in it, asked when it is opened.

A run that is open in a database that may have lost commits is marked with its `possible_loss`:
what looks `planned` there may have been sent. The mark stays as long as the run, since the status
of each of its VPSes has to be read before its action is sent. A false alarm costs one read of each.
"""

from typing import Final

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from hostup_async._errors import StoreError
from hostup_async._store.records import OPEN
from hostup_async._store.sql.database import Traces
from hostup_async._store.sql.lease import is_alive
from hostup_async._store.sql.queries import change_run, last_written_at, lock
from hostup_async._store.sql.rows import check_run
from hostup_async._store.sql.schema import runs, store

# Seconds from the time that a commit bears until its file is written. What changes the file later
# is not a commit of ours.
_SLACK: Final = 1.0
_IS_OPEN: Final = runs.c.state.in_([state.value for state in OPEN])


async def mark_possible_loss(
    connection: AsyncConnection, traces: Traces, wall_clock: float
) -> bool:
    """Mark the open runs of a database that may have lost commits; whether it wrote anything."""
    place = (await connection.execute(select(store.c.place))).scalar()
    loss = await _find_loss(connection, place, traces)
    if loss is None and place == traces.place:
        return False
    await lock(connection, wall_clock)
    await connection.execute(update(store).values(place=traces.place))
    if loss is not None:
        await _mark_runs(connection, loss)
    return True


async def _find_loss(connection: AsyncConnection, place: str | None, traces: Traces) -> str | None:
    if place is not None and place != traces.place:
        return "its file is a copy, or was moved"
    if not traces.has_log and await _is_cut_off(connection):
        return "its write-ahead log was removed"
    changed_at = traces.changed_at
    if changed_at is not None and changed_at > await last_written_at(connection) + _SLACK:
        return "its file was changed by something else, such as restoring a backup"
    return None


async def _is_cut_off(connection: AsyncConnection) -> bool:
    """Whether a process that may be dead holds a run: it left the log behind.

    A process that lives has a log. If there was none, it opened the database after we looked.
    """
    query = select(runs.c.owner).where(runs.c.owner.is_not(None), _IS_OPEN)
    owners = (await connection.execute(query)).scalars().all()
    return any(is_alive(owner) is not True for owner in owners)


async def _mark_runs(connection: AsyncConnection, loss: str) -> None:
    query = select(runs).where(_IS_OPEN, runs.c.possible_loss.is_(None))
    for row in (await connection.execute(query)).mappings().all():
        try:
            check_run(row)
        except StoreError:  # damaged: it stays so, and cannot be resumed
            continue
        await change_run(connection, dict(row), {"possible_loss": loss})
