"""One VPS from its intent to its outcome; each step is recorded before the next relies on it."""

import asyncio
from typing import Any, Final

from attrs import evolve

from hostup_async import _clock
from hostup_async._errors import HostUpError, StoreError
from hostup_async._events import in_run
from hostup_async._fleet.context import RunContext, operation_of
from hostup_async._fleet.evidence import SendTime
from hostup_async._fleet.plan import Preflight
from hostup_async._fleet.preflight import check
from hostup_async._fleet.settle import (
    ended,
    investigate,
    job_ended,
    not_accepted,
    not_followed,
    stop_for,
)
from hostup_async._fleet.slot import SendSlot
from hostup_async._http.attempt import PowerAction, SendGuard
from hostup_async._http.exchange import TooLate
from hostup_async._http.server_clock import Moment
from hostup_async._models import Job
from hostup_async._operation import Operation, watch
from hostup_async._outcome import OutcomeStatus
from hostup_async._polling.watch import Watch
from hostup_async._store.records import Entry, EntryState
from hostup_async._vps import act_to_the_end

# Seconds: `skip_booted_within` where the status is read anyway.
BOOTED_JUST_NOW: Final = 600.0
_UNVERIFIED: Final = "its job says completed; the run ended before that was verified"


class Target(SendGuard):
    """One VPS's way through a run: a loop over the state of its entry.

    A planned entry is sent, an intent is settled by evidence, an accepted one is followed. So an
    entry that another process left is taken up where it stands by the same loop, and what may have
    been sent is never sent again but by the evidence's proof that it did not take place.

    It is also the guard of its action's sends. Each try saves the intent, which only the holder of
    the run can, and must be on the wire within the store's `send_window` from then. A process that
    slept longer, while another may have taken the run, sends nothing before it has saved anew.

    Args:
        context: What all targets share.
        entry: Where it stands.
        slot: Where the permits to send come from.
        step: Its step in the rollout.
    """

    __slots__ = (
        "_context",
        "_entry",
        "_is_ending",
        "_is_unsent",
        "_left",
        "_operation",
        "_send_by",
        "_sent",
        "_sent_since",
        "_slot",
        "_task",
        "_watched",
        "step",
    )

    def __init__(self, context: RunContext, entry: Entry, slot: SendSlot, step: int) -> None:
        self.step: Final = step
        self._context: Final = context
        self._slot: Final = slot
        self._entry = entry
        self._task: asyncio.Task[Any] | None = None
        self._operation: Operation | None = None
        self._watched: Watch | None = None
        self._is_unsent = False
        self._is_ending = False
        self._left = False
        self._send_by = 0.0
        self._sent_since = 0.0  # a moment before the send, in `_clock.boot`
        self._sent: SendTime | None = None  # by this process; None where another one sent it
        context.evidence.note(entry)

    @property
    def entry(self) -> Entry:
        """Where it stands."""
        return self._entry

    def stop(self) -> None:
        """Cancel a send that is prepared and has not begun; its entry is planned as before."""
        if self._is_unsent and self._task is not None:
            self._task.cancel()

    def leave(self) -> None:
        """Go no further; an action that is being sent is let end, and recorded."""
        self._left = True
        if self._task is not None:
            self._task.cancel()

    def end_soon(self) -> None:
        """Go no further than one last poll of its job; leave at once where nothing was sent.

        An action whose answer is awaited may be accepted yet: its job is then polled once, too.
        """
        self._is_ending = True
        if self._watched is not None and self._entry.state is EntryState.ACCEPTED:
            self._context.poller.hasten(self._watched)
        elif not self._is_unsent or self._sent is None:
            self.leave()

    async def renew(self) -> None:
        """Have the store record, before each try, that the action is about to be sent.

        Raises:
            StoreError: It did not; the entry is as before, and nothing may be sent.
        """
        before, began = self._entry, _clock.boot()
        by_server = self._context.evidence.by_server(Moment.now())
        if before.state is EntryState.INTENT:  # it was not sent, or was refused by the rate limit
            low, high = by_server or (None, None)
            self._entry = evolve(
                before, sent_at=_clock.wall(), sent_server_low=low, sent_server_high=high
            )
        else:
            self._entry = evolve(before.intended(_clock.wall(), by_server), reason=None)
        try:
            await self._context.journal.put(self._entry)
        except StoreError:
            self._entry = before
            raise
        self._sent_since, self._send_by = began, began + self._context.journal.send_window

    def check(self) -> None:
        """Keep the action back if its intent was saved too long ago.

        Raises:
            TooLate: It was.
        """
        if _clock.boot() >= self._send_by:
            msg = "The action was not sent: this process slept, or waited, since it was recorded."
            raise TooLate(msg)

    def note_sent(self) -> None:
        """The action has just gone out."""
        before = self._sent if self._entry.attempts > 1 else None
        self._sent = SendTime.since(self._sent_since, before)

    async def run(self) -> None:
        """Take the entry to its outcome, or as far as it may go."""
        self._task = asyncio.current_task()
        step = {
            EntryState.PLANNED: self._send,
            EntryState.INTENT: self._settle,
            EntryState.ACCEPTED: self._follow,
        }
        try:
            with in_run(self._context.run_id), self._slot:
                while not self._is_over:
                    await step[self._entry.state]()
        finally:
            if self._watched is not None:
                self._context.poller.forget(self._watched)

    @property
    def _is_over(self) -> bool:
        """Whether it has its outcome, was left, or may not be sent any more."""
        state = self._entry.state
        may_not_be_sent = state is EntryState.PLANNED and self._context.rollout.is_stopped
        return self._left or state.is_terminal or may_not_be_sent

    async def _send(self) -> None:
        try:
            entry = await self._prepare_and_send()
        except asyncio.CancelledError:
            if self._entry.state is EntryState.INTENT:  # it is proved that it was not sent
                stop = self._context.rollout.stop_reason
                why = stop or "it was cancelled before it was sent"
                await self._become(self._entry.reverted(why))
            raise
        except HostUpError as error:
            entry = not_accepted(self._context, self._entry, error)
            if entry.state is EntryState.INTENT:
                entry = self._with_send_time(entry)
        await self._become(entry)

    async def _prepare_and_send(self) -> Entry:
        """The entry after its gate was read, its intent recorded, and its action sent."""
        context = self._context
        power_action = PowerAction(context.plan.action, self._entry.vps_id)
        self._is_unsent = True
        try:
            with self._slot:
                if denial := await self._read_denial():
                    return ended(self._entry, EntryState.SKIPPED, denial)
                with await self._slot.take() as permit:
                    operation = await act_to_the_end(
                        context.requester,
                        context.poller,
                        power_action,
                        force=context.plan.force,
                        permit=permit,
                        guard=self,
                    )
                # Before the slot ends: the poller counts it as in flight without a gap.
                self._operation, self._watched = operation, self._watch(operation)
        finally:
            self._is_unsent = False
        context.rollout.answered()
        return _accepted(self._entry, operation)

    async def _read_denial(self) -> str | None:
        """Why the VPS is not to be sent the action: its last boot, or its gate, as far as asked."""
        plan, within = self._context.plan, self._context.policy.skip_booted_within
        lost_within = self._context.possible_loss_within
        vps, vps_id = self._context.vps, self._entry.vps_id
        if lost_within is not None:
            self._slot.refund()
            if boot := await check(
                vps, vps_id, plan.action, gates=False, within=lost_within, must_be_known=True
            ):
                return f"the store may have lost that it was sent, and {boot}"
        reads_gates = plan.preflight is Preflight.GATES
        if within is None:
            within = BOOTED_JUST_NOW if reads_gates else 0.0
        if self._entry.attempts or not (reads_gates or within):
            return None
        self._slot.refund()
        return await check(vps, vps_id, plan.action, gates=reads_gates, within=within)

    def _with_send_time(self, entry: Entry) -> Entry:
        """The entry with the moment of the send, for another process that may settle it."""
        if self._sent is None:
            return entry
        low, high = self._context.evidence.by_server(self._sent.moment) or (None, None)
        return evolve(entry, sent_server_low=low, sent_server_high=high)

    async def _settle(self) -> None:
        before = self._entry
        entry = await investigate(self._context, before, self._sent)
        if entry is before:  # it stays an intent, for a process that resumes the run
            self._left = True
        else:
            await self._become(entry)

    async def _follow(self) -> None:
        before = self._entry
        try:
            job = await self._final_job()
        except (TimeoutError, HostUpError) as error:
            entry = before if self._is_ending else await self._not_followed(error)
        else:
            entry = await self._job_ended(job)
        if entry is before:  # it stays accepted, for a process that resumes the run
            self._left = True
        else:
            await self._become(entry)

    async def _job_ended(self, job: Job) -> Entry:
        try:
            return await job_ended(self._context, self._entry, job, self._sent)
        except asyncio.CancelledError:  # while it was verified
            await self._become(ended(self._entry, EntryState.COMPLETED, _UNVERIFIED))
            raise

    async def _not_followed(self, error: Exception) -> Entry:
        if isinstance(error, HostUpError):
            return await not_followed(self._context, self._entry, error, self._sent)
        waited = f"{self._context.policy.job_timeout:g} s after its acceptance"
        return ended(self._entry, EntryState.TIMED_OUT, f"its job had not ended {waited}")

    async def _final_job(self) -> Job:
        """The job at its end.

        Raises:
            TimeoutError: It has not ended within the policy's `job_timeout`.
            OutcomeUnknown: The API named no job, or has forgotten it.
        """
        operation = self._operation or operation_of(self._context, self._entry)
        if operation.job.is_final:
            return operation.job
        patience = self._context.policy.job_timeout
        self._watched = self._watched or watch(operation, patience=patience)
        return await self._context.poller.follow(self._watched)

    def _watch(self, operation: Operation) -> Watch | None:
        if operation.job.is_final or operation.poll_url is None:
            return None
        patience = 0.0 if self._is_ending else self._context.policy.job_timeout
        return watch(operation, patience=patience)

    async def _become(self, entry: Entry) -> None:
        """Record what it has become; a store that is lost costs no outcome, only the sending."""
        self._entry = entry
        self._context.evidence.note(entry)
        if entry.state.is_terminal and entry.state is not EntryState.SKIPPED:
            # Before it is saved, which takes a time: a failure may be the one that stops the run.
            outcome = OutcomeStatus(entry.state.value)
            self._context.rollout.record_outcome(self.step, entry.vps_id, outcome)
        try:
            await self._context.journal.put(entry)
        except StoreError as error:
            stop_for(self._context, error)


def _accepted(entry: Entry, operation: Operation) -> Entry:
    request_id = operation.job.raw.get("requestId")
    return evolve(
        entry,
        state=EntryState.ACCEPTED,
        job_id=operation.job_id,
        poll_url=operation.poll_url,
        request_ids=entry.request_ids + ((str(request_id),) if request_id else ()),
        sent_at=operation.sent_at,
        accepted_at=operation.accepted_at,
    )
