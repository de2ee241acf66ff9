"""The store in an SQL database: the protocol on top of leases and queries."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import anyio
from attrs import evolve
from sqlalchemy.ext.asyncio import AsyncConnection

from hostup_async import _clock
from hostup_async._cancellation import finish, steady
from hostup_async._config import Seconds, seconds
from hostup_async._errors import StoreError
from hostup_async._store.base import (
    ABANDONED,
    Store,
    refuse_ended,
    refuse_unsettled,
    run_held_by,
)
from hostup_async._store.conflicts import Conflicts
from hostup_async._store.owner import Owner
from hostup_async._store.records import (
    AuditEvent,
    AuditRecord,
    Entry,
    LearntRecord,
    RunRecord,
    RunState,
    changed_members,
    policy_detail,
)
from hostup_async._store.sql import lease, loss, queries
from hostup_async._store.sql.database import Backend, Database, Traces
from hostup_async._store.sql.held import HeldRuns
from hostup_async._store.sql.lease import Sign
from hostup_async._store.sql.queries import Row
from hostup_async._store.sql.rows import EntryList

DEFAULT_LEASE: Final = 30.0  # seconds


class SqlStore(Store):
    """A store in an SQL database.

    Args:
        backend: The database.
        lease: Seconds after which an owner elsewhere loses a run if it gives no sign of life; see
            `hostup_async._store.sql.lease`.
        clock: The time in seconds since the epoch; for tests.
        owner: Who holds the runs; by default this process; for tests.
        read_only: Write nothing when it is opened.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        lease: Seconds = DEFAULT_LEASE,
        clock: Callable[[], float] | None = None,
        owner: Owner | None = None,
        read_only: bool = False,
    ) -> None:
        self._read_only: Final = read_only
        self._database: Final = Database(backend, self._prepare)
        self._clock: Final = clock or _clock.wall
        self._given_owner: Final = owner
        self._owner = owner or Owner.here()
        self._held: Final = HeldRuns(self._database, seconds(lease, name="lease"))

    def __repr__(self) -> str:
        return f"<SqlStore at {self._database.name}, holding {len(self._held)} runs>"

    @property
    def is_open(self) -> bool:
        return self._database.is_open

    @property
    def send_window(self) -> float:
        return self._held.trusted_for

    async def open(self) -> None:
        await self._database.open()

    async def aclose(self) -> None:
        await finish(steady(self._close()))

    async def _close(self) -> None:
        if await self._held.drop_all():
            with suppress(StoreError):  # then the lease expires
                await self._release_all()
        await self._database.close()
        self._owner.closed()

    async def _prepare(self, connection: AsyncConnection, traces: Traces) -> bool:
        self._owner = self._given_owner or Owner.here()
        self._owner.opened(asyncio.get_running_loop())
        self._held.owner = self._owner.text
        if self._read_only:
            return False
        is_marked = await loss.mark_possible_loss(connection, traces, _clock.wall())
        return await lease.release_dead(connection, _clock.wall()) or is_marked

    async def create(
        self,
        run: RunRecord,
        entries: Sequence[Entry],
        *,
        cooldown: float,
        server_now: float | None = None,
    ) -> list[Entry]:
        conflicts = Conflicts(entries, cooldown=cooldown, now=self._clock(), server_now=server_now)
        new = evolve(run, state=RunState.RUNNING, finished_at=None, possible_loss=None)

        async def work(connection: AsyncConnection) -> list[Entry]:
            await queries.lock(connection, _clock.wall())
            await queries.find_conflicts(connection, run.origin, conflicts)
            stored = conflicts.resolve(entries)
            await queries.add_run(connection, new, len(stored), self._held.new_lease())
            await queries.add_entries(connection, run.id, stored)
            await self._write(connection, run.id, AuditEvent.CREATED, run.who)
            return stored

        undo = partial(self.abandon, run.id, reason="cancelled while it was being created")
        stored = await self._database.write(work, undo=undo)
        self._held.add(run.id, partial(self._commit, run.id))
        return stored

    async def find_conflicts(
        self,
        origin: str,
        entries: Sequence[Entry],
        *,
        cooldown: float,
        server_now: float | None = None,
    ) -> list[Entry]:
        conflicts = Conflicts(entries, cooldown=cooldown, now=self._clock(), server_now=server_now)
        await self._database.read(
            partial(queries.find_conflicts, origin=origin, conflicts=conflicts)
        )
        return conflicts.resolve(entries)

    async def save(self, run_id: str, entries: Sequence[Entry]) -> None:
        await self._held.find(run_id).writer.write(*entries)

    async def _commit(self, run_id: str, group: list[Entry]) -> None:
        async def work(connection: AsyncConnection) -> None:
            await self._held.renew(connection, run_id)
            await queries.save_entries(connection, run_id, group)

        with self._held.noting_loss(run_id):
            await self._database.transact(work, writes=True)

    def holds(self, run_id: str) -> bool:
        return self._held.holds(run_id)

    async def wait_until_lost(self, run_id: str) -> StoreError:
        return await self._held.wait_until_lost(run_id)

    async def acquire(self, run_id: str, *, who: str = "", policy: str | None = None) -> RunRecord:
        watched = await self._watch_holder(run_id)

        async def work(connection: AsyncConnection) -> RunRecord:
            row = await self._free_run(connection, run_id, watched)
            await queries.check_entries(connection, row)
            before = await queries.read_run(connection, row)
            changes = changed_members(row["policy"], policy)
            kept = policy if changes else None
            await queries.take(connection, row, self._held.new_lease(), kept)
            detail = policy_detail(changes)
            await self._write(connection, run_id, AuditEvent.RESUMED, who, detail)
            return before

        before = await self._database.write(work, undo=self._release_all)
        self._held.add(run_id, partial(self._commit, run_id))
        return before

    async def release(self, run_id: str, state: RunState, *, detail: str = "{}") -> None:
        async def work(connection: AsyncConnection) -> None:
            await self._held.renew(connection, run_id)
            row = await queries.find_run(connection, run_id)
            await queries.end(connection, row, state, self._finished_at(state))
            await self._write(connection, run_id, AuditEvent(state.value), row["who"], detail)

        await self._held.find(run_id).writer.flush()
        with self._held.noting_loss(run_id):
            await self._database.write(work)
        self._held.drop(run_id)

    async def settle(self, run_id: str, entries: Sequence[Entry]) -> list[Entry]:
        refuse_unsettled(run_id, entries)
        watched = await self._watch_holder(run_id)

        async def work(connection: AsyncConnection) -> list[Entry]:
            row = await self._unheld_run(connection, run_id, watched)
            settled = await queries.settle_entries(connection, run_id, entries)
            await queries.end(connection, row, RunState(row["state"]), row["finished_at"])
            return settled

        return await self._database.write(work)

    async def abandon(self, run_id: str, *, who: str = "", reason: str = "") -> RunRecord:
        words = reason or ABANDONED
        watched = await self._watch_holder(run_id)

        async def work(connection: AsyncConnection) -> RunRecord:
            row = await self._free_run(connection, run_id, watched)
            await queries.abandon_entries(connection, run_id, words, self._clock())
            row = await queries.end(connection, row, RunState.ABANDONED, self._clock())
            detail = json.dumps({"reason": words})
            await self._write(connection, run_id, AuditEvent.ABANDONED, who, detail)
            return await queries.read_run(connection, row)

        return await self._database.write(work)

    async def run(self, run_id: str) -> RunRecord:
        async def work(connection: AsyncConnection) -> RunRecord:
            return await queries.read_run(connection, await queries.find_run(connection, run_id))

        return await self._database.read(work)

    async def runs(self, limit: int = 20) -> list[RunRecord]:
        return await self._database.read(partial(queries.newest, limit=limit))

    async def entries(self, run_id: str) -> AsyncIterator[Entry]:
        row = await self._database.read(partial(queries.find_run, run_id=run_id))
        wanted, begin = EntryList.of(row), 0
        while part := await self._database.read(
            partial(queries.read_entries, wanted=wanted, begin=begin)
        ):
            for entry in part:
                yield entry
            begin += len(part)

    async def note(
        self, run_id: str, what: AuditEvent | str, *, who: str = "", detail: str = "{}"
    ) -> None:
        async def work(connection: AsyncConnection) -> None:
            await queries.find_run(connection, run_id)
            await self._write(connection, run_id, what, who, detail)

        await self._database.write(work)

    async def audit(self, run_id: str) -> list[AuditRecord]:
        async def work(connection: AsyncConnection) -> list[AuditRecord]:
            await queries.find_run(connection, run_id)
            return await queries.trail(connection, run_id)

        return await self._database.read(work)

    async def pause_of(self, run_id: str) -> AuditRecord | None:
        last = await self._database.read(partial(queries.last_pause_event, run_id=run_id))
        return last if last is not None and last.what is AuditEvent.PAUSED else None

    async def learnt(
        self, origin: str | None = None, fingerprint: str | None = None
    ) -> list[LearntRecord]:
        return await self._database.read(
            partial(queries.learnt_records, origin=origin, fingerprint=fingerprint)
        )

    async def learn(self, records: Sequence[LearntRecord]) -> None:
        async def work(connection: AsyncConnection) -> None:
            await queries.lock(connection, _clock.wall())
            for record in records:
                await queries.put_learnt(connection, record)

        await self._database.write(work)

    async def forget(self, origin: str | None = None, fingerprint: str | None = None) -> int:
        async def work(connection: AsyncConnection) -> int:
            await queries.lock(connection, _clock.wall())
            return await queries.forget_learnt(connection, origin, fingerprint)

        return await self._database.write(work)

    def _finished_at(self, state: RunState) -> float | None:
        return None if state.is_open else self._clock()

    async def _watch_holder(self, run_id: str) -> Sign | None:
        """The sign of life that a run's holder did not change for the length of its lease.

        None where the holder need not be watched, or gave a sign.
        """
        find = partial(queries.find_run, run_id=run_id)
        row = await self._database.read(find)
        if row["owner"] == self._owner.text or not lease.must_watch(row):
            return None
        sign, ends_at = lease.sign_of(row), _clock.boot() + row["lease"]
        while (left := ends_at - _clock.boot()) > 0:
            await anyio.sleep(min(left, row["lease"] / lease.BEATS))
            row = await self._database.read(find)
            if lease.sign_of(row) != sign:
                return None
        return sign

    async def _free_run(
        self, connection: AsyncConnection, run_id: str, watched: Sign | None
    ) -> Row:
        """The row of a run that can be acquired; locks the store."""
        row = await self._unheld_run(connection, run_id, watched)
        refuse_ended(run_id, RunState(row["state"]))
        return row

    async def _unheld_run(
        self, connection: AsyncConnection, run_id: str, watched: Sign | None
    ) -> Row:
        """The row of a run that no process works on; locks the store."""
        await queries.lock(connection, _clock.wall())
        row = await queries.find_run(connection, run_id)
        if row["owner"] != self._owner.text:
            lease.refuse_holder(row, watched)
        elif self.holds(run_id):
            raise run_held_by(run_id, "this client")
        return row

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

        async def work(connection: AsyncConnection) -> None:
            await lease.release_all(connection, self._owner.text, _clock.wall(), *self._held)

        await self._database.write(work)
