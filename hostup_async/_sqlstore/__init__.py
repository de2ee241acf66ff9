"""The store in an SQL database: one schema, whatever the engine. Needs the extra `store`."""

from hostup_async._sqlstore._sqlite import SqliteFile
from hostup_async._sqlstore._store import SqlStore

__all__ = ["SqlStore", "SqliteFile"]
