"""The runs that one store holds: their heartbeat, and what becomes of a lease that is lost."""

import asyncio
import copy
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Final

from attrs import define
from sqlalchemy.ext.asyncio import AsyncConnection

from hostup_async import _clock
from hostup_async._errors import RunHeld, StoreError
from hostup_async._store.base import run_not_held, store_closed
from hostup_async._store.records import Entry
from hostup_async._store.sql import lease
from hostup_async._store.sql.database import Database
from hostup_async._store.sql.group_commit import GroupWriter
from hostup_async._store.sql.queries import Row


@define(eq=False)
class HeldRun:
    """A run that this store holds.

    Attributes:
        writer: Saves its entries.
        lost: Done once the run cannot be recorded any more; its result is why.
    """

    writer: GroupWriter[Entry]
    lost: asyncio.Future[StoreError]

    def lose(self, error: StoreError) -> None:
        """Note that the run cannot be recorded any more."""
        if not self.lost.done():
            self.lost.set_result(error)


class HeldRuns:
    """The runs that a store holds, with a heartbeat while there are any.

    Args:
        database: Where their leases are.
        length: The length of a lease, in seconds.

    Attributes:
        owner: Who holds the runs.
    """

    def __init__(self, database: Database, length: float) -> None:
        self.owner = ""
        self._database: Final = database
        self._length: Final = length
        self._runs: Final[dict[str, HeldRun]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._runs)

    def __iter__(self) -> Iterator[str]:
        return iter(self._runs)

    def holds(self, run_id: str) -> bool:
        """Whether a run is held, as far as is known here."""
        run = self._runs.get(run_id)
        return run is not None and not run.lost.done()

    def find(self, run_id: str) -> HeldRun:
        """A run that is held.

        Raises:
            RunHeld: It is not held, or no longer.
            StoreError: The store is closed, or its database is lost.
        """
        if not self._database.is_open:
            raise store_closed()
        run = self._runs.get(run_id)
        if run is None:
            raise run_not_held(run_id)
        if run.lost.done():
            raise copy.copy(run.lost.result())  # each gathers a traceback of its own
        return run

    async def wait_until_lost(self, run_id: str) -> StoreError:
        """Wait until a run cannot be recorded any more; why."""
        run = self._runs.get(run_id)
        if run is None:
            raise run_not_held(run_id)
        return copy.copy(await asyncio.shield(run.lost))

    def new_lease(self) -> Row:
        """The columns of a run that is to be held."""
        return lease.new_lease(self.owner, self._length, _clock.wall())

    def add(self, run_id: str, commit: Callable[[list[Entry]], Awaitable[None]]) -> None:
        """Hold a run, whose entries this makes durable."""
        lost = asyncio.get_running_loop().create_future()
        self._runs[run_id] = HeldRun(GroupWriter(commit), lost)
        self._set_timer()

    def drop(self, run_id: str) -> None:
        """Hold a run no longer."""
        self._runs.pop(run_id, None)
        self._set_timer()

    async def drop_all(self) -> bool:
        """Hold nothing any more, once all that was queued is written; whether there was any."""
        runs = list(self._runs.values())
        self._runs.clear()
        self._set_timer()
        for run in runs:
            await run.writer.flush()
        return bool(runs)

    async def renew(self, connection: AsyncConnection, run_id: str) -> None:
        """Renew a lease; until the transaction ends, no other process can take the run.

        Raises:
            RunHeld: Another has taken it.
        """
        if not await lease.renew(connection, run_id, self.owner, _clock.wall()):
            raise await lease.lost(connection, run_id)

    @contextmanager
    def noting_loss(self, run_id: str) -> Generator[None, None, None]:
        """Around a transaction that renews a lease: note where that was lost."""
        run = self._runs.get(run_id)
        try:
            yield
        except RunHeld as error:
            if run is not None:
                run.lose(error)
            raise

    @property
    def trusted_for(self) -> float:
        """For how many seconds a lease is trusted from the beginning of its renewal."""
        return lease.TRUSTED * self._length

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._runs:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._length / lease.BEATS, self._heartbeat)

    def _heartbeat(self) -> None:
        self._database.spawn(self._renew_all())
        self._set_timer()

    async def _renew_all(self) -> None:
        """Renew all leases; the next heartbeat makes up for one that fails."""
        held = {run_id: run for run_id, run in self._runs.items() if not run.lost.done()}

        async def work(connection: AsyncConnection) -> dict[str, RunHeld | None]:
            now, losses = _clock.wall(), dict[str, RunHeld | None]()
            for run_id in held:
                is_ours = await lease.renew(connection, run_id, self.owner, now)
                losses[run_id] = None if is_ours else await lease.lost(connection, run_id)
            return losses

        try:
            losses = await self._database.transact(work, writes=True)
        except StoreError:
            self._note_breach()
            return
        for run_id, loss in losses.items():
            if loss is not None and self._runs.get(run_id) is held[run_id]:  # not released since
                held[run_id].lose(loss)

    def _note_breach(self) -> None:
        """If the database itself is lost, no later heartbeat can make up for this one."""
        try:
            self._database.check()
        except StoreError as breach:
            for run in self._runs.values():
                run.lose(breach)
