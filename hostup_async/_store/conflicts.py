"""Why a VPS of a new run must be left alone: another run holds it, or it was acted on just now."""

import math
from collections.abc import Iterable, Sequence
from typing import Final

from hostup_async._errors import ConfigurationError
from hostup_async._store.records import UNSETTLED, UNTOUCHED, Entry, EntryState


class Conflicts:
    """Gathers what stands against the entries of a new run.

    Args:
        entries: The new run's.
        cooldown: How long a VPS is left alone after it was acted on, in seconds.
        now: Seconds since the epoch.

    Raises:
        ConfigurationError: A VPS or a position stands twice in the entries.
    """

    def __init__(self, entries: Sequence[Entry], *, cooldown: float, now: float) -> None:
        _refuse_twins(entries)
        self.wanted: Final = {
            entry.vps_id for entry in entries if entry.state is EntryState.PLANNED
        }
        self._cooldown = cooldown
        self._now = now
        self._holders: dict[str, str] = {}
        self._last: dict[str, tuple[float, str]] = {}

    @property
    def since(self) -> float:
        """What was sent up to this moment is no obstacle any more."""
        return self._now - self._cooldown if self._cooldown > 0 else math.inf

    def meet(self, entry: Entry, *, run_id: str, is_open: bool) -> None:
        """Take an entry of another run into account, and whether that run can be resumed."""
        vps_id, sent_at = entry.vps_id, entry.sent_at
        if vps_id not in self.wanted:
            return
        if is_open and entry.state in UNSETTLED:
            self._holders[vps_id] = run_id
        elif sent_at is not None and sent_at > self.since and entry.state not in UNTOUCHED:
            self._last[vps_id] = max((sent_at, run_id), self._last.get(vps_id, (sent_at, run_id)))

    def applied(self, entries: Iterable[Entry]) -> list[Entry]:
        """The entries, those with an obstacle skipped."""
        return [self._applied(entry) for entry in entries]

    def _applied(self, entry: Entry) -> Entry:
        if entry.state is not EntryState.PLANNED:
            return entry
        if run_id := self._holders.get(entry.vps_id):
            return entry.skipped(f"run {run_id} holds this VPS: resume that run or abandon it")
        if last := self._last.get(entry.vps_id):
            return entry.skipped(self._too_soon(*last))
        return entry

    def _too_soon(self, sent_at: float, run_id: str) -> str:
        """A moment yet to come was written before the clock was set back: it counts as now."""
        age = max(0.0, self._now - sent_at)
        return (
            f"run {run_id} acted on this VPS {age:.0f} s ago, and the cooldown is "
            f"{self._cooldown:.0f} s: wait, or lower the cooldown"
        )


def _refuse_twins(entries: Sequence[Entry]) -> None:
    for name in ("vps_id", "position"):
        if len({getattr(entry, name) for entry in entries}) != len(entries):
            msg = f"A {name} stands twice in the plan: give each VPS once, so that it is sent once."
            raise ConfigurationError(msg)
