"""The audit trail of a run: its pauses, written while it goes on, and what had ended at a stop."""

import json
import logging
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from hostup_async import _clock
from hostup_async._cancellation import steady
from hostup_async._errors import HostUpError
from hostup_async._events import Paused
from hostup_async._store.base import Store
from hostup_async._store.owner import whoami
from hostup_async._store.records import AuditEvent, AuditRecord, Entry, RunRecord, RunState

if TYPE_CHECKING:
    from asyncio import Task

_LOGGER: Final = logging.getLogger("hostup.fleet")


class AuditTrail:
    """Adds lines to a run's audit trail; one that the store cannot take is logged, and no error.

    Args:
        store: Where the run is recorded.
        run_id: The run.

    Attributes:
        added: How many lines it was given.
    """

    def __init__(self, store: Store, run_id: str) -> None:
        self._store: Final = store
        self._run_id: Final = run_id
        self._lines: Final = deque[tuple[AuditEvent, dict[str, Any]]]()
        self._task: Task[None] | None = None
        self._is_closed = False
        self.added = 0

    @property
    def is_written(self) -> bool:
        """Whether the store has every line, or could not take it."""
        return not self._lines and (self._task is None or self._task.done())

    def paused(self, reason: str | None) -> None:
        """The operator has the run send nothing for now."""
        self._add(AuditEvent.PAUSED, {"why": reason} if reason else {})

    def unpaused(self) -> None:
        """The operator lets the run go on."""
        self._add(AuditEvent.UNPAUSED, {})

    def rate_limited(self, pause: Paused) -> None:
        """A 429 makes everyone wait: until `until`, in seconds since the epoch."""
        until = _clock.wall() + pause.seconds
        self._add(AuditEvent.RATE_LIMITED, {"seconds": pause.seconds, "until": until})

    async def close(self) -> None:
        """Wait until every line is written; what comes later belongs to no run."""
        self._is_closed = True
        if self._task is not None:
            await self._task

    def _add(self, what: AuditEvent, detail: dict[str, Any]) -> None:
        if self._is_closed:
            return
        self.added += 1
        self._lines.append((what, detail))
        if self._task is None or self._task.done():
            self._task = steady(self._write())

    async def _write(self) -> None:
        while self._lines:
            what, detail = self._lines.popleft()
            try:
                await self._store.note(self._run_id, what, who=whoami(), detail=json.dumps(detail))
            except HostUpError as error:
                _LOGGER.warning("%s of run %s was not recorded: %s", what, self._run_id, error)


def ended_positions(entries: Iterable[Entry]) -> str:
    """The positions of the entries that have ended, for the trail: such as "0-41, 43-43"."""
    ranges: list[list[int]] = []
    for entry in entries:
        if not entry.state.is_terminal:
            continue
        if ranges and ranges[-1][1] == entry.position - 1:
            ranges[-1][1] = entry.position
        else:
            ranges.append([entry.position, entry.position])
    return ", ".join(f"{first}-{last}" for first, last in ranges)


async def counted_entries(store: Store, run: RunRecord, entries: list[Entry]) -> Iterator[Entry]:
    """The entries that count for a resumed run's bounds: those that had not ended at its last stop.

    After a crash that is the stop before it, if there was one: what has ended since then counts.
    """
    positions = ended_positions(entries)
    if run.state is RunState.RUNNING:
        positions = _ended_at_last_stop(await store.audit(run.id))
    ended = set(_parse_positions(positions))
    return (entry for entry in entries if entry.position not in ended)


def _ended_at_last_stop(trail: list[AuditRecord]) -> str:
    stops = [line for line in trail if line.what is AuditEvent.STOPPED]
    positions: str = json.loads(stops[-1].detail).get("ended", "") if stops else ""
    return positions


def _parse_positions(text: str) -> Iterator[int]:
    for part in filter(None, text.split(", ")):
        first, last = part.split("-")
        yield from range(int(first), int(last) + 1)
