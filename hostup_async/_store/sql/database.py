"""One connection; one transaction at a time, each to its end even where its caller is cancelled."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import contextmanager, suppress
from typing import Any, Final, Protocol, TypeVar

from attrs import frozen
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from hostup_async._cancellation import finish, steady
from hostup_async._errors import StoreError
from hostup_async._store.base import store_closed

T = TypeVar("T")
Work = Callable[[AsyncConnection], Awaitable[T]]


@frozen
class Traces:
    """What is known of a database from outside, before it is opened.

    Attributes:
        place: Identifies where the database is; a copy has another.
        has_log: Whether there is a log with commits, or none is needed.
        changed_at: When the database was last changed, in seconds since the epoch; None where
            that is not known.
    """

    place: str
    has_log: bool
    changed_at: float | None


Prepare = Callable[[AsyncConnection, Traces], Awaitable[bool]]


class Backend(Protocol):
    """What differs from one database engine to another."""

    @property
    def name(self) -> str:
        """The database's name in messages, without secrets."""
        ...

    def engine(self) -> AsyncEngine:
        """A new engine without a pool; raises `StoreError` where there can be none."""
        ...

    async def set_up(self, connection: AsyncConnection) -> Traces:
        """Prepare a new connection, create missing tables, and say what is known from outside."""
        ...

    def check(self) -> None:
        """Make sure that this is still the database that was opened; raises `StoreError`."""
        ...

    async def confirm(self, connection: AsyncConnection) -> None:
        """Make a commit as durable as can be, and sure to be in the right database."""
        ...

    async def settle(self) -> None:
        """Wait until nothing of a failed connection still runs."""
        ...

    def explain(self, error: SQLAlchemyError) -> str:
        """What went wrong, and what to do."""
        ...


class Database:
    """A connection to a database, used by one event loop of one process.

    Args:
        backend: The engine.
        prepare: The first transaction of a connection; whether it wrote anything.
    """

    def __init__(self, backend: Backend, prepare: Prepare) -> None:
        self.name: Final = backend.name
        self._backend: Final = backend
        self._prepare: Final = prepare
        self._turn: Final = asyncio.Lock()
        self._tasks: Final[set[asyncio.Task[Any]]] = set()
        self._connection: AsyncConnection | None = None
        self._pid = 0

    @property
    def is_open(self) -> bool:
        """Whether the connection is open."""
        return self._connection is not None

    async def open(self) -> None:
        """Connect; a caller that is cancelled meanwhile leaves nothing open."""
        if self.is_open:
            return
        try:
            await finish(steady(self._open()))
        except asyncio.CancelledError:
            await finish(steady(self.close()))
            raise

    async def _open(self) -> None:
        async with self._turn:
            if self._connection is not None:
                return
            self._pid = os.getpid()
            engine = self._backend.engine()
            try:
                with self._explained():
                    self._connection = await engine.connect()
                    traces = await self._backend.set_up(self._connection)
                    async with self._connection.begin():
                        has_written = await self._prepare(self._connection, traces)
                    if has_written:
                        await self._backend.confirm(self._connection)
            except BaseException:
                await self._disconnect()
                await self._backend.settle()
                raise

    async def close(self) -> None:
        """Wait for the transactions under way, then disconnect; a second call does nothing."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        async with self._turn:
            await self._disconnect()

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None or self._pid != os.getpid():  # after a fork it is the parent's
            return
        with suppress(SQLAlchemyError):
            await connection.close()

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a task that `close` waits for."""
        task = steady(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def check(self) -> None:
        """Make sure that the database is still the one that was opened; raises `StoreError`."""
        self._backend.check()

    async def read(self, work: Work[T]) -> T:
        """Read in one transaction; raises `StoreError` where that fails."""
        return await finish(self.spawn(self.transact(work)))

    async def write(
        self, work: Work[T], *, undo: Callable[[], Awaitable[object]] | None = None
    ) -> T:
        """Do work as one transaction, even where the caller is cancelled meanwhile.

        Args:
            work: What to do.
            undo: Called after a cancellation, if the work was done all the same.

        Raises:
            StoreError: The work was not done, or perhaps in a file that is lost.
        """
        task = self.spawn(self.transact(work, writes=True))
        try:
            return await finish(task)
        except asyncio.CancelledError:
            if undo is not None and not task.cancelled() and task.exception() is None:
                await finish(self.spawn(_quietly(undo)))
            raise

    async def transact(self, work: Work[T], *, writes: bool = False) -> T:
        """Do work as one transaction, for a task that is never cancelled."""
        async with self._turn:
            connection = self._usable()
            with self._explained():
                async with connection.begin():
                    result = await work(connection)
                if writes:
                    await self._backend.confirm(connection)
            return result

    def _usable(self) -> AsyncConnection:
        if self._connection is None:
            raise store_closed()
        if self._pid != os.getpid():
            msg = f"The store {self.name} was opened before a fork: open it in this process."
            raise StoreError(msg)
        self._backend.check()
        return self._connection

    @contextmanager
    def _explained(self) -> Generator[None, None, None]:
        try:
            yield
        except SQLAlchemyError as error:
            msg = f"The store {self.name} {self._backend.explain(error)}"
            raise StoreError(msg) from error
        except (UnicodeError, OverflowError) as error:  # of the driver, before it asks the database
            msg = f"The store {self.name} cannot record a value ({error}): leave that VPS out."
            raise StoreError(msg) from error


async def _quietly(undo: Callable[[], Awaitable[object]]) -> None:
    with suppress(StoreError):
        await undo()
