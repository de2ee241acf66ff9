"""One connection, one transaction at a time, each to its end even where its caller is cancelled."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import contextmanager, suppress
from typing import Any, Final, Protocol, TypeVar

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from hostup_async._errors import StoreError
from hostup_async._store.base import not_open

T = TypeVar("T")
Work = Callable[[AsyncConnection], Awaitable[T]]


class Backend(Protocol):
    """What is particular to one database engine."""

    @property
    def name(self) -> str:
        """What to call the database in messages; no secrets."""
        ...

    def engine(self) -> AsyncEngine:
        """A new engine, without a pool; raises `StoreError` where it cannot be had."""
        ...

    async def set_up(self, connection: AsyncConnection) -> None:
        """Make a new connection ready, and the tables, should they be missing."""
        ...

    async def settle(self) -> None:
        """Wait until nothing is left of a connection that failed."""
        ...

    def explain(self, error: SQLAlchemyError) -> str:
        """What went wrong, and what to do."""
        ...


class Database:
    """A connection to a database, used by one event loop of one process."""

    def __init__(self, backend: Backend) -> None:
        self.name: Final = backend.name
        self._backend: Final = backend
        self._turn: Final = asyncio.Lock()
        self._tasks: Final[set[asyncio.Task[Any]]] = set()
        self._connection: AsyncConnection | None = None
        self._pid = 0

    @property
    def is_open(self) -> bool:
        """Whether it is open."""
        return self._connection is not None

    async def open(self) -> None:
        """Connect; a caller that is cancelled meanwhile leaves nothing open."""
        try:
            await to_the_end(self._open())
        except asyncio.CancelledError:
            await self.close()
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
                    await self._backend.set_up(self._connection)
            except BaseException:
                await self._disconnect()
                await self._backend.settle()
                raise

    async def close(self) -> None:
        """Let what was begun end, then disconnect; again is harmless."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        async with self._turn:
            await self._disconnect()

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None or self._pid != os.getpid():  # a fork's parent closes its own
            return
        with suppress(SQLAlchemyError):
            await connection.close()

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin something that `close` waits for."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def do(self, work: Work[T], *, undo: Callable[[], Awaitable[object]] | None = None) -> T:
        """Do work as one transaction, and its undoing where the caller is cancelled meanwhile.

        Raises:
            StoreError: It was not done.
        """
        task = self.spawn(self.transact(work))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if undo is not None:
                self.spawn(_undo(task, undo))
            raise

    async def transact(self, work: Work[T]) -> T:
        """Do work as one transaction; for tasks that no caller cancels."""
        async with self._turn:
            connection = self._connection
            if connection is None:
                raise not_open()
            if self._pid != os.getpid():
                msg = f"The store {self.name} was opened before a fork: open it in this process."
                raise StoreError(msg)
            with self._explained():
                async with connection.begin():
                    return await work(connection)

    @contextmanager
    def _explained(self) -> Generator[None, None, None]:
        try:
            yield
        except SQLAlchemyError as error:
            msg = f"The store {self.name} {self._backend.explain(error)}"
            raise StoreError(msg) from error


async def to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Do work to its end, also where the caller is cancelled meanwhile; it is told afterwards."""
    task = asyncio.get_running_loop().create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


async def _undo(task: asyncio.Task[Any], undo: Callable[[], Awaitable[object]]) -> None:
    await asyncio.wait([task])
    if not task.cancelled() and task.exception() is None:
        with suppress(StoreError):
            await undo()
