"""A store in memory, which ends with its process."""

import asyncio
import json
import os
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import ClassVar, Final

from attrs import define, evolve, field

from hostup_async import _clock
from hostup_async._errors import StoreError
from hostup_async._fork import lock_for_forks
from hostup_async._store.base import (
    ABANDONED,
    Store,
    refuse_ended,
    refuse_unknown,
    refuse_unsettled,
    run_exists,
    run_held_by,
    run_not_found,
    run_not_held,
    store_closed,
)
from hostup_async._store.conflicts import Conflicts
from hostup_async._store.records import (
    FOLLOWABLE,
    UNTOUCHED,
    AuditEvent,
    AuditRecord,
    Entry,
    LearntRecord,
    RunRecord,
    RunState,
    changed_members,
    policy_detail,
)

# Of the runs that have ended, the newest stay: as many as a person may look back at, and with
# entries for less than 100 MB.
KEPT_RUNS: Final = 100
KEPT_ENTRIES: Final = 100_000


@define
class _Run:
    record: RunRecord
    entries: dict[int, Entry]
    trail: list[AuditRecord] = field(factory=list[AuditRecord])
    loop: asyncio.AbstractEventLoop | None = field(factory=asyncio.get_running_loop)
    """The event loop of its holder; None while it is not held."""

    @property
    def is_held(self) -> bool:
        """Whether its holder can still go on: a loop that was closed cannot."""
        return self.loop is not None and not self.loop.is_closed()

    def counted(self) -> RunRecord:
        counts = Counter(entry.state for entry in self.entries.values())
        holder = "this client" if self.is_held else None
        return evolve(self.record, counts=dict(counts), holder=holder)

    def has(self, entry: Entry) -> bool:
        known = self.entries.get(entry.position)
        return known is not None and known.vps_id == entry.vps_id

    def put(self, entries: Iterable[Entry]) -> None:
        self.entries.update((entry.position, entry) for entry in entries)


