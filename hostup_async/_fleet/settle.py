"""What an entry becomes next: after an error, after its job's end, and where evidence is needed.

Each function takes an entry and returns the next one; the target records it. An action that may
have been sent is settled by evidence, see `evidence`: it completed, it was not done, or its outcome
stays unknown. If the policy says so, what was not done is planned anew; but never what another
process was sending, which may be about to send it still.
"""

from attrs import evolve

from hostup_async import _clock
from hostup_async._errors import (
    ApiError,
    ClientClosed,
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
from hostup_async._fleet.boot import Finding
from hostup_async._fleet.context import RunContext
from hostup_async._fleet.evidence import SendTime
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


def lost_in_words(error: StoreError) -> str:
    """Why nothing more can be recorded, for the report."""
    what = "run" if isinstance(error, RunHeld) else "store"
    return f"the {what} is lost: {error}"


def stop_for(context: RunContext, error: HostUpError) -> None:
    """Stop the sending because of an error that all further actions would meet too."""
    match error:
        case StoreError():
            context.rollout.stop(StopCause.STORE_LOST, lost_in_words(error))
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


async def not_followed(
    context: RunContext, entry: Entry, error: HostUpError, sent: SendTime | None
) -> Entry:
    """What an accepted entry becomes whose job cannot be followed; it may stay accepted."""
    max_wait = context.requester.limiter.max_wait
    if isinstance(error, OutcomeUnknown | UntrustedPollUrl):
        return await investigate(context, evolve(entry, reason=str(error)), sent)
    if isinstance(error, RateLimited) and (error.retry_after or 0.0) <= max_wait:
        # The limit would open in time for others: it is this job's own time that is up before.
        return ended(entry, EntryState.TIMED_OUT, f"its job cannot be followed: {error}")
    stop_for(context, error)
    return entry


async def job_ended(context: RunContext, entry: Entry, job: Job, sent: SendTime | None) -> Entry:
    """What an entry becomes whose job has ended."""
    if job.status == JobStatus.FAILED:
        reason = job.error or "its job failed, and does not say why"
        return ended(entry, EntryState.FAILED, reason)
    if context.policy.verify:
        return await _verify(context, entry, sent)
    return ended(entry, EntryState.COMPLETED)


async def investigate(context: RunContext, entry: Entry, sent: SendTime | None) -> Entry:
    """Settle by what the VPS's own status shows; unchanged where it cannot be read any more.

    Args:
        context: The run's.
        entry: What may have been sent.
        sent: When this process sent it; None where another process did.
    """
    doubt = entry.reason or "The process that sent it ended before the answer was recorded."
    resends = _may_resend(context, entry, sent)
    try:
        finding = await context.evidence.find(entry, sent, resends=resends)
    except (ClientClosed, Unauthorized) as error:
        stop_for(context, error)
        return entry
    if finding is Finding.DONE:
        return ended(entry, EntryState.COMPLETED, evidence=context.evidence.kind)
    if finding is Finding.INCONCLUSIVE:
        return ended(entry, EntryState.AMBIGUOUS, doubt)
    shown = f"{doubt} The VPS's status shows that it did not take place"
    if resends and _may_resend(context, entry, sent):
        return evolve(entry, state=EntryState.PLANNED, reason=f"{shown}.")
    reason = f"{shown}; it was not sent again."
    return ended(entry, EntryState.NOT_DONE, reason, evidence=context.evidence.kind)


async def _verify(context: RunContext, entry: Entry, sent: SendTime | None) -> Entry:
    """Believe that the job completed unless the VPS's own status shows the contrary."""
    try:
        finding = await context.evidence.check(entry, sent)
    except (ClientClosed, Unauthorized) as error:
        stop_for(context, error)
        finding = Finding.INCONCLUSIVE
    if finding is Finding.NOT_DONE:
        reason = "its job says completed, and the VPS's status shows the contrary"
        return ended(entry, EntryState.AMBIGUOUS, reason)
    evidence = context.evidence.kind if finding is Finding.DONE else None
    return ended(entry, EntryState.COMPLETED, evidence=evidence)


def _may_resend(context: RunContext, entry: Entry, sent: SendTime | None) -> bool:
    is_wanted = context.policy.on_ambiguous is OnAmbiguous.RESEND and sent is not None
    return is_wanted and entry.attempts < _MOST_SENDS and not context.rollout.is_stopped
