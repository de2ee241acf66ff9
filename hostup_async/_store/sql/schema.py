"""The tables and their version, the same on every engine."""

from typing import Final

from sqlalchemy import (
    BigInteger,
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
)

from hostup_async._errors import StoreError

VERSION: Final = 3
metadata: Final = MetaData()

# One row. A transaction that must exclude other writers updates it first: that makes them wait on
# every engine.
store: Final = Table(
    "hostup_store",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("place", Text),  # where the database was when it was last opened
    Column("written_at", Float(53)),
)

runs: Final = Table(
    "hostup_runs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("sequence", Integer, nullable=False),  # the order of creation
    Column("action", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("plan_hash", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("reason", Text),
    Column("created_at", Float(53), nullable=False),
    Column("created_server_low", Float(53)),
    Column("finished_at", Float(53)),
    Column("state", Text, nullable=False),
    Column("size", Integer, nullable=False),  # how many entries it has
    Column("counts", Text),  # JSON, once it is released
    Column("last_sent_at", Float(53)),  # the latest of its entries, once it is released
    Column("last_sent_server", Float(53)),  # the same, of `sent_server_high`
    Column("possible_loss", Text),
    Column("texts_checksum", BigInteger, nullable=False),  # of plan and policy
    Column("checksum", BigInteger, nullable=False),  # of the columns above but the key's owner
    # Who holds it. The lease is measured by `_clock.boot` of the owner's machine, and shown to
    # other machines by the number of heartbeats.
    Column("owner", Text),
    Column("lease", Float(53)),
    Column("beats", BigInteger, nullable=False),
    Column("renewed_at", Float(53)),
    Column("written_at", Float(53)),  # seconds since the epoch
    # The long ones come last, so that reading the others does not pass through their pages.
    Column("plan", Text, nullable=False),
    Column("policy", Text, nullable=False),
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
    Column("sent_server_low", Float(53)),
    Column("sent_server_high", Float(53)),
    Column("checksum", BigInteger, nullable=False),  # of the other columns
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


def is_ready(connection: Connection) -> bool:
    """Whether the tables exist; refuses those of another version.

    Raises:
        StoreError: The tables are of another version, or the version's row is gone.
    """
    if not inspect(connection).has_table(store.name):
        return False
    version = connection.execute(select(store.c.version)).scalar()
    if version != VERSION:
        found = "no version" if version is None else f"version {version}"
        msg = (
            f"The store's tables are of {found}, and this hostup knows version {VERSION}: use the "
            "hostup that made them, or another store."
        )
        raise StoreError(msg)
    return True


def create(connection: Connection) -> None:
    """Create the tables; harmless where another process has created them meanwhile."""
    metadata.create_all(connection)
    if connection.execute(select(store.c.version)).scalar() is None:
        connection.execute(insert(store).values(id=1, version=VERSION))
