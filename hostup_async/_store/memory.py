"""A store in memory, which ends with its process."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Final

from attrs import define, evolve, field

from hostup_async import _clock
from hostup_async._models import Action
from hostup_async._store.base import (
    ABANDONED,
    Store,
    refuse_ended,
    refuse_unknown,
    run_exists,
    run_held_by,
    run_not_found,
    run_not_held,
    store_closed,
)
from hostup_async._store.conflicts import Conflicts
from hostup_async._store.records import AuditEvent, AuditRecord, Entry, RunRecord, RunState


@define
class _Run:
    record: RunRecord
    entries: dict[int, Entry]
    trail: list[AuditRecord] = field(factory=list[AuditRecord])
    is_held: bool = True

    def counted(self) -> RunRecord:
        counts = Counter(entry.state for entry in self.entries.values())
        return evolve(self.record, counts=dict(counts))

    def has(self, entry: Entry) -> bool:
        known = self.entries.get(entry.position)
        return known is not None and known.vps_id == entry.vps_id

    def put(self, entries: Iterable[Entry]) -> None:
        self.entries.update((entry.position, entry) for entry in entries)


class MemoryStore(Store):
    """A store in memory; it keeps its runs while it is closed.

    Args:
        clock: The time in seconds since the epoch; for tests.
    """

    def __init__(self, *, clock: Callable[[], float] | None = None) -> None:
        self._clock: Final = clock or _clock.wall
        self._runs: Final[dict[str, _Run]] = {}
        self._durations: Final[dict[tuple[str, Action], str]] = {}
        self._is_open = False

    def __repr__(self) -> str:
        return f"<MemoryStore of {len(self._runs)} runs>"

    @property
    def is_open(self) -> bool:
        return self._is_open

    async def open(self) -> None:
        self._is_open = True

    async def aclose(self) -> None:
        self._is_open = False
        for run in self._runs.values():
            run.is_held = False

    async def create(
        self, run: RunRecord, entries: Sequence[Entry], *, cooldown: float
    ) -> list[Entry]:
        self._check_open()
        conflicts = Conflicts(entries, cooldown=cooldown, now=self._clock())
        if run.id in self._runs:
            raise run_exists(run.id)
        for other in self._runs.values():
            if other.record.origin == run.origin:
                self._consider(conflicts, other)
        stored = conflicts.resolve(entries)
        record = evolve(run, state=RunState.RUNNING, finished_at=None)
        new = self._runs[run.id] = _Run(record, {entry.position: entry for entry in stored})
        self._note(new, AuditEvent.CREATED, run.who)
        return stored

    @staticmethod
    def _consider(conflicts: Conflicts, other: _Run) -> None:
        for entry in other.entries.values():
            conflicts.consider(entry, run_id=other.record.id, is_open=other.record.state.is_open)

    async def save(self, run_id: str, entries: Sequence[Entry]) -> None:
        run = self._ours(run_id)
        refuse_unknown(run_id, entries, sum(run.has(entry) for entry in entries))
        run.put(entries)

    async def acquire(self, run_id: str, *, who: str = "") -> RunRecord:
        run = self._free(run_id)
        before = run.counted()
        run.is_held = True
        run.record = evolve(run.record, state=RunState.RUNNING)
        self._note(run, AuditEvent.RESUMED, who)
        return before

    async def release(self, run_id: str, state: RunState, *, detail: str = "{}") -> None:
        run = self._ours(run_id)
        self._end(run, state)
        self._note(run, AuditEvent(state.value), run.record.who, detail)

    async def abandon(self, run_id: str, *, who: str = "", reason: str = "") -> RunRecord:
        run, now = self._free(run_id), self._clock()
        words = reason or ABANDONED
        run.put([entry.abandoned(words, now) for entry in run.entries.values()])
        self._end(run, RunState.ABANDONED)
        self._note(run, AuditEvent.ABANDONED, who, json.dumps({"reason": words}))
        return run.counted()

    async def run(self, run_id: str) -> RunRecord:
        return self._any(run_id).counted()

    async def runs(self, limit: int = 20) -> list[RunRecord]:
        self._check_open()
        newest = sorted(
            self._runs.values(),
            key=lambda run: (run.record.created_at, run.record.id),
            reverse=True,
        )
        return [evolve(run.counted(), plan="", policy="") for run in newest[:limit]]

    async def entries(self, run_id: str) -> AsyncIterator[Entry]:
        run = self._any(run_id)
        for position in sorted(run.entries):
            yield run.entries[position]

    async def note(
        self, run_id: str, what: AuditEvent | str, *, who: str = "", detail: str = "{}"
    ) -> None:
        self._note(self._any(run_id), what, who, detail)

    async def audit(self, run_id: str) -> list[AuditRecord]:
        return list(self._any(run_id).trail)

    async def load_durations(self, origin: str, action: Action) -> str | None:
        self._check_open()
        return self._durations.get((origin, action))

    async def save_durations(self, origin: str, action: Action, text: str) -> None:
        self._check_open()
        self._durations[origin, action] = text

    def _check_open(self) -> None:
        if not self._is_open:
            raise store_closed()

    def _any(self, run_id: str) -> _Run:
        self._check_open()
        run = self._runs.get(run_id)
        if run is None:
            raise run_not_found(run_id)
        return run

    def _ours(self, run_id: str) -> _Run:
        self._check_open()
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
        run.is_held = False

    def _note(self, run: _Run, what: AuditEvent | str, who: str, detail: str = "{}") -> None:
        run.trail.append(AuditRecord(run.record.id, self._clock(), who, what, detail))
