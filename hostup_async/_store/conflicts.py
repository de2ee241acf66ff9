"""Which VPSes a new run must leave alone: those that another run holds or acted on just now."""

import math
from collections.abc import Iterable, Sequence
from typing import Final

from hostup_async._errors import ConfigurationError
from hostup_async._store.records import UNSETTLED, UNTOUCHED, Entry, EntryState


class Conflicts:
    """Collects the conflicts of a new run with the entries of others.

    How long ago a VPS was acted on is measured by the server's clock where both moments are known
    by it: machines' clocks differ, and can be set. Of each interval the end counts that makes the
    time shorter.

    Args:
        entries: The entries of the new run.
        cooldown: Seconds for which a VPS is left alone after it was acted on.
        now: Seconds since the epoch, by this machine's clock.
        server_now: By the server's clock, the earliest that now may be; None if unknown.

    Raises:
        ConfigurationError: A VPS or a position is given twice.
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        *,
        cooldown: float,
        now: float,
        server_now: float | None = None,
    ) -> None:
        _refuse_duplicates(entries)
        self.wanted: Final = {
            entry.vps_id for entry in entries if entry.state is EntryState.PLANNED
        }
        self._cooldown = cooldown
        self._now = now
        self._server_now = server_now
        self._holders: dict[str, str] = {}
        self._last: dict[str, tuple[float, str]] = {}

    @property
    def since(self) -> float:
        """By this machine's clock, what was sent up to this moment is no longer a conflict."""
        return self._now - self._cooldown if self._cooldown > 0 else math.inf

    @property
    def server_since(self) -> float:
        """By the server's clock, what was sent up to this moment is no longer a conflict."""
        if self._server_now is None or self._cooldown <= 0:
            return math.inf
        return self._server_now - self._cooldown

    def consider(self, entry: Entry, *, run_id: str, is_open: bool) -> None:
        """Consider an entry of another run, which `is_open` if it can be resumed."""
        vps_id = entry.vps_id
        if vps_id not in self.wanted:
            return
        if is_open and entry.state in UNSETTLED:
            self._holders[vps_id] = run_id
        elif entry.state not in UNTOUCHED:
            age = self._age(entry)
            if age < self._cooldown:
                self._last[vps_id] = min((age, run_id), self._last.get(vps_id, (age, run_id)))

    def _age(self, entry: Entry) -> float:
        """Seconds since an entry was sent, at least.

        A moment in the future counts as now: the clock was set back since.
        """
        if self._server_now is not None and entry.sent_server_high is not None:
            return max(0.0, self._server_now - entry.sent_server_high)
        return math.inf if entry.sent_at is None else max(0.0, self._now - entry.sent_at)

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

    def _too_soon(self, age: float, run_id: str) -> str:
        return (
            f"run {run_id} acted on this VPS {age:.0f} s ago, and the cooldown is "
            f"{self._cooldown:.0f} s: wait, or lower the cooldown"
        )


def _refuse_duplicates(entries: Sequence[Entry]) -> None:
    for name in ("vps_id", "position"):
        if len({getattr(entry, name) for entry in entries}) != len(entries):
            msg = f"A {name} is in the plan twice: give each VPS once, so that it is sent once."
            raise ConfigurationError(msg)
