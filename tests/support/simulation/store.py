"""A store on a disk that several simulated processes share; what was committed survives a crash.

Each call waits, takes effect as a whole, and waits again before it returns: a process that is
killed during the first wait has recorded nothing, and during the second one it has, without
knowing. That is the durable prefix of what it meant to record.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, Final, Protocol, TypeVar

from hostup_async import Entry, RunRecord, Store, StoreError
from hostup_async._outcome import OutcomeStatus
from hostup_async._store.base import run_held_by, run_not_held
from hostup_async._store.memory import MemoryStore
from hostup_async._store.records import AuditEvent, AuditRecord, EntryState, LearntRecord, RunState
from simulation.chance import Chance
from simulation.loop import PROCESS, Process

LEASE: Final = 30.0
HEARTBEAT: Final = 10.0
# The share of calls for which the disk takes seconds.
_SLOW: Final = 0.01
# The states of which a policy's bounds count how many there are.
_COUNTED: Final = frozenset({
    EntryState.FAILED, EntryState.REFUSED, EntryState.TIMED_OUT, EntryState.AMBIGUOUS,
    EntryState.NOT_DONE,
})  # fmt: skip
T = TypeVar("T")


class HasTime(Protocol):
    """Where virtual time passes."""

    @property
    def now(self) -> float: ...


class Disk:
    """What is durable: the runs, and who holds each, until when."""

    def __init__(self, loop: HasTime, chance: Chance, *, is_quick: bool = False) -> None:
        self.loop: Final[HasTime] = loop
        self.is_quick: Final = is_quick
        self.chance: Final = chance
        self.runs: Final = MemoryStore(clock=lambda: 0.0)
        self.on_intent: Callable[[Process], None] = lambda _: None
        self.holders: Final[dict[str, tuple[SimulatedStore, float]]] = {}
        self.settled_at: Final[dict[tuple[str, int], float]] = {}
        self._positions: Final[dict[str, dict[str, int]]] = {}

    def is_held_by(self, run_id: str, process: Process) -> bool:
        store, until = self.holders.get(run_id, (None, 0.0))
        return store is not None and store.process is process and until >= self.loop.now

    def entry_of(self, run_id: str, vps_id: str) -> Entry | None:
        run = self.runs._runs.get(run_id)
        if run is None:
            return None
        if run_id not in self._positions:
            positions = {entry.vps_id: place for place, entry in run.entries.items()}
            self._positions[run_id] = positions
        place = self._positions[run_id].get(vps_id)
        return None if place is None else run.entries[place]

    def outcomes(self, run_id: str, before: float) -> list[OutcomeStatus]:
        """What the policy's bounds count and was recorded before a moment."""
        entries = self.runs._runs[run_id].entries
        known = [
            (entries[place].state, at)
            for (run, place), at in self.settled_at.items()
            if run == run_id
        ]
        return [
            OutcomeStatus(state.value) for state, at in known if at < before and state in _COUNTED
        ]

    def count(self, run_id: str, *states: str) -> int:
        run = self.runs._runs.get(run_id)
        return sum(one.state in states for one in run.entries.values()) if run is not None else 0


