"""Whether one more may be sent: canary, ramp and failure budgets. Pure.

The default brake, where the policy gives no `max_ambiguous`: sends that end in doubt are counted
in a row, so while nothing at all is answered. From the tenth on the sending is held; a doubt that
is settled as done opens it again, and ten that stay ambiguous in a row stop it. So an API that
answers every action with 504 gets ten of them, and those that were in flight by then; and one
whose answers are lost although it acts is only sent to more slowly.
"""

from collections.abc import Callable, Iterable
from math import inf
from typing import Final

from hostup_async._fleet.policy import FleetPolicy
from hostup_async._outcome import OutcomeStatus, StopCause
from hostup_async._store.records import Entry, EntryState

_UNSENT: Final = frozenset({EntryState.PLANNED, EntryState.SKIPPED, EntryState.NOT_SENT})
_FIRST_STEP: Final = 2  # VPSes sent at once after the canaries; each further step doubles


class Rollout:
    """What has been sent and what is known of it, step by step.

    Args:
        policy: The bounds.
        total: How many VPSes the plan has.

    Attributes:
        stop_cause: Why nothing more is sent; None while more may be.
        stop_reason: `stop_cause` in a sentence, for people.
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
        self._failures = self._ambiguous = self._ambiguous_in_a_row = 0
        self._in_doubt: Final = set[str]()  # in a row, and not settled yet
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

    def restore(self, entries: Iterable[Entry]) -> dict[int, int]:
        """Go on where another process left off, by what it recorded.

        Args:
            entries: What it recorded, in the order of the plan, which is the order of sending.

        Returns:
            The step of each entry in flight, by its position.
        """
        steps: dict[int, int] = {}
        for entry in entries:
            if entry.state in _UNSENT:
                continue
            step = self.sent()
            if entry.state.is_terminal:
                self.record_outcome(step, entry.vps_id, entry.outcome().status)
                continue
            steps[entry.position] = step
            if entry.state is EntryState.ACCEPTED:
                self.answered()
            else:
                self.in_doubt(entry.vps_id)
        return steps

    def allowance(self) -> float:
        """How many more may be sent now."""
        if self.is_stopped or self._is_held:
            return 0
        return max(0, self._size - self._sent)

    @property
    def awaits_canaries(self) -> bool:
        """Whether all canaries are sent, and their ends decide whether more is."""
        return not self.is_stopped and 0 < self._canary <= self._sent and self._step == 0

    def steps_left(self, planned: int, window: int) -> tuple[int, int]:
        """How many steps must be known until the ramp no longer holds these up, and their VPSes.

        Args:
            planned: How many are still to be sent.
            window: How many may be in flight at once: a larger step than that holds nothing up.
        """
        size, room, steps, sent = self._size, max(0, self._size - self._sent), 0, 0
        while room < planned - sent and size < window:
            is_canary = self._step + steps == 0
            sent, steps = sent + int(room), steps + 1
            room = size = _FIRST_STEP if is_canary else 2 * size
        return steps, sent

    @property
    def _is_held(self) -> bool:
        if self._max_ambiguous is not None:
            return False
        return len(self._in_doubt) + self._ambiguous_in_a_row >= FleetPolicy.AMBIGUOUS_IN_A_ROW

    def sent(self) -> int:
        """Count one that is sent; returns the step that it belongs to."""
        step = self._step
        self._sent += 1
        self._advance()
        return step

    def take_back(self, step: int) -> None:
        """Count one as not sent after all: another may be sent in its place."""
        self._sent -= step == self._step

    def answered(self) -> None:
        """Count an action that the API answered: the row of doubts ends."""
        self._in_doubt.clear()
        self._ambiguous_in_a_row = 0

    def in_doubt(self, vps_id: str) -> None:
        """Count an action that may have been sent, and was not answered."""
        self._in_doubt.add(vps_id)

    def record_outcome(self, step: int, vps_id: str, status: OutcomeStatus) -> None:
        """Count the outcome of one that was sent in a step."""
        if self._canary and step == 0 and status is not OutcomeStatus.COMPLETED:
            self.stop(StopCause.CANARY, f"the canary {vps_id} ended as {status}")
        self._in_doubt.discard(vps_id)
        self._count(status)
        if step == self._step:
            self._known += 1
            self._advance()

    def _count(self, status: OutcomeStatus) -> None:
        is_ambiguous = status is OutcomeStatus.AMBIGUOUS
        self._failures += status.is_failure
        self._ambiguous += is_ambiguous
        self._ambiguous_in_a_row = self._ambiguous_in_a_row + 1 if is_ambiguous else 0
        if self._max_failures is not None and self._failures >= self._max_failures:
            failed = "1 VPS failed" if self._failures == 1 else f"{self._failures} VPSes failed"
            reason = f"{failed}, the limit set by max_failures"
            self.stop(StopCause.MAX_FAILURES, reason)
        self._check_ambiguous()

    def _check_ambiguous(self) -> None:
        reason = None
        if self._max_ambiguous is not None:
            if self._ambiguous >= self._max_ambiguous:
                one_or_more = "outcome is" if self._ambiguous == 1 else "outcomes are"
                reason = (
                    f"{self._ambiguous} {one_or_more} ambiguous, the limit set by max_ambiguous"
                )
        elif self._ambiguous_in_a_row >= FleetPolicy.AMBIGUOUS_IN_A_ROW:
            reason = f"{FleetPolicy.AMBIGUOUS_IN_A_ROW} outcomes in a row are ambiguous"
        if reason is not None:
            self.stop(StopCause.MAX_AMBIGUOUS, reason)

    def _advance(self) -> None:
        """Open the next step: after all of the canaries, and after half of each later step."""
        needed = self._size if self._step == 0 else self._size / 2
        if self._sent >= self._size and self._known >= needed:
            self._size = _FIRST_STEP if self._step == 0 else 2 * self._size
            self._step += 1
            self._sent = self._known = 0
