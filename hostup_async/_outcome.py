"""What became of one VPS of a fleet."""

from enum import StrEnum
from typing import Any

from attrs import asdict, frozen


class OutcomeStatus(StrEnum):
    """What became of one VPS; only `COMPLETED` says that the action took place and ended well."""

    COMPLETED = "completed"
    """The action was accepted, and its job ended well."""
    FAILED = "failed"
    """The action was accepted, and its job ended in failure."""
    REFUSED = "refused"
    """The API said no (400 to 409), so nothing was done."""
    SKIPPED = "skipped"
    """It was not sent on purpose: a gate, a cooldown, an exclusion, or another run's VPS."""
    AMBIGUOUS = "ambiguous"
    """It was sent, or may have been, and nobody can tell what became of it."""
    TIMED_OUT = "timed_out"
    """It was accepted, and its job had not ended by the deadline; it may still."""
    NOT_SENT = "not_sent"
    """The run stopped before its turn."""


@frozen
class Outcome:
    """What became of one VPS. Moments are seconds since the epoch, by the sender's clock.

    Attributes:
        vps_id: The VPS.
        status: What became of it.
        reason: Why, in words; None where the status says it all.
        job_id: The job, where the API named one.
        poll_url: Where to look at the job, as the API gave it.
        request_ids: The API's ids of the requests that sent the action, for HostUp's support.
        attempts: How often the action was sent, or may have been.
        sent_at: When it was last sent.
        accepted_at: When the API accepted it.
        finished_at: When its end was known.
        evidence: How the end is known where no job told, such as `uptime`.

    Example:
        >>> Outcome("vps_1", OutcomeStatus.SKIPPED, reason="suspended").to_dict()["status"]
        'skipped'
    """

    vps_id: str
    status: OutcomeStatus
    reason: str | None = None
    job_id: str | None = None
    poll_url: str | None = None
    request_ids: tuple[str, ...] = ()
    attempts: int = 0
    sent_at: float | None = None
    accepted_at: float | None = None
    finished_at: float | None = None
    evidence: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The outcome as plain data, ready for JSON."""
        return asdict(self) | {
            "status": self.status.value,
            "request_ids": list(self.request_ids),
        }
