"""The store in an SQL database: leases, and the protocol on top of the queries."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from attrs import evolve
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from hostup_async import _clock
from hostup_async._cancellation import finish
from hostup_async._config import Seconds, seconds
from hostup_async._errors import StoreError
from hostup_async._models import Action
from hostup_async._store.base import (
    ABANDONED,
    Store,
    refuse_ended,
    run_held_by,
    run_not_held,
    store_closed,
)
from hostup_async._store.conflicts import Conflicts
from hostup_async._store.owner import Owner
from hostup_async._store.records import AuditEvent, AuditRecord, Entry, RunRecord, RunState
from hostup_async._store.sql import queries
from hostup_async._store.sql.database import Backend, Database
from hostup_async._store.sql.group_commit import GroupWriter
from hostup_async._store.sql.schema import LOCK

DEFAULT_LEASE: Final = 30.0  # seconds
_BEATS: Final = 3  # heartbeats in a lease: two may fail


class SqlStore(Store):
    """A store in an SQL database.

    Args:
        backend: The database.
        lease: Seconds after which an owner on another machine loses a run if it sends no
            heartbeat. An owner on this machine holds its run until its process ends.
        clock: The time in seconds since the epoch; for tests.
        owner: Who holds the runs; by default this process; for tests.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        lease: Seconds = DEFAULT_LEASE,
        clock: Callable[[], float] | None = None,
        owner: Owner | None = None,
    ) -> None:
        self._database: Final = Database(backend)
        self._lease: Final = seconds(lease, name="lease")
        self._clock: Final = clock or _clock.wall
        self._me: Final = owner
        self._owner = ""
        self._held: Final[dict[str, GroupWriter[Entry]]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<SqlStore at {self._database.name}>"

    @property
    def is_open(self) -> bool:
        return self._database.is_open

    @property
    def send_window(self) -> float:
        return self._lease / _BEATS

    async def open(self) -> None:
        if self.is_open:
            return
        await self._database.open()
        self._owner = (self._me or Owner.here()).text

    async def aclose(self) -> None:
        await finish(asyncio.get_running_loop().create_task(self._close()))

    async def _close(self) -> None:
        self._beating(on=False)
        held = list(self._held.values())
        self._held.clear()
        for writer in held:
            await writer.flush()
        if held:
            with suppress(StoreError):  # then the lease expires
                await self._release_all()
        await self._database.close()

    async def create(
        self, run: RunRecord, entries: Sequence[Entry], *, cooldown: float
    ) -> list[Entry]:
        conflicts = Conflicts(entries, cooldown=cooldown, now=self._clock())
        new = evolve(run, state=RunState.RUNNING, finished_at=None)

        async def work(connection: AsyncConnection) -> list[Entry]:
            await connection.execute(LOCK)
            await queries.refuse_duplicate(connection, run.id)
            await queries.find_conflicts(connection, run.origin, conflicts)
            stored = conflicts.resolve(entries)
            await queries.add_run(connection, new, self._owner, self._lease_end())
            await queries.add_entries(connection, run.id, stored)
            await self._write(connection, run.id, AuditEvent.CREATED, run.who)
            return stored

        undo = partial(self.abandon, run.id, reason="cancelled while it was being created")
        stored = await self._database.do(work, undo=undo)
        self._hold(run.id)
        return stored

    async def save(self, run_id: str, entries: Sequence[Entry]) -> None:
        self._check_open()
        writer = self._held.get(run_id)
        if writer is None:
            raise run_not_held(run_id)
        await writer.write(*entries)

    async def _commit(self, run_id: str, group: list[Entry]) -> None:
        async def work(connection: AsyncConnection) -> None:
            await self._renew_lease(connection, run_id)
            await queries.save_entries(connection, run_id, group)

        await self._database.transact(work)

    async def acquire(self, run_id: str, *, who: str = "") -> RunRecord:
        async def work(connection: AsyncConnection) -> RunRecord:
            row = await self._free(connection, run_id)
            before = await queries.read_run(connection, row)
            await queries.give_to(connection, run_id, self._owner, self._lease_end())
            await self._write(connection, run_id, AuditEvent.RESUMED, who)
            return before

        before = await self._database.do(work, undo=self._release_all)
        self._hold(run_id)
        return before

    async def release(self, run_id: str, state: RunState, *, detail: str = "{}") -> None:
        async def work(connection: AsyncConnection) -> None:
            await self._renew_lease(connection, run_id)
            row = await queries.find_run(connection, run_id)
            await queries.end(connection, run_id, state, self._finished_at(state))
            await self._write(connection, run_id, AuditEvent(state.value), row["who"], detail)

        self._check_open()
        writer = self._held.get(run_id)
        if writer is None:
            raise run_not_held(run_id)
        await writer.flush()
        await self._database.do(work)
        self._drop(run_id)

    async def abandon(self, run_id: str, *, who: str = "", reason: str = "") -> RunRecord:
        words = reason or ABANDONED

        async def work(connection: AsyncConnection) -> RunRecord:
            await self._free(connection, run_id)
            await queries.abandon_entries(connection, run_id, words, self._clock())
            await queries.end(connection, run_id, RunState.ABANDONED, self._clock())
            detail = json.dumps({"reason": words})
            await self._write(connection, run_id, AuditEvent.ABANDONED, who, detail)
            return await queries.read_run(connection, await queries.find_run(connection, run_id))

        return await self._database.do(work)

    async def run(self, run_id: str) -> RunRecord:
        async def work(connection: AsyncConnection) -> RunRecord:
            return await queries.read_run(connection, await queries.find_run(connection, run_id))

        return await self._database.do(work)

    async def runs(self, limit: int = 20) -> list[RunRecord]:
        return await self._database.do(partial(queries.newest, limit=limit))

    async def entries(self, run_id: str) -> AsyncIterator[Entry]:
        await self._database.do(partial(queries.find_run, run_id=run_id))
        after = -1
        while part := await self._database.do(partial(queries.page, run_id=run_id, after=after)):
            for entry in part:
                yield entry
            after = part[-1].position

    async def note(
        self, run_id: str, what: AuditEvent | str, *, who: str = "", detail: str = "{}"
    ) -> None:
        async def work(connection: AsyncConnection) -> None:
            await queries.find_run(connection, run_id)
            await self._write(connection, run_id, what, who, detail)

        await self._database.do(work)

    async def audit(self, run_id: str) -> list[AuditRecord]:
        async def work(connection: AsyncConnection) -> list[AuditRecord]:
            await queries.find_run(connection, run_id)
            return await queries.trail(connection, run_id)

        return await self._database.do(work)

    async def load_durations(self, origin: str, action: Action) -> str | None:
        return await self._database.do(
            partial(queries.durations_of, origin=origin, action=action.value)
        )

    async def save_durations(self, origin: str, action: Action, text: str) -> None:
        async def work(connection: AsyncConnection) -> None:
            await connection.execute(LOCK)
            await queries.put_durations(connection, origin, action.value, text)

        await self._database.do(work)

    def _check_open(self) -> None:
        if not self.is_open:
            raise store_closed()

    def _lease_end(self) -> float:
        return self._clock() + self._lease

    def _finished_at(self, state: RunState) -> float | None:
        return None if state.is_open else self._clock()

    async def _renew_lease(self, connection: AsyncConnection, run_id: str) -> None:
        """Renew our lease; until the transaction ends, no other process can take the run."""
        if not await queries.renew(connection, run_id, self._owner, self._lease_end()):
            raise run_not_held(run_id)

    async def _free(self, connection: AsyncConnection, run_id: str) -> RowMapping:
        """The row of a run that can be acquired; locks the store."""
        await connection.execute(LOCK)
        row = await queries.find_run(connection, run_id)
        refuse_ended(run_id, RunState(row["state"]))
        if row["owner"] == self._owner:
            if run_id in self._held:
                raise run_held_by(run_id, "this client")
        elif row["owner"]:
            self._refuse_holder(run_id, Owner.read(row["owner"]), row["lease_until"])
        return row

    def _refuse_holder(self, run_id: str, holder: Owner, until: float) -> None:
        """Refuse a holder that lives; where that is not known, one whose lease is valid."""
        alive, left = holder.is_alive(), until - self._clock()
        if alive:
            raise run_held_by(run_id, str(holder))
        if alive is None and left > 0:
            raise run_held_by(
                run_id, f"{holder} (its lease ends in {left:.0f} s, unless it renews it)"
            )

    async def _write(
        self,
        connection: AsyncConnection,
        run_id: str,
        what: AuditEvent | str,
        who: str,
        detail: str = "{}",
    ) -> None:
        event = AuditRecord(run_id, self._clock(), who, what, detail)
        await queries.write_event(connection, event)

    async def _release_all(self) -> None:
        """Give up, as they stand, the runs that are ours in the database but not in `_held`."""
        kept = list(self._held)
        await self._database.do(partial(queries.release_all, owner=self._owner, kept=kept))

    def _hold(self, run_id: str) -> None:
        self._held[run_id] = GroupWriter(partial(self._commit, run_id))
        self._beating(on=True)

    def _drop(self, run_id: str) -> None:
        self._held.pop(run_id, None)
        self._beating(on=bool(self._held))

    def _beating(self, *, on: bool) -> None:
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._lease / _BEATS, self._heartbeat) if on else None

    def _heartbeat(self) -> None:
        """Renew all leases in the background; the next one makes up for one that fails."""
        self._database.spawn(self._renew(list(self._held)))
        self._beating(on=True)

    async def _renew(self, run_ids: list[str]) -> None:
        async def work(connection: AsyncConnection) -> None:
            for run_id in run_ids:
                await queries.renew(connection, run_id, self._owner, self._lease_end())

        with suppress(StoreError):
            await self._database.transact(work)