class MemoryStore(Store):
    """A store in memory, for all threads of a process; it keeps its runs while it is closed.

    Runs that have ended are forgotten beyond `KEPT_RUNS` or `KEPT_ENTRIES`; when each of their
    VPSes was last acted on is kept, for the cooldown. A forked child begins with an empty store.

    Args:
        clock: The time in seconds since the epoch; for tests.
    """

    _shared: ClassVar[dict[tuple[str, str], "MemoryStore"]] = {}
    _shared_lock = threading.Lock()
    # Held while the process forks, so that no thread of the parent's holds it in the child.
    os.register_at_fork(before=_shared_lock.acquire, after_in_parent=_shared_lock.release)
    os.register_at_fork(after_in_child=_shared.clear)
    os.register_at_fork(after_in_child=_shared_lock.release)

    def __init__(self, *, clock: Callable[[], float] | None = None) -> None:
        self._clock: Final = clock or _clock.wall
        self._runs: Final[dict[str, _Run]] = {}  # in the order of creation
        self._acted_on: Final[dict[tuple[str, str], tuple[str, Entry]]] = {}
        self._learnt: Final[dict[tuple[str, str, str], LearntRecord]] = {}
        self._lock: Final = lock_for_forks(self)
        self._pid: int | None = None

    @classmethod
    def shared(cls, origin: str, fingerprint: str) -> "MemoryStore":
        """The process's one store for an API and a key, which is always open."""
        with cls._shared_lock:
            store = cls._shared.get((origin, fingerprint))
            if store is None:
                store = cls._shared[origin, fingerprint] = cls()
                store._pid = os.getpid()
            return store

    def __repr__(self) -> str:
        return f"<MemoryStore of {len(self._runs)} runs>"

    @property
    def is_open(self) -> bool:
        return self._pid == os.getpid()

    async def open(self) -> None:
        if self._pid is not None and not self.is_open:  # the runs are the parent's
            for known in (self._runs, self._acted_on, self._learnt):
                known.clear()
        self._pid = os.getpid()

    async def aclose(self) -> None:
        if self.is_open:
            with self._using():
                self._pid = None
                for run in self._runs.values():
                    run.loop = None

    async def create(
        self,
        run: RunRecord,
        entries: Sequence[Entry],
        *,
        cooldown: float,
        server_now: float | None = None,
    ) -> list[Entry]:
        now = self._clock()
        conflicts = Conflicts(entries, cooldown=cooldown, now=now, server_now=server_now)
        with self._using():
            if run.id in self._runs:
                raise run_exists(run.id)
            self._find_conflicts(run.origin, conflicts)
            stored = conflicts.resolve(entries)
            record = evolve(run, state=RunState.RUNNING, finished_at=None, possible_loss=None)
            new = self._runs[run.id] = _Run(record, {entry.position: entry for entry in stored})
            self._note(new, AuditEvent.CREATED, run.who)
            return stored

    def _find_conflicts(self, origin: str, conflicts: Conflicts) -> None:
        for vps_id in conflicts.wanted:
            if last := self._acted_on.get((origin, vps_id)):
                conflicts.consider(last[1], run_id=last[0], is_open=False)
        for run in self._runs.values():
            if run.record.origin == origin:
                is_open = run.record.state.is_open
                for entry in run.entries.values():
                    conflicts.consider(entry, run_id=run.record.id, is_open=is_open)

    async def find_conflicts(
        self,
        origin: str,
        entries: Sequence[Entry],
        *,
        cooldown: float,
        server_now: float | None = None,
    ) -> list[Entry]:
        now = self._clock()
        conflicts = Conflicts(entries, cooldown=cooldown, now=now, server_now=server_now)
        with self._using():
            self._find_conflicts(origin, conflicts)
        return conflicts.resolve(entries)

    async def save(self, run_id: str, entries: Sequence[Entry]) -> None:
        with self._using():
            run = self._ours(run_id)
            refuse_unknown(run_id, entries, sum(run.has(entry) for entry in entries))
            run.put(entries)

    def holds(self, run_id: str) -> bool:
        run = self._runs.get(run_id)
        return self.is_open and run is not None and run.is_held

    async def wait_until_lost(self, run_id: str) -> StoreError:
        with self._using():
            self._ours(run_id)
        never: asyncio.Future[StoreError] = asyncio.get_running_loop().create_future()
        return await never  # no other process can take it

    async def acquire(self, run_id: str, *, who: str = "", policy: str | None = None) -> RunRecord:
        with self._using():
            run = self._free(run_id)
            before = run.counted()
            run.loop = asyncio.get_running_loop()
            run.record = evolve(run.record, state=RunState.RUNNING)
            changes = changed_members(before.policy, policy)
            if policy is not None and changes:
                run.record = evolve(run.record, policy=policy)
            self._note(run, AuditEvent.RESUMED, who, policy_detail(changes))
            return before

    async def release(self, run_id: str, state: RunState, *, detail: str = "{}") -> None:
        with self._using():
            run = self._ours(run_id)
            self._note(run, AuditEvent(state.value), run.record.who, detail)
            self._end(run, state)

    async def settle(self, run_id: str, entries: Sequence[Entry]) -> list[Entry]:
        refuse_unsettled(run_id, entries)
        with self._using():
            run = self._any(run_id)
            if run.is_held:
                raise run_held_by(run_id, "this client")
            refuse_unknown(run_id, entries, sum(run.has(entry) for entry in entries))
            open_ones = [one for one in entries if run.entries[one.position].state in FOLLOWABLE]
            run.put(open_ones)
            return open_ones

    async def abandon(self, run_id: str, *, who: str = "", reason: str = "") -> RunRecord:
        words = reason or ABANDONED
        with self._using():
            run, now = self._free(run_id), self._clock()
            run.put([entry.abandoned(words, now) for entry in run.entries.values()])
            self._note(run, AuditEvent.ABANDONED, who, json.dumps({"reason": words}))
            self._end(run, RunState.ABANDONED)
            return run.counted()

    async def run(self, run_id: str) -> RunRecord:
        with self._using():
            return self._any(run_id).counted()

    async def runs(self, limit: int = 20) -> list[RunRecord]:
        with self._using():
            newest = [*self._runs.values()][::-1][:limit]
            return [evolve(run.counted(), plan="", policy="") for run in newest]

    async def entries(self, run_id: str) -> AsyncIterator[Entry]:
        with self._using():
            entries = dict(self._any(run_id).entries)
        for position in sorted(entries):
            yield entries[position]

    async def note(
        self, run_id: str, what: AuditEvent | str, *, who: str = "", detail: str = "{}"
    ) -> None:
        with self._using():
            self._note(self._any(run_id), what, who, detail)

    async def audit(self, run_id: str) -> list[AuditRecord]:
        with self._using():
            return list(self._any(run_id).trail)

    async def learnt(
        self, origin: str | None = None, fingerprint: str | None = None
    ) -> list[LearntRecord]:
        with self._using():
            wanted = (self._learnt[key] for key in sorted(self._learnt))
            return [one for one in wanted if one.is_about(origin, fingerprint)]

    async def learn(self, records: Sequence[LearntRecord]) -> None:
        with self._using():
            self._learnt.update({(one.origin, one.fingerprint, one.what): one for one in records})

    async def forget(self, origin: str | None = None, fingerprint: str | None = None) -> int:
        with self._using():
            known = self._learnt.items()
            gone = [key for key, one in known if one.is_about(origin, fingerprint)]
            for key in gone:
                del self._learnt[key]
            return len(gone)

    @contextmanager
    def _using(self) -> Generator[None, None, None]:
        """Around each call: in this process alone, and one thread after the other."""
        if self._pid is None:
            raise store_closed()
        if not self.is_open:
            msg = "This store in memory was opened before a fork: open it in this process."
            raise StoreError(msg)
        with self._lock:
            yield

    def _any(self, run_id: str) -> _Run:
        run = self._runs.get(run_id)
        if run is None:
            raise run_not_found(run_id)
        return run

    def _ours(self, run_id: str) -> _Run:
        run = self._runs.get(run_id)
        if run is None or not run.is_held:
            raise run_not_held(run_id)
        return run

    def _free(self, run_id: str) -> _Run:
        run = self._any(run_id)
        refuse_ended(run_id, run.record.state)
        if run.is_held:
            raise run_held_by(run_id, "this client")
        return run

    def _end(self, run: _Run, state: RunState) -> None:
        finished_at = None if state.is_open else self._clock()
        run.record = evolve(run.record, state=state, finished_at=finished_at)
        run.loop = None
        self._forget_ended()

    def _forget_ended(self) -> None:
        ended = [run for run in self._runs.values() if not run.record.state.is_open]
        size = sum(len(run.entries) for run in ended)
        for left, run in zip(range(len(ended), 1, -1), ended, strict=False):
            if left <= KEPT_RUNS and size <= KEPT_ENTRIES:
                return
            size -= len(run.entries)
            del self._runs[run.record.id]
            for entry in run.entries.values():
                if entry.sent_at is not None and entry.state not in UNTOUCHED:
                    self._acted_on[run.record.origin, entry.vps_id] = run.record.id, entry

    def _note(self, run: _Run, what: AuditEvent | str, who: str, detail: str = "{}") -> None:
        run.trail.append(AuditRecord(run.record.id, self._clock(), who, what, detail))
