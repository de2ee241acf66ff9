"""What an entry becomes next: after an error, after its job's end, and where evidence is needed.

Each function takes an entry and returns the next one; the target records it. An action that may
have been sent is settled by evidence, see `evidence`: it completed, or its outcome stays unknown,
or, if the policy says so and the evidence proves that it did not take place, it is planned anew.
"""

from attrs import evolve

from hostup_async import _clock
from hostup_async._errors import (
    ApiError,
    Forbidden,
    HostUpError,
    NetworkError,
    OutcomeUnknown,
    RateLimited,
    RunHeld,
    StoreError,
    Unauthorized,
    UntrustedPollUrl,
)
from hostup_async._fleet.context import RunContext
from hostup_async._fleet.evidence import Finding
from hostup_async._fleet.policy import OnAmbiguous
from hostup_async._models import Job, JobStatus
from hostup_async._outcome import StopCause
from hostup_async._store.records import Entry, EntryState

_MOST_SENDS = 2  # a second time at most, and only what is proved not to have taken place


def ended(
    entry: Entry, state: EntryState, reason: str | None = None, *, evidence: str | None = None
) -> Entry:
    """The entry in a terminal state, from now."""
    return evolve(entry, state=state, reason=reason, evidence=evidence, finished_at=_clock.wall())


def stop_for(context: RunContext, error: HostUpError) -> None:
    """Stop the sending because of an error that all further actions would meet too."""
    match error:
        case RunHeld():
            context.rollout.stop(StopCause.STORE_LOST, f"the run is lost: {error}")
        case StoreError():
            context.rollout.stop(StopCause.STORE_LOST, f"the store is lost: {error}")
        case Unauthorized():
            context.rollout.stop(StopCause.KEY_REFUSED, f"the key is refused: {error}")
        case Forbidden():
            context.rollout.stop(StopCause.KEY_REFUSED, f"the key may not do this: {error}")
        case RateLimited():
            context.rollout.stop(StopCause.RATE_LIMIT, str(error))
        case NetworkError():
            context.rollout.stop(StopCause.UNREACHABLE, str(error))
        case _:
            context.rollout.stop(StopCause.ERROR, str(error))


def not_accepted(context: RunContext, entry: Entry, error: HostUpError) -> Entry:
    """What an entry becomes whose action was not accepted.

    In doubt it stays an intent. Where the API refuses this VPS, it has ended. Where it refuses
    the key, or nothing was sent at all, the sending stops and the entry is planned as before: a
    later process, with another key perhaps, sends it.
    """
    if error.request_id:
        entry = evolve(entry, request_ids=(*entry.request_ids, error.request_id))
    if isinstance(error, OutcomeUnknown):
        context.rollout.in_doubt(entry.vps_id)
        # It may have been sent later than the intent was recorded, after a wait for the limit.
        return evolve(entry, reason=str(error), sent_at=error.sent_at or entry.sent_at)
    if isinstance(error, ApiError) and not _concerns_all(error):
        context.rollout.answered()
        return ended(entry, EntryState.REFUSED, str(error))
    stop_for(context, error)
    return entry.reverted(str(error)) if entry.state is EntryState.INTENT else entry


def _concerns_all(error: ApiError) -> bool:
    """Whether the API would answer every action of this key so; a filter's 403 may be chance."""
    if isinstance(error, Forbidden):
        return error.problem is not None and bool(error.problem.raw)
    return isinstance(error, RateLimited | Unauthorized)


async def not_followed(context: RunContext, entry: Entry, error: HostUpError) -> Entry:
    """What an accepted entry becomes whose job cannot be followed; it may stay accepted."""
    max_wait = context.requester.limiter.max_wait
    if isinstance(error, OutcomeUnknown | UntrustedPollUrl):
        return await investigate(context, evolve(entry, reason=str(error)))
    if isinstance(error, RateLimited) and (error.retry_after or 0.0) <= max_wait:
        # The limit would open in time for others: it is this job's own time that is up before.
        return ended(entry, EntryState.TIMED_OUT, f"its job cannot be followed: {error}")
    stop_for(context, error)
    return entry


async def job_ended(context: RunContext, entry: Entry, job: Job) -> Entry:
    """What an entry becomes whose job has ended."""
    if job.status == JobStatus.FAILED:
        reason = job.error or "its job failed, and does not say why"
        return ended(entry, EntryState.FAILED, reason)
    if context.policy.verify:
        return await _verify(context, entry)
    return ended(entry, EntryState.COMPLETED)


async def investigate(context: RunContext, entry: Entry) -> Entry:
    """Wait until the action must be over, then settle by what the VPS's own status shows."""
    sent_at = entry.sent_at or _clock.wall()
    doubt = entry.reason or "the process that sent it ended before the answer was recorded"
    await context.evidence.wait_until_over(sent_at)
    finding = await context.evidence.find(entry.vps_id, sent_at)
    if finding is Finding.DONE:
        return ended(entry, EntryState.COMPLETED, evidence=context.evidence.kind)
    if finding is Finding.INCONCLUSIVE:
        return ended(entry, EntryState.AMBIGUOUS, doubt)
    proof = f"{doubt} The VPS's status shows that it did not take place"
    if _may_resend(context, entry):
        return evolve(entry, state=EntryState.PLANNED, reason=f"{proof}.")
    return ended(
        entry,
        EntryState.AMBIGUOUS,
        f"{proof}; it was not sent again.",
        evidence=f"not done: {context.evidence.kind}",
    )


async def _verify(context: RunContext, entry: Entry) -> Entry:
    """Believe that the job completed only if the VPS's own status shows it too."""
    finding = await context.evidence.find(entry.vps_id, entry.sent_at or _clock.wall())
    if finding is Finding.DONE:
        return ended(entry, EntryState.COMPLETED, evidence=context.evidence.kind)
    return ended(
        entry,
        EntryState.AMBIGUOUS,
        "its job says completed, and the VPS's status does not show it"
        + (": it shows the contrary" if finding is Finding.NOT_DONE else ""),
    )


def _may_resend(context: RunContext, entry: Entry) -> bool:
    is_wanted = context.policy.on_ambiguous is OnAmbiguous.RESEND
    return is_wanted and entry.attempts < _MOST_SENDS and not context.rollout.is_stopped
