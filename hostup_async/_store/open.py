"""Finds the store that a user names."""

import os
import re
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from typing import Final
from weakref import WeakKeyDictionary

import anyio
import anyio.to_thread

from hostup_async._errors import ConfigurationError
from hostup_async._store.base import Store
from hostup_async._store.memory import MemoryStore

# How many use a store that was opened here; the last of them closes it.
_USERS: Final = WeakKeyDictionary[Store, int]()
os.register_at_fork(after_in_child=_USERS.clear)  # a child opens a store anew
_SQL: Final = "hostup_async._store.sql"
_SQLITE: Final = "sqlite:///"
_SCHEME: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+:(?://|$)")


@asynccontextmanager
async def open_store(
    store: str | os.PathLike[str] | Store | None, *, read_only: bool = False
) -> AsyncGenerator[Store, None]:
    """Open a store, and close it at the end if it was opened here and nothing else uses it.

    Args:
        store: A path or `sqlite:///path` of a file, which is created if it does not exist and
            needs the extra `hostup[store]`; None for memory; or a `Store`, which is lent.
        read_only: Only read from the file, which then need not be writable: nothing is created,
            and a run whose process was killed is shown as it left it.

    Raises:
        ConfigurationError: That does not name a store.
        StoreError: The store cannot be opened.

    Example:
        >>> async def show():
        ...     async with open_store("fleet.db") as store:
        ...         for run in await store.runs():
        ...             print(run.id, run.state, run.counts)
    """
    await _load_sql_for(store)
    found = find_store(store, read_only=read_only)
    users = _USERS.get(found, 0)
    if found.is_open and not users:  # it is closed where it was opened
        yield found
        return
    _USERS[found] = users + 1
    try:
        await found.open()
        yield found
    finally:
        others = _USERS.pop(found, 1) - 1  # gone in a child that was forked inside the block
        if others:
            _USERS[found] = others
        else:
            await found.aclose()


async def _load_sql_for(store: str | os.PathLike[str] | Store | None) -> None:
    """Import SQLAlchemy in a thread: it takes 0.4 s, in which the loop would stand still."""
    if store is None or isinstance(store, Store) or _SQL in sys.modules:
        return
    with suppress(ImportError):  # said by `find_store`, with what to install
        await anyio.to_thread.run_sync(import_module, _SQL)


def store_for(
    store: str | os.PathLike[str] | Store | None, origin: str, fingerprint: str
) -> str | os.PathLike[str] | Store:
    """What a run opens: None stands for the process's one memory store for an API and a key.

    So that two runs of one process see each other: what one holds, or acted on just now, the other
    leaves alone.
    """
    return MemoryStore.shared(origin, fingerprint) if store is None else store


def find_store(store: str | os.PathLike[str] | Store | None, *, read_only: bool = False) -> Store:
    """The store that `open_store` would open."""
    if store is None:
        return MemoryStore()
    if isinstance(store, Store):
        return store
    path = os.fspath(store)
    if path.startswith(_SQLITE):
        return _in_file(path.removeprefix(_SQLITE), read_only=read_only)
    if found := _SCHEME.match(path):
        msg = (  # the rest of the URL may hold a password
            f"A {found[0]}... URL does not name a store: name a file, as fleet.db or "
            "sqlite:///fleet.db, or pass None for memory."
        )
        raise ConfigurationError(msg)
    return _in_file(path, read_only=read_only)


def _in_file(path: str, *, read_only: bool) -> Store:
    try:
        import_module("aiosqlite")  # the driver, which SQLAlchemy loads too late to say so here
        from hostup_async._store.sql import (  # noqa: PLC0415 - an extra, and slow to import
            SqliteFile,
            SqlStore,
        )
    except ImportError as error:
        msg = "A store in a file needs more packages: pip install 'hostup[store]'."
        raise ConfigurationError(msg) from error
    return SqlStore(SqliteFile(path, read_only=read_only), read_only=read_only)
