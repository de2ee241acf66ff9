"""SQLite: the file, its pragmas, and what its errors mean."""

import asyncio
import os
import sqlite3
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import aiosqlite
import anyio
from sqlalchemy import URL, Connection, NullPool, inspect, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from hostup_async import _clock
from hostup_async._errors import ConfigurationError, StoreError
from hostup_async._store.sql import schema
from hostup_async._store.sql.database import Traces
from hostup_async._store.sql.files import DatabaseFiles

# Seconds that a writer waits for other processes; creating a run of 100,000 takes some.
BUSY_SECONDS: Final = 20.0
_RETRY_SECONDS: Final = 0.01  # before another try where SQLite does not wait by itself
_TRIES: Final = 3  # to copy the log: another process reads for milliseconds
_THREAD_SECONDS: Final = 5.0  # the driver's thread ends in milliseconds; then it is a daemon
_LOCKED: Final = "has been locked by another process for too long: stop that process, then resume."
_ADVICE: Final = {
    "SQLITE_FULL": "is full: make room on the disk, then resume the run.",
    "SQLITE_BUSY": _LOCKED,
    "SQLITE_LOCKED": _LOCKED,
    "SQLITE_READONLY": "cannot be written: check the permissions of the file and its directory.",
    "SQLITE_CANTOPEN": "cannot be opened: check the permissions of the file and its directory.",
    "SQLITE_IOERR": "cannot be read or written: check the disk, then resume the run.",
    "SQLITE_CORRUPT": "is damaged: keep a copy of it, and restore a backup or use another file.",
    "SQLITE_NOTADB": "is not an SQLite database: name another file.",
}


class SqliteFile:
    """An SQLite database in a file, created with mode 0600 where it does not exist.

    Args:
        path: The file; its directory must exist.
        read_only: Only read; the file must exist.

    Raises:
        ConfigurationError: A file cannot have that name.
    """

    def __init__(self, path: str | os.PathLike[str], *, read_only: bool = False) -> None:
        self._read_only: Final = read_only
        name = os.fspath(path)
        if not name or "\0" in name or name == ":memory:":
            msg = (
                f"The store's file cannot be {name!r}: name a file, or pass store=None for memory."
            )
            raise ConfigurationError(msg)
        self._path: Final = _real_path(name)
        self.name: Final = str(self._path)
        self._files: Final = DatabaseFiles(self._path)
        self._traces: Traces
        self._left_at: int | None = None  # when the file was last written, once all was copied
        self._version = 0  # `data_version` when it was opened: other connections' commits alter it
        self._is_disturbed = False  # another connection copied at the same time
        self._thread: Any = None

    def engine(self) -> AsyncEngine:
        """An engine whose writing transactions take the file's lock when they begin."""
        if not self._read_only:
            self._make_file()
        self._traces = self._files.traces()
        self._left_at = None
        self._is_disturbed = False
        url = URL.create("sqlite+aiosqlite", database=str(self._path))
        options = {
            "isolation_level": "IMMEDIATE",
            "timeout": BUSY_SECONDS,
            "async_creator_fn": self._connect,
        }
        return create_async_engine(
            url, poolclass=NullPool, connect_args=options, hide_parameters=True
        )

    def _connect(self, database: str, **options: Any) -> aiosqlite.Connection:  # noqa: ANN401 - the driver's
        if self._read_only:
            database = self._read_only_uri()
            options["uri"] = True
        connection = aiosqlite.connect(database, **options)
        # Before aiosqlite 0.22 the connection is a thread, since then it has one.
        self._thread = getattr(connection, "_thread", connection)
        self._thread.daemon = True
        return connection

    def _read_only_uri(self) -> str:
        """The file for reading. Without a log, no process has it open, so no lock is needed.

        SQLite could not lock it where it cannot create the log's index beside it.
        """
        mode = "mode=ro" if self._traces.has_log else "mode=ro&immutable=1"
        return f"file:{quote(os.fsencode(self._path))}?{mode}"

    async def settle(self) -> None:
        """Wait for the end of a failed connection's thread, which still calls our loop."""
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, _THREAD_SECONDS)

    def _make_file(self) -> None:
        """Create a missing file; SQLite itself would let other users read it.

        An existing file is not opened here: closing it would drop this process's POSIX locks on it.
        """
        try:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            return
        except OSError as error:
            msg = (
                f"The store {self.name} cannot be created ({error.strerror}): name a file that can "
                "be written, in a directory that exists."
            )
            raise StoreError(msg) from error

    async def set_up(self, connection: AsyncConnection) -> Traces:
        """Set the pragmas, and create the tables that the file lacks."""
        if self._read_only:
            await self._check(connection)
            return self._traces
        await self._prepare(connection)
        self._version = await _data_version(await _driver(connection))
        self._files.opened()
        return self._traces

    def check(self) -> None:
        """Make sure that the file is still the one that was opened."""
        self._files.check()

    async def confirm(self, connection: AsyncConnection) -> None:
        """Copy the log into the database's file, so that the file alone has all commits.

        Where another process reads just now, a part stays in the log until the next time.

        Raises:
            StoreError: Something that is not SQLite wrote to the file, such as a backup that was
                copied over it. Only a process that is alone can tell: another one that committed
                earlier may copy our commits as well, and at any time if it was suspended. So where
                others commit too, or where they left us nothing to copy, nothing is suspected.
        """
        self._files.check()
        found = self._files.written_at
        driver = await _driver(connection)
        is_complete, was_disturbed = await _copy_log(driver)
        self._is_disturbed |= was_disturbed
        self._files.check()
        left = self._files.written_at
        if self._left_at not in (None, found) and left != found and await self._is_alone(driver):
            self._files.lose("was overwritten while it was in use")
        self._left_at = left if is_complete else None

    async def _is_alone(self, driver: Any) -> bool:  # noqa: ANN401 - the driver's
        """Whether no other connection committed or copied since it was opened."""
        return not self._is_disturbed and await _data_version(driver) == self._version

    async def _prepare(self, connection: AsyncConnection) -> None:
        await self._use_wal(connection)
        async with connection.begin():
            await connection.exec_driver_sql("PRAGMA synchronous=FULL")
            await connection.exec_driver_sql("PRAGMA foreign_keys=ON")
            await connection.exec_driver_sql("PRAGMA wal_autocheckpoint=0")  # `confirm` does it
        async with connection.begin():
            await connection.run_sync(self._refuse_another)
            if await connection.run_sync(schema.is_ready):
                return
        async with connection.begin():
            await connection.execute(text("BEGIN IMMEDIATE"))  # the driver begins none for tables
            await connection.run_sync(schema.create)
        await _copy_log(await _driver(connection))

    async def _check(self, connection: AsyncConnection) -> None:
        """Make sure that there are tables to read."""
        async with connection.begin():
            await connection.run_sync(self._refuse_another)
            if not await connection.run_sync(schema.is_ready):
                msg = (
                    f"The store {self.name} has no tables of this version: open it once with the "
                    "right to write."
                )
                raise StoreError(msg)

    @staticmethod
    async def _use_wal(connection: AsyncConnection) -> None:
        """Switch to the write-ahead log. SQLite does not wait for a lock here, so this retries."""
        give_up_at = _clock.monotonic() + BUSY_SECONDS
        while True:
            try:
                async with connection.begin():
                    await connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            except DBAPIError as error:
                if _code(error) != "SQLITE_BUSY" or _clock.monotonic() > give_up_at:
                    raise
                await anyio.sleep(_RETRY_SECONDS)
            else:
                return

    def _refuse_another(self, connection: Connection) -> None:
        names = inspect(connection).get_table_names()
        if names and schema.store.name not in names:
            msg = f"The store {self.name} is the database of something else: name another file."
            raise StoreError(msg)

    def explain(self, error: SQLAlchemyError) -> str:
        """What went wrong, and what to do."""
        cause = error.orig if isinstance(error, DBAPIError) else error
        for code, advice in _ADVICE.items():
            if _code(error).startswith(code):
                return advice
        return f"failed ({cause}): check the disk and the file, then try again."


