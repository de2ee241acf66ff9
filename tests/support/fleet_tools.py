"""What the tests of the fleet share: runs in few words, and stores that know or fail."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from hostup_async import (
    Action,
    Client,
    Entry,
    FleetPolicy,
    FleetReport,
    Outcome,
    OutcomeStatus,
    StoreError,
)
from hostup_async._fleet.plan import PreflightWord
from hostup_async._models import ActionWord
from hostup_async._polling.durations import DurationModel as Learnt
from hostup_async._store.memory import MemoryStore
from hostup_async.sandbox import Books, SandboxHandle
from hostup_async.sandbox import Durations as Takes

# Longer than the 0.2 s to which `precise_uptime` knows uptimes, so that they show the reset.
SHOWS = Takes(median=0.3)
SOON = Takes(median=0.05)
NEVER = Takes(median=3600)


def learnt(took: float = 0.3) -> str:
    """What is known once fifty jobs have taken this many seconds."""
    durations = Learnt()
    for _ in range(50):
        durations.observe_end(took, took)
    return durations.to_json()


class KnowingStore(MemoryStore):
    """Knows from the start how many seconds jobs take, so that the first poll comes soon."""

    def __init__(self, took: float = 0.3) -> None:
        super().__init__()
        self._took = took

    async def load_durations(self, origin: str, action: Action) -> str | None:
        return await super().load_durations(origin, action) or learnt(self._took)


class FailingStore(KnowingStore):
    """Fails to save from the first entry that `is_last` on: the disk is full, say."""

    def __init__(self, is_last: Callable[[Entry], bool]) -> None:
        super().__init__()
        self.is_lost = False
        self._is_last = is_last

    async def save(self, run_id: str, entries: Sequence[Entry]) -> None:
        self.is_lost = self.is_lost or any(map(self._is_last, entries))
        if self.is_lost:
            msg = "The disk is full."
            raise StoreError(msg)
        await super().save(run_id, entries)


def quick(**settings: Any) -> FleetPolicy:
    """A policy whose evidence takes a fifth of a second."""
    return FleetPolicy(**{"evidence_interval": 0.2, **settings})


async def reset_all(
    client: Client,
    policy: FleetPolicy | None = None,
    store: Any = None,
    *,
    ids: Iterable[str] | None = None,
    preflight: PreflightWord = "none",
    action: Action | ActionWord = "reset",
) -> FleetReport:
    """A run of every VPS, or of some, to its end."""
    plan = await client.fleet.plan(ids=ids, all=ids is None, preflight=preflight, action=action)
    store = store or KnowingStore(0.1)
    async with client.fleet.run(plan, policy or quick(), store=store) as run:
        return await run.wait()


def statuses(outcomes: Iterable[Outcome]) -> list[OutcomeStatus]:
    return [outcome.status for outcome in outcomes]


def of(report: FleetReport, status: OutcomeStatus) -> list[Outcome]:
    return [outcome for outcome in report.outcomes if outcome.status is status]


def counts(report: FleetReport) -> dict[str, int]:
    """How many VPSes ended how, by plain words; 0 where none did."""
    return Counter({status.value: count for status, count in report.counts.items()})


def sent(books: Books, action: str = "reset") -> int:
    """How many actions the server was asked for."""
    return books.requests.get(action, 0)


def check_truth(outcomes: Iterable[Outcome], books: Books) -> None:
    """No VPS was reset twice, and none is called completed that was not reset, or the reverse."""
    assert books.reset_twice == ()
    for outcome in outcomes:
        done = books.resets.get(outcome.vps_id, 0)
        if outcome.status is OutcomeStatus.COMPLETED:
            assert done == 1, outcome
        if outcome.status is OutcomeStatus.NOT_DONE:
            assert done == 0, outcome
        if outcome.status in {OutcomeStatus.SKIPPED, OutcomeStatus.NOT_SENT}:
            assert outcome.vps_id not in books.accepted, outcome


async def until(happens: Callable[[], Any]) -> None:
    """Wait for something that must come; the test's own timeout bounds it."""
    while not happens():
        await asyncio.sleep(0.005)


async def seen(sandbox: SandboxHandle, kind: str, count: int = 1) -> None:
    """Wait until the server has had this many requests of a kind."""
    while (await sandbox.books()).requests.get(kind, 0) < count:
        await asyncio.sleep(0.005)
