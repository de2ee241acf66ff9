"""The store in an SQL database (extra `store`).

`store` is the protocol. `schema`, `queries` and `rows` know SQL, and `rows` the checksums; `lease`
says who may take a run, `held` keeps the leases of those held, and `loss` asks when the database
is opened whether it has all of its commits. `database` runs one transaction at a time, each to its
end, and `group_commit` makes many saves one of them. `sqlite` and `files` are what is particular
to SQLite.
"""

from hostup_async._store.sql.sqlite import SqliteFile
from hostup_async._store.sql.store import SqlStore

__all__ = ["SqlStore", "SqliteFile"]