async def _driver(connection: AsyncConnection) -> Any:  # noqa: ANN401 - the driver's
    return (await connection.get_raw_connection()).driver_connection


async def _data_version(driver: Any) -> int:  # noqa: ANN401 - the driver's
    (version,) = await _ask(driver, "PRAGMA data_version")
    return version


async def _copy_log(driver: Any) -> tuple[bool, bool]:  # noqa: ANN401 - the driver's
    """Copy the log into the database's file: whether all is copied, whether another copied too."""
    was_disturbed = False
    for _ in range(_TRIES):
        busy, in_log, copied = await _ask(driver, "PRAGMA wal_checkpoint(PASSIVE)")
        was_disturbed |= bool(busy)
        if not busy and in_log == copied:
            return True, was_disturbed
        await anyio.sleep(_RETRY_SECONDS)
    return False, was_disturbed


async def _ask(driver: Any, sql: str) -> tuple[int, ...]:  # noqa: ANN401 - the driver's
    """The one row of a pragma, asked of the driver: SQLAlchemy costs more than what it does."""
    try:
        (row,) = await driver.execute_fetchall(sql)
    except sqlite3.Error as error:
        raise DBAPIError(sql, None, error) from error
    return tuple(row)


def _real_path(name: str) -> Path:
    """The path without symbolic links, so that a file has one log whatever it is called."""
    try:
        return Path(name).resolve()
    except (OSError, RuntimeError) as error:  # a loop of links; a working directory that is gone
        msg = f"The path of the store {name!r} leads nowhere ({error}): name another file."
        raise ConfigurationError(msg) from error


def _code(error: SQLAlchemyError) -> str:
    """SQLite's name for an error; empty for an error that is not SQLite's."""
    cause = error.orig if isinstance(error, DBAPIError) else None
    code: str = getattr(cause, "sqlite_errorname", "")
    return code
