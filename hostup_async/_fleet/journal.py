"""The entries of a run, in memory and in the store, and the stream of its outcomes."""

import asyncio
from array import array
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Final

from hostup_async import _clock
from hostup_async._errors import StoreError
from hostup_async._events import OnEvent, OutcomeKnown, tell
from hostup_async._outcome import Outcome
from hostup_async._store.base import Store
from hostup_async._store.records import Entry, EntryState


class Journal:
    """The entries of one run; the store has each before anything relies on it.

    Attributes:
        counts: How many entries are in which state.
    """

    def __init__(
        self, store: Store, run_id: str, entries: list[Entry], on_event: OnEvent | None = None
    ) -> None:
        self._store: Final = store
        self._run_id: Final = run_id
        self._on_event: Final = on_event
        self._entries: Final = entries
        self.counts: Final = Counter(entry.state for entry in entries)
        self._settled: Final = array("L")
        self._unsaved: Final[dict[int, Entry]] = {}
        self._changed = asyncio.Event()
        self._is_over = False
        for entry in entries:
            if entry.state.is_terminal:
                self._settle(entry)

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, position: int) -> Entry:
        return self._entries[position]

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def positions(self, *states: EntryState) -> Iterator[int]:
        """The positions of the entries in these states."""
        return (entry.position for entry in self._entries if entry.state in states)

    @property
    def send_window(self) -> float:
        """For how many seconds a saved intent entitles to its send; see `Store.send_window`."""
        return self._store.send_window

    async def put(self, entry: Entry) -> None:
        """Record what an entry has become.

        Raises:
            StoreError: The store does not have it; only this process knows.
        """
        if not entry.state.is_terminal:
            self.keep(entry)
        try:
            await self._store.save(self._run_id, [entry])
        except StoreError:
            self._unsaved[entry.position] = entry
            raise
        else:
            self._unsaved.pop(entry.position, None)
        finally:
            if entry.state.is_terminal:
                self.keep(entry)
                self._settle(entry)

    def keep(self, entry: Entry) -> None:
        """Note in memory alone what an entry has become."""
        before = self._entries[entry.position].state
        self._entries[entry.position] = entry
        self.counts[before] -= 1
        self.counts[entry.state] += 1

    async def catch_up(self) -> None:
        """Record the entries that the store could not take before.

        Raises:
            StoreError: It still cannot.
        """
        if self._unsaved:
            await self._store.save(self._run_id, list(self._unsaved.values()))

    def close(self, why: str) -> None:
        """End the stream; an entry without an outcome gets the one that it has if abandoned now.

        In the store it stays unsettled, so that the run can be resumed.
        """
        now = _clock.wall()
        for entry in list(self._entries):
            if not entry.state.is_terminal:
                left = entry.abandoned(entry.reason or why, now)
                self.keep(left)
                self._settle(left)
        self._is_over = True
        self._changed.set()

    async def outcomes(self) -> AsyncIterator[Outcome]:
        """Each outcome once, in the order in which they became known; ends with the run."""
        yielded = 0
        while True:
            while yielded < len(self._settled):
                yield self._outcome(self._settled[yielded])
                yielded += 1
            if self._is_over:
                return
            self._changed.clear()
            await self._changed.wait()

    def all_outcomes(self) -> list[Outcome]:
        """Every VPS's outcome, in the order of the plan."""
        return [entry.outcome() for entry in self._entries]

    def _outcome(self, position: int) -> Outcome:
        return self._entries[position].outcome()

    def _settle(self, entry: Entry) -> None:
        self._settled.append(entry.position)
        self._changed.set()
        if self._on_event is not None:
            known = OutcomeKnown(
                self._run_id,
                entry.outcome(),
                vps_id=entry.vps_id,
                attempt=entry.attempts,
                request_id=entry.request_ids[-1] if entry.request_ids else None,
            )
            tell(self._on_event, known)
