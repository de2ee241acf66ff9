"""What became of one VPS of a fleet, and why a run stopped."""

from enum import StrEnum
from typing import Final

from attrs import frozen

from hostup_async._json import JsonReady


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
    """It was sent, or may have been, and its outcome is unknown."""
    NOT_DONE = "not_done"
    """It was sent, or may have been, and long after it must be over the VPS's own status shows that
    it did not take place. That is strong evidence, and no proof: a job may queue for longer."""
    TIMED_OUT = "timed_out"
    """It was accepted, and its job had not ended by the deadline; it may still end."""
    NOT_SENT = "not_sent"
    """The run stopped before its turn."""

    @property
    def is_failure(self) -> bool:
        """Whether it counts towards `FleetPolicy.max_failures`.

        `AMBIGUOUS` does not: it has a bound of its own, `FleetPolicy.max_ambiguous`.

        Example:
            >>> [status.value for status in OutcomeStatus if status.is_failure]
            ['failed', 'refused', 'not_done', 'timed_out']
        """
        return self in _FAILURES


_FAILURES: Final = frozenset(
    {
        OutcomeStatus.FAILED,
        OutcomeStatus.REFUSED,
        OutcomeStatus.NOT_DONE,
        OutcomeStatus.TIMED_OUT,
    }
)


class StopCause(StrEnum):
    """Why a run sends nothing more; the report's `stopped` says it in a sentence."""

    CANARY = "canary"
    """A canary did not complete."""
    MAX_FAILURES = "max_failures"
    """`FleetPolicy.max_failures` was reached."""
    MAX_AMBIGUOUS = "max_ambiguous"
    """`FleetPolicy.max_ambiguous` was reached."""
    DEADLINE = "deadline"
    """`FleetPolicy.deadline` has passed."""
    STOPPED = "stopped"
    """`FleetRun.stop` was called."""
    INTERRUPTED = "interrupted"
    """A signal, Ctrl-C or a cancellation ended it."""
    STORE_LOST = "store_lost"
    """The store could not record what was to be sent, or another process holds the run."""
    KEY_REFUSED = "key_refused"
    """The API refuses the key."""
    RATE_LIMIT = "rate_limit"
    """The rate limit allows no request within the budget's `max_wait`."""
    UNREACHABLE = "unreachable"
    """The API cannot be reached: the request never left this machine, for all retries."""
    ERROR = "error"
    """Anything else: the client was closed, the `async with` failed, or a bug in this package."""


@frozen
class Outcome(JsonReady):
    """What became of one VPS. Moments are seconds since the epoch, by the sender's clock.

    Attributes:
        vps_id: The VPS.
        status: What became of it.
        reason: Why, in words; None where the status says it all.
        job_id: The job, where the API named one.
        poll_url: Where to poll the job, as the API gave it.
        request_ids: The API's ids of the requests that sent the action, for HostUp's support.
        attempts: How often the action was sent, or may have been.
        sent_at: When it was last sent.
        accepted_at: When the API accepted it.
        finished_at: When its end was known.
        evidence: What shows the end where no job did: a field of the VPS's status, such as
            `uptime`.

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
