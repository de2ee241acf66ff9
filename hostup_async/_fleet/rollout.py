"""Whether one more may be sent: canary, ramp and failure budgets. Pure."""

from collections.abc import Callable, Iterable
from math import inf
from typing import Final

from hostup_async._fleet.policy import FleetPolicy
from hostup_async._outcome import OutcomeStatus, StopCause
from hostup_async._store.records import Entry

_FIRST_STEP: Final = 2  # VPSes sent at once after the canaries; each further step doubles


class Rollout:
    """What has been sent and what is known of it, step by step.

    Args:
        policy: The bounds.
        total: How many VPSes the plan has.

    Attributes:
        stop_cause: Why nothing more is sent; None while more may be.
        stop_reason: The same, in a sentence.
        on_stop: Called once, when the sending stops.
    """

    def __init__(self, policy: FleetPolicy, total: int) -> None:
        self.stop_cause: StopCause | None = None
        self.stop_reason: str | None = None
        self.on_stop: Callable[[], None] | None = None
        self._canary: Final = policy.canary
        self._step = 0
        self._size: float = policy.canary or inf
        self._sent = self._known = 0
        self._failures = self._ambiguous = 0
        self._max_failures: Final = policy.failures_allowed(of=total)
        self._max_ambiguous: Final = policy.ambiguous_allowed(of=total)

    @property
    def is_stopped(self) -> bool:
        """Whether nothing more is sent."""
        return self.stop_cause is not None

    def stop(self, cause: StopCause, reason: str) -> None:
        """Send nothing more; the first cause stays."""
        if self.is_stopped:
            return
        self.stop_cause, self.stop_reason = cause, reason
        if self.on_stop is not None:
            self.on_stop()

    def restore(self, entries: Iterable[Entry]) -> None:
        """Count the outcomes that another process recorded."""
        for entry in entries:
            if entry.state.is_terminal:
                self._count(entry.outcome().status)

    def allowance(self) -> float:
        """How many more may be sent now."""
        return 0 if self.is_stopped else self._size - self._sent

    def sent(self) -> int:
        """Count one that is sent; returns the step that it belongs to."""
        self._sent += 1
        return self._step

    def return_slot(self, step: int) -> None:
        """Count one as not sent after all: another may be sent in its place."""
        self._sent -= step == self._step

    def record_outcome(self, step: int, vps_id: str, status: OutcomeStatus) -> None:
        """Count the outcome of one that was sent in a step."""
        if self._canary and step == 0 and status is not OutcomeStatus.COMPLETED:
            self.stop(StopCause.CANARY, f"the canary {vps_id} ended as {status}")
        self._count(status)
        if step == self._step:
            self._known += 1
            self._advance()

    def _count(self, status: OutcomeStatus) -> None:
        self._failures += status.is_failure
        self._ambiguous += status is OutcomeStatus.AMBIGUOUS
        if self._max_failures is not None and self._failures >= self._max_failures:
            reason = f"{self._failures} failures are known, which is max_failures"
            self.stop(StopCause.MAX_FAILURES, reason)
        if self._max_ambiguous is not None and self._ambiguous >= self._max_ambiguous:
            reason = f"{self._ambiguous} outcomes are ambiguous, which is max_ambiguous"
            self.stop(StopCause.MAX_AMBIGUOUS, reason)

    def _advance(self) -> None:
        """Open the next step: after all of the canaries, and after half of each later step."""
        needed = self._size if self._step == 0 else self._size / 2
        if self._sent >= self._size and self._known >= needed:
            self._size = _FIRST_STEP if self._step == 0 else 2 * self._size
            self._step += 1
            self._sent = self._known = 0
