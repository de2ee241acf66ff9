"""The tables and their version, the same on every engine."""

from typing import Final

from sqlalchemy import (
    Column,
    Connection,
    Float,
    ForeignKey,
    Integer,
    MetaData,
    Table,
    Text,
    insert,
    inspect,
    select,
    update,
)

from hostup_async._errors import StoreError

VERSION: Final = 1
metadata: Final = MetaData()

# One row. A transaction that must exclude other writers updates it first: that makes them wait on
# every engine.
store: Final = Table(
    "hostup_store",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("version", Integer, nullable=False),
)

runs: Final = Table(
    "hostup_runs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("action", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("plan_hash", Text, nullable=False),
    Column("plan", Text, nullable=False),
    Column("policy", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("reason", Text),
    Column("created_at", Float(53), nullable=False),
    Column("finished_at", Float(53)),
    Column("state", Text, nullable=False),
    Column("counts", Text),  # JSON, once it is released
    Column("last_sent_at", Float(53)),  # the latest of its entries, once it is released
    Column("owner", Text),
    Column("lease_until", Float(53)),
)

# No index but the key: a save touches one page, and a query across runs reads only the few that
# are open or ended within a cooldown.
entries: Final = Table(
    "hostup_entries",
    metadata,
    Column("run_id", Text, ForeignKey(runs.c.id), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("vps_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("job_id", Text),
    Column("poll_url", Text),
    Column("request_ids", Text),  # JSON
    Column("attempts", Integer, nullable=False),
    Column("sent_at", Float(53)),
    Column("accepted_at", Float(53)),
    Column("finished_at", Float(53)),
    Column("evidence", Text),
    sqlite_with_rowid=False,
)

audit: Final = Table(
    "hostup_audit",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", Text, ForeignKey(runs.c.id), nullable=False, index=True),
    Column("at", Float(53), nullable=False),
    Column("who", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("detail", Text, nullable=False),
)

durations: Final = Table(
    "hostup_durations",
    metadata,
    Column("origin", Text, primary_key=True),
    Column("action", Text, primary_key=True),
    Column("text", Text, nullable=False),
)

LOCK: Final = update(store).values(version=store.c.version)


def is_ready(connection: Connection) -> bool:
    """Whether the tables exist; refuses those of another version.

    Raises:
        StoreError: The tables are of a newer version, or the version's row is gone.
    """
    if not inspect(connection).has_table(store.name):
        return False
    version = connection.execute(select(store.c.version)).scalar()
    if version is None or version > VERSION:
        found = "no version" if version is None else f"version {version}"
        msg = (
            f"The store's tables are of {found}, and this hostup knows version {VERSION}: "
            "upgrade hostup, or use another store."
        )
        raise StoreError(msg)
    return True


def create(connection: Connection) -> None:
    """Create the tables; harmless where another process has created them meanwhile."""
    metadata.create_all(connection)
    if connection.execute(select(store.c.version)).scalar() is None:
        connection.execute(insert(store).values(id=1, version=VERSION))