class SimulatedStore(Store):
    """The store as one process sees it."""

    def __init__(self, disk: Disk, process: Process) -> None:
        self.process: Final = process
        self._disk: Final = disk
        self._held: Final = set[str]()
        self._lost: Final[dict[str, asyncio.Future[Any]]] = {}
        self._is_open = False
        self._waits = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        return self._is_open

    @property
    def send_window(self) -> float:
        return LEASE

    async def open(self) -> None:
        await self._disk.runs.open()
        self._is_open = True
        self._beat()

    async def aclose(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for run_id in list(self._held):
            self._give_up(run_id)
        self._is_open = False

    async def create(
        self,
        run: RunRecord,
        entries: Sequence[Entry],
        *,
        cooldown: float,
        server_now: float | None = None,
    ) -> list[Entry]:
        await self._wait()
        self._disk.runs._clock = self._wall  # type: ignore[misc]
        stored = await self._disk.runs.create(
            run, entries, cooldown=cooldown, server_now=server_now
        )
        self._take(run.id)
        await self._wait()
        return stored

    async def find_conflicts(
        self,
        origin: str,
        entries: Sequence[Entry],
        *,
        cooldown: float,
        server_now: float | None = None,
    ) -> list[Entry]:
        return await self._disk.runs.find_conflicts(
            origin, entries, cooldown=cooldown, server_now=server_now
        )

    async def settle(self, run_id: str, entries: Sequence[Entry]) -> list[Entry]:
        await self._wait()
        self._free(run_id)
        return await self._disk.runs.settle(run_id, entries)

    async def save(self, run_id: str, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if entry.state is EntryState.INTENT:
                self.process.saving[entry.vps_id] = self._disk.loop.now
        await self._commit(run_id, lambda: self._save(run_id, entries))

    async def acquire(self, run_id: str, *, who: str = "", policy: str | None = None) -> RunRecord:
        await self._wait()
        self._free(run_id)
        record = await self._disk.runs.acquire(run_id, who=who, policy=policy)
        self._take(run_id)
        await self._wait()
        return record

    async def release(self, run_id: str, state: RunState, *, detail: str = "{}") -> None:
        await self._commit(run_id, lambda: self._disk.runs.release(run_id, state, detail=detail))
        self._held.discard(run_id)
        self._disk.holders.pop(run_id, None)

    async def abandon(self, run_id: str, *, who: str = "", reason: str = "") -> RunRecord:
        await self._wait()
        self._free(run_id)
        record = await self._disk.runs.abandon(run_id, who=who, reason=reason)
        await self._wait()
        return record

    async def run(self, run_id: str) -> RunRecord:
        return await self._disk.runs.run(run_id)

    async def runs(self, limit: int = 20) -> list[RunRecord]:
        return await self._disk.runs.runs(limit)

    async def entries(self, run_id: str) -> AsyncIterator[Entry]:
        async for entry in self._disk.runs.entries(run_id):
            yield entry

    async def note(
        self, run_id: str, what: AuditEvent | str, *, who: str = "", detail: str = "{}"
    ) -> None:
        await self._wait()
        await self._disk.runs.note(run_id, what, who=who, detail=detail)

    async def audit(self, run_id: str) -> list[AuditRecord]:
        return await self._disk.runs.audit(run_id)

    async def learnt(
        self, origin: str | None = None, fingerprint: str | None = None
    ) -> list[LearntRecord]:
        return await self._disk.runs.learnt(origin, fingerprint)

    async def learn(self, records: Sequence[LearntRecord]) -> None:
        await self._disk.runs.learn(records)

    async def forget(self, origin: str | None = None, fingerprint: str | None = None) -> int:
        return await self._disk.runs.forget(origin, fingerprint)

    def holds(self, run_id: str) -> bool:
        """As far as it knows."""
        return run_id in self._held

    async def wait_until_lost(self, run_id: str) -> StoreError:
        """Wait until a heartbeat finds that another process has the run."""
        if run_id not in self._held:
            raise run_not_held(run_id)
        lost = self._lost.setdefault(run_id, asyncio.get_running_loop().create_future())
        await asyncio.shield(lost)
        return run_not_held(run_id)

    async def _commit(self, run_id: str, change: Callable[[], Coroutine[Any, Any, T]]) -> T:
        await self._wait()
        self._renew(run_id)
        self._disk.runs._clock = self._wall  # type: ignore[misc]
        result = await change()
        await self._wait()
        return result

    async def _save(self, run_id: str, entries: Sequence[Entry]) -> None:
        await self._disk.runs.save(run_id, entries)
        for entry in entries:
            if entry.state in _COUNTED:
                self._disk.settled_at[run_id, entry.position] = self._disk.loop.now
        if any(entry.state is EntryState.INTENT for entry in entries):
            self._disk.on_intent(self.process)

    async def _wait(self) -> None:
        if self._disk.is_quick:
            return await asyncio.sleep(0)
        self._waits += 1
        share = self._disk.chance.draw_once(f"disk {self.process.name} {self._waits}")
        is_slow = share < _SLOW and self._disk.chance.happens("slow_disk", str(self._waits))
        return await asyncio.sleep(2.0 * share / _SLOW if is_slow else 0.004 * share)

    def _wall(self) -> float:
        return self.process.wall(self._disk.loop.now)

    def _free(self, run_id: str) -> None:
        """Let the run go whose holder's lease is over, as the store in a file would."""
        store, until = self._disk.holders.get(run_id, (None, 0.0))
        if store is not None and store is not self and until >= self._disk.loop.now:
            raise run_held_by(run_id, store.process.name)
        if store is not None and store is not self:
            self._disk.chance.reached("lease taken over")
        let_go(self._disk.runs, run_id)

    def _take(self, run_id: str) -> None:
        self._held.add(run_id)
        self._disk.holders[run_id] = (self, self._disk.loop.now + LEASE)

    def _renew(self, run_id: str) -> None:
        store, _ = self._disk.holders.get(run_id, (None, 0.0))
        if store is not self:
            self._held.discard(run_id)
            if run_id in self._lost and not self._lost[run_id].done():
                self._lost[run_id].set_result(None)
            raise run_not_held(run_id)
        self._take(run_id)

    def _give_up(self, run_id: str) -> None:
        self._held.discard(run_id)
        store, _ = self._disk.holders.get(run_id, (None, 0.0))
        if store is self:
            del self._disk.holders[run_id]
            let_go(self._disk.runs, run_id)

    def _beat(self) -> None:
        """Renew the leases; a process that stands still does not."""
        for run_id in list(self._held):
            store, _ = self._disk.holders.get(run_id, (None, 0.0))
            if store is self:
                self._take(run_id)
            elif run_id in self._lost and not self._lost[run_id].done():
                self._lost[run_id].set_result(None)
        self._timer = asyncio.get_running_loop().call_later(HEARTBEAT, self._beat)


def memory_of_each_process() -> Callable[[str, str], MemoryStore]:
    """`MemoryStore.shared` for processes that are simulated: none knows what another one learnt."""
    stores: dict[object, MemoryStore] = {}

    def shared(origin: str, fingerprint: str) -> MemoryStore:
        key = PROCESS.get(), origin, fingerprint
        if key not in stores:
            stores[key] = MemoryStore()
            stores[key]._pid = os.getpid()  # it is open
        return stores[key]

    return shared


def let_go(runs: MemoryStore, run_id: str) -> None:
    """Have the memory store think that its run is not held: the leases are ours."""
    run = runs._runs.get(run_id)
    if run is not None:
        run.loop = None
