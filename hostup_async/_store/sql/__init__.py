"""The store in an SQL database (extra `store`).

`schema`, `queries` and `rows` know SQL; `database` runs one transaction at a time, each to its end;
`group_commit` makes many saves one commit; `sqlite` is all that is particular to SQLite; `store` is
the protocol.
"""

from hostup_async._store.sql.sqlite import SqliteFile
from hostup_async._store.sql.store import SqlStore

__all__ = ["SqlStore", "SqliteFile"]
