"""Whether one more may be sent: canary, ramp and failure budgets. Pure."""

from collections.abc import Callable, Iterable
from math import inf
from typing import Final

from hostup_async._fleet.policy import FleetPolicy
from hostup_async._outcome import OutcomeStatus
from hostup_async._store.records import Entry

_FAILURES: Final = frozenset({OutcomeStatus.FAILED, OutcomeStatus.REFUSED, OutcomeStatus.TIMED_OUT})
_FIRST_STEP: Final = 2


class Rollout:
    """What has been sent and what is known of it, step by step.

    Args:
        policy: The bounds.
        total: How many VPSes the plan has.

    Attributes:
        stop_reason: Why nothing more is sent; None while more may be.
        on_stop: Called when that comes to be.
    """

    def __init__(self, policy: FleetPolicy, total: int) -> None:
        self.stop_reason: str | None = None
        self.on_stop: Callable[[], None] | None = None
        self._canary: Final = policy.canary
        self._step = 0
        self._size: float = policy.canary or inf
        self._sent = self._known = 0
        self._failures = self._doubts = 0
        self._most_failures: Final = policy.failures_allowed(of=total)
        self._most_doubts: Final = policy.ambiguous_allowed(of=total)

    def stop(self, why: str) -> None:
        """Send nothing more; the first reason stays."""
        if self.stop_reason is None:
            self.stop_reason = why
            if self.on_stop is not None:
                self.on_stop()

    def restore(self, entries: Iterable[Entry]) -> None:
        """What became of some before, in another process."""
        for entry in entries:
            if entry.state.is_terminal:
                self._count(entry.outcome().status)

    def allowance(self) -> float:
        """How many more may be sent now."""
        return 0 if self.stop_reason else self._size - self._sent

    def sent(self) -> int:
        """One is sent; returns the step that it belongs to."""
        self._sent += 1
        return self._step

    def return_slot(self, step: int) -> None:
        """It was not sent after all, and somebody else may take its place."""
        self._sent -= step == self._step

    def record_outcome(self, step: int, vps_id: str, status: OutcomeStatus) -> None:
        """What became of one that was sent in a step."""
        if self._canary and step == 0 and status is not OutcomeStatus.COMPLETED:
            self.stop(f"the canary {vps_id} ended as {status}")
        self._count(status)
        if step == self._step:
            self._known += 1
            self._advance()

    def _count(self, status: OutcomeStatus) -> None:
        self._failures += status in _FAILURES
        self._doubts += status is OutcomeStatus.AMBIGUOUS
        if self._most_failures is not None and self._failures >= self._most_failures:
            self.stop(f"{self._failures} failures are known, which is max_failures")
        if self._most_doubts is not None and self._doubts >= self._most_doubts:
            self.stop(f"{self._doubts} outcomes are ambiguous, which is max_ambiguous")

    def _advance(self) -> None:
        """The canaries are waited for all; of each later step, half is enough."""
        needed = self._size if self._step == 0 else self._size / 2
        if self._sent >= self._size and self._known >= needed:
            self._size = _FIRST_STEP if self._step == 0 else 2 * self._size
            self._step += 1
            self._sent = self._known = 0
