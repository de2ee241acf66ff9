"""Tells the log and the client's listener when a run begins, stops sending, and ends."""

import logging
from collections.abc import Mapping
from typing import Final

from hostup_async._events import OnEvent, RunBegun, RunEnded, RunStopped, tell
from hostup_async._models import Action
from hostup_async._outcome import OutcomeStatus, StopCause

_LOGGER: Final = logging.getLogger("hostup.fleet")


class Announcer:
    """Announces what happens to one run as a whole.

    Args:
        run_id: The run.
        on_event: The client's listener.
    """

    def __init__(self, run_id: str, on_event: OnEvent | None) -> None:
        self._run_id: Final = run_id
        self._on_event: Final = on_event

    def begun(self, action: Action, total: int, *, is_resumed: bool) -> None:
        """It is recorded, and sends from now on."""
        begins = "goes on" if is_resumed else "begins"
        _LOGGER.info("Run %s %s: %s of %d VPSes", self._run_id, begins, action, total)
        tell(self._on_event, RunBegun(self._run_id, action, total, is_resumed))

    def stopped(self, cause: StopCause, reason: str) -> None:
        """It sends nothing more."""
        _LOGGER.info("Run %s sends nothing more: %s", self._run_id, reason)
        tell(self._on_event, RunStopped(self._run_id, cause, reason))

    def ended(
        self, counts: Mapping[OutcomeStatus, int], seconds: float, cause: StopCause | None
    ) -> None:
        """It is over in this process."""
        words = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
        _LOGGER.info("Run %s ended after %.1f s: %s", self._run_id, seconds, words)
        tell(self._on_event, RunEnded(self._run_id, counts, seconds, cause))
