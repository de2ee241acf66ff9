"""Which VPSes a new run must leave alone: those that another run holds or acted on just now."""

import math
from collections.abc import Iterable, Sequence
from typing import Final

from hostup_async._errors import ConfigurationError
from hostup_async._store.records import UNSETTLED, UNTOUCHED, Entry, EntryState


class Conflicts:
    """Collects the conflicts of a new run with the entries of others.

    Args:
        entries: The entries of the new run.
        cooldown: Seconds for which a VPS is left alone after it was acted on.
        now: Seconds since the epoch.

    Raises:
        ConfigurationError: A VPS or a position is given twice.
    """

    def __init__(self, entries: Sequence[Entry], *, cooldown: float, now: float) -> None:
        _refuse_duplicates(entries)
        self.wanted: Final = {
            entry.vps_id for entry in entries if entry.state is EntryState.PLANNED
        }
        self._cooldown = cooldown
        self._now = now
        self._holders: dict[str, str] = {}
        self._last: dict[str, tuple[float, str]] = {}

    @property
    def since(self) -> float:
        """An action sent up to this moment is no longer a conflict."""
        return self._now - self._cooldown if self._cooldown > 0 else math.inf

    def consider(self, entry: Entry, *, run_id: str, is_open: bool) -> None:
        """Consider an entry of another run, which `is_open` if it can be resumed."""
        vps_id, sent_at = entry.vps_id, entry.sent_at
        if vps_id not in self.wanted:
            return
        if is_open and entry.state in UNSETTLED:
            self._holders[vps_id] = run_id
        elif sent_at is not None and sent_at > self.since and entry.state not in UNTOUCHED:
            self._last[vps_id] = max((sent_at, run_id), self._last.get(vps_id, (sent_at, run_id)))

    def resolve(self, entries: Iterable[Entry]) -> list[Entry]:
        """The entries, with those that have a conflict skipped."""
        return [self._resolved(entry) for entry in entries]

    def _resolved(self, entry: Entry) -> Entry:
        if entry.state is not EntryState.PLANNED:
            return entry
        if run_id := self._holders.get(entry.vps_id):
            return entry.skipped(f"run {run_id} holds this VPS: resume that run or abandon it")
        if last := self._last.get(entry.vps_id):
            return entry.skipped(self._too_soon(*last))
        return entry

    def _too_soon(self, sent_at: float, run_id: str) -> str:
        """Why it is too soon. A moment in the future (the clock was set back) counts as now."""
        age = max(0.0, self._now - sent_at)
        return (
            f"run {run_id} acted on this VPS {age:.0f} s ago, and the cooldown is "
            f"{self._cooldown:.0f} s: wait, or lower the cooldown"
        )


def _refuse_duplicates(entries: Sequence[Entry]) -> None:
    for name in ("vps_id", "position"):
        if len({getattr(entry, name) for entry in entries}) != len(entries):
            msg = f"A {name} is in the plan twice: give each VPS once, so that it is sent once."
            raise ConfigurationError(msg)
