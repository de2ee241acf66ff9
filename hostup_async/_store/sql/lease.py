"""Leases: who holds a run, and when another may take it.

A holder renews the lease of its runs with each save, and by a heartbeat every third of the lease.
The wall clock has no part in it, since it can be set, and differs from machine to machine:

- A process of this machine holds its run while it lives, however long it is suspended.
- Of a process in another container of this machine, the lease ends when it was not renewed for
  its length, by the clock that counts from the machine's boot (`_clock.boot`).
- Of a process on another machine (the file was moved, or its disk is shared) only the number of
  its heartbeats is known. Who wants its run watches that number for the length of the lease, by
  its own clock; the lease has ended if the number stayed.

A holder trusts its own lease for two thirds of its length, counted from before the commit that
renewed it, by the same clock. After that, for example after it was suspended, it asks the
database before it sends. So there is a third of the lease between the last send that a holder
makes without asking and the first moment at which another may take the run. The owner is written
with a random part, so a holder that lost its run never mistakes another's lease for its own.
"""

from typing import Any, Final

from sqlalchemy import bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from hostup_async import _clock
from hostup_async._errors import RunHeld, StoreError
from hostup_async._store.base import damaged, run_held_by, run_not_held
from hostup_async._store.owner import Owner
from hostup_async._store.sql.schema import runs

BEATS: Final = 3  # heartbeats in a lease: two may fail
TRUSTED: Final = 2 / 3  # of a lease: the holder's own trust in it

_RENEW: Final = (
    update(runs)
    .where(runs.c.id == bindparam("of_run"), runs.c.owner == bindparam("by_owner"))
    .values(beats=runs.c.beats + 1, renewed_at=bindparam("now"), written_at=bindparam("wall_clock"))
)

Row = dict[str, Any]
Sign = tuple[str, int]
"""The owner of a run, and how many heartbeats it has given."""


def new_lease(owner: str, lease: float, wall_clock: float) -> Row:
    """The columns of a run with a new holder."""
    return {
        "owner": owner,
        "lease": lease,
        "beats": 0,
        "renewed_at": _clock.boot(),
        "written_at": wall_clock,
    }


async def renew(connection: AsyncConnection, run_id: str, owner: str, wall_clock: float) -> bool:
    """Renew the lease of a run; False where another owner has it.

    As the first statement of a transaction it also locks the run against being taken over.
    """
    key = {"of_run": run_id, "by_owner": owner}
    moments = {"now": _clock.boot(), "wall_clock": wall_clock}
    return (await connection.execute(_RENEW, key | moments)).rowcount == 1


async def lost(connection: AsyncConnection, run_id: str) -> RunHeld:
    """The error for a run that this store holds no longer; it names the holder, if there is one."""
    query = select(runs.c.owner).where(runs.c.id == run_id)
    owner = (await connection.execute(query)).scalar()
    try:
        return run_not_held(run_id, None if owner is None else str(Owner.read(owner)))
    except (ValueError, TypeError):
        return run_not_held(run_id)


async def release_all(
    connection: AsyncConnection, owner: str, wall_clock: float, *kept: str
) -> None:
    """Release every run of an owner as it stands, except some."""
    change = update(runs).where(runs.c.owner == owner, runs.c.id.not_in(kept))
    await connection.execute(change.values(owner=None, written_at=wall_clock))


async def release_dead(connection: AsyncConnection, wall_clock: float) -> bool:
    """Release the runs of processes that are known to be dead; whether there were any."""
    found = await connection.execute(select(runs.c.owner).where(runs.c.owner.is_not(None)))
    dead = [owner for owner in set(found.scalars()) if is_alive(owner) is False]
    for owner in dead:
        await release_all(connection, owner, wall_clock)
    return bool(dead)


def is_alive(owner: str) -> bool | None:
    """Whether an owner, as a row has it, is alive; None where that is not known."""
    try:
        return Owner.read(owner).is_alive()
    except (ValueError, TypeError):
        return None


def sign_of(row: Row) -> Sign:
    """What shows whether the holder of a run gives a sign of life meanwhile."""
    return row["owner"], row["beats"]


def must_watch(row: Row) -> bool:
    """Whether only watching shows if the holder of a run lives.

    Raises:
        StoreError: The row is damaged.
    """
    holder = _holder(row)
    return holder is not None and holder.is_alive() is None and not holder.shares_clock()


def refuse_holder(row: Row, watched: Sign | None) -> None:
    """Refuse to take a run from a holder that lives, or whose lease goes on.

    Args:
        row: The run's row.
        watched: The sign of life that did not change for the length of the lease.

    Raises:
        RunHeld: The holder lives, or may.
        StoreError: The row is damaged.
    """
    holder = _holder(row)
    if holder is None:
        return
    alive = holder.is_alive()
    if alive:
        raise run_held_by(row["id"], str(holder))
    if alive is None and not holder.shares_clock() and watched != sign_of(row):
        raise run_held_by(row["id"], f"{holder}, which gives signs of life")
    left = row["renewed_at"] + row["lease"] - _clock.boot()
    if alive is None and holder.shares_clock() and left > 0:
        where = f"{holder} (its lease ends in {left:.0f} s, unless it renews it)"
        raise run_held_by(row["id"], where)


def living_holder(row: Row) -> str | None:
    """Who holds a run, to show; None where the holder is known to have gone.

    A holder on another machine is named as long as it has not released the run: whether it lives
    shows only to who watches it, see `must_watch`.
    """
    try:
        holder = _holder(row)
    except StoreError:  # `refuse_holder` raises it where that matters
        return "an unknown process"
    if holder is None or holder.is_alive() is False:
        return None
    is_expired = row["renewed_at"] + row["lease"] < _clock.boot()
    if holder.is_alive() is None and holder.shares_clock() and is_expired:
        return None
    return str(holder)


def _holder(row: Row) -> Owner | None:
    """The holder of a run; its lease is made sure to consist of numbers."""
    if row["owner"] is None:
        return None
    try:
        holder = Owner.read(row["owner"])
        _ = row["renewed_at"] + row["lease"] + row["beats"]
    except (ValueError, TypeError):
        raise damaged(row["id"], "its holder") from None
    return holder
