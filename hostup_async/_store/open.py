"""From what a user names to a store."""

import os
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Final

from hostup_async._errors import ConfigurationError
from hostup_async._store.base import Store
from hostup_async._store.memory import MemoryStore

_SQLITE: Final = "sqlite:///"
_SCHEME: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+:(?://|$)")


@asynccontextmanager
async def open_store(store: str | os.PathLike[str] | Store | None) -> AsyncGenerator[Store, None]:
    """A store that is open, from whatever names one; closed at the end, if it was opened here.

    Args:
        store: A path or `sqlite:///path` for a file, which needs the extra `hostup[store]` and
            is made where it does not exist; None for memory; or a store, which is lent.

    Raises:
        ConfigurationError: No store can be had from that.
        StoreError: It cannot be opened.

    Example:
        >>> async def show():
        ...     async with open_store("fleet.db") as store:
        ...         for run in await store.runs():
        ...             print(run.id, run.state, run.counts)
    """
    found = find_store(store)
    if found.is_open:
        yield found
        return
    async with found:
        yield found


def find_store(store: str | os.PathLike[str] | Store | None) -> Store:
    """The store that is named, as `open_store` reads it; not opened yet."""
    if store is None:
        return MemoryStore()
    if isinstance(store, Store):
        return store
    path = os.fspath(store)
    if path.startswith(_SQLITE):
        return _in_file(path.removeprefix(_SQLITE))
    if found := _SCHEME.match(path):
        msg = (  # what follows the scheme may hold a password
            f"No store can be had from a {found[0]}... URL: name a file, as fleet.db or "
            "sqlite:///fleet.db, or pass None for memory."
        )
        raise ConfigurationError(msg)
    return _in_file(path)


def _in_file(path: str) -> Store:
    try:
        import_module("aiosqlite")  # the driver, which SQLAlchemy loads too late to say so here
        from hostup_async._store.sql import (  # noqa: PLC0415 - an extra, and slow to import
            SqliteFile,
            SqlStore,
        )
    except ImportError as error:
        msg = "A store in a file needs more packages: pip install 'hostup[store]'."
        raise ConfigurationError(msg) from error
    return SqlStore(SqliteFile(path))
