"""What the tests of the stores share: records of few words, and a clock that is set by hand."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from hostup_async import Action, Entry, EntryState, RunRecord, Store
from hostup_async._store.owner import Owner
from hostup_async._store.sql import SqliteFile, SqlStore

ORIGIN = "https://api.example"
BEGAN = 1_800_000_000.0
OpenStore = Callable[..., Awaitable[Store]]


class Clock:
    """Seconds since the epoch, set by hand."""

    def __init__(self) -> None:
        self.now = BEGAN

    def __call__(self) -> float:
        return self.now


def in_file(path: Path, **options: Any) -> SqlStore:
    return SqlStore(SqliteFile(path), **options)


def elsewhere(nonce: str = "1") -> Owner:
    """An owner on another machine, of whom only the lease tells."""
    return Owner("faraway", "another boot", "pid:[1]", 4711, "99", nonce)


def a_run(run_id: str, **fields: Any) -> RunRecord:
    known: dict[str, Any] = {"action": Action.RESET, "origin": ORIGIN, "created_at": BEGAN}
    return RunRecord(id=run_id, **{**known, **fields})


def planned(*numbers: int) -> list[Entry]:
    return [Entry(f"vps_{number}", position) for position, number in enumerate(numbers)]


async def stored(store: Store, run_id: str) -> list[Entry]:
    return [entry async for entry in store.entries(run_id)]


def states(entries: list[Entry]) -> list[EntryState]:
    return [entry.state for entry in entries]
