"""One VPS from its intent to its outcome; each step is recorded before the next relies on it."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from attrs import evolve

from hostup_async._errors import (
    ApiError,
    HostUpError,
    OutcomeUnknown,
    RateLimited,
    StoreError,
    Unauthorized,
    UntrustedPollUrl,
)
from hostup_async._fleet.context import RunContext, operation_of
from hostup_async._fleet.evidence import Finding
from hostup_async._fleet.plan import Preflight, read_denial
from hostup_async._fleet.policy import OnAmbiguous
from hostup_async._http.attempt import PowerAction
from hostup_async._models import Job, JobStatus
from hostup_async._operation import Operation, watch
from hostup_async._polling.watch import Watch
from hostup_async._ratelimit.queue import Permit
from hostup_async._store.records import Entry, EntryState
from hostup_async._vps import act


class Target:
    """One VPS's way through a run.

    Args:
        context: What all targets share.
        entry: Where it stands.

    """

    __slots__ = ("_context", "_entry", "_is_unsent", "_leaves", "_task")

    def __init__(self, context: RunContext, entry: Entry) -> None:
        self._context: Final = context
        self._entry = entry
        self._task: asyncio.Task[Any] | None = None
        self._is_unsent = True
        self._leaves = False

    @property
    def entry(self) -> Entry:
        """Where it stands."""
        return self._entry

    def stop(self) -> None:
        """Nothing more is sent: if this still waits to be, it is taken back."""
        if self._is_unsent and self._task is not None:
            self._task.cancel()

    def leave(self) -> None:
        """Go no further; an action that is being sent is let end, and recorded."""
        self._leaves = True
        if self._task is not None:
            self._task.cancel()

    async def begin(self, permit: Permit, on_answer: Callable[[], None]) -> None:
        """Send the action, and follow it to its end.

        Args:
            permit: To send with.
            on_answer: Called once it is answered, or not sent after all; its job is watched then.
        """
        self._task = asyncio.current_task()
        plan = self._context.plan
        try:
            if self._context.rollout.stop_reason:
                permit.refund()
                return
            if plan.preflight is not Preflight.GATES:
                answer, watched = await self._send(permit)
            else:
                permit.refund()
                shut = await read_denial(self._context.vps, self._entry.vps_id, plan.action)
                if shut is not None:
                    await self._end(EntryState.SKIPPED, shut)
                    return
                answer, watched = await self._send(None)
        finally:
            on_answer()
        await self._take(answer, watched)

    async def go_on(self) -> None:
        """Take up an entry that another process left: never send what may have been sent."""
        self._task, self._is_unsent = asyncio.current_task(), False
        if self._leaves:
            return
        if self._entry.state is EntryState.INTENT:
            await self._investigate("the process that sent it ended before the answer was recorded")
            return
        operation = operation_of(self._context, self._entry)
        await self._follow(operation, self._watch(operation))

    async def _send(
        self, permit: Permit | None
    ) -> tuple[Operation | HostUpError | None, Watch | None]:
        """Record the intent, then send; the answer, if it was sent, and the watch on its job."""
        context = self._context
        deed = PowerAction(context.plan.action, self._entry.vps_id)
        self._is_unsent = True
        try:
            if not await self._intend(permit):
                return None, None
            operation = await act(
                context.requester,
                context.poller,
                deed,
                force=context.plan.force,
                permit=permit,
                to_the_end=True,
            )
        except HostUpError as error:
            return error, None
        except asyncio.CancelledError:
            self._is_unsent = False
            await self._take_back(
                context.rollout.stop_reason or "it was cancelled before it was sent"
            )
            raise
        finally:
            self._is_unsent = False
        return operation, self._watch(operation)

    async def _intend(self, permit: Permit | None) -> bool:
        """Whether the store has it that we are about to send; without that, nothing is sent."""
        context, entry = self._context, self._entry
        intent = entry.intended(time.time())
        recorded = False
        try:
            self._entry = intent
            await context.journal.put(intent)
            recorded = True
        except StoreError as error:
            self._entry, self._is_unsent = entry, False
            context.journal.take_back(entry)
            context.rollout.stop(f"the store is lost: {error}")
        finally:
            if permit is not None and not recorded:
                permit.refund()
        return recorded

    async def _take_back(self, why: str) -> None:
        """It is proved not to have been sent: it may be sent later."""
        self._entry = self._entry.taken_back(why)
        await self._record()

    async def _take(self, answer: Operation | HostUpError | None, watched: Watch | None) -> None:
        if not isinstance(answer, Operation):
            if answer is not None:
                await self._not_accepted(answer)
            return
        try:
            await self._accepted(answer)
            if not self._leaves:
                await self._follow(answer, watched)
        finally:
            if watched is not None:
                self._context.poller.forget(watched)

    async def _accepted(self, operation: Operation) -> None:
        request_id = operation.job.raw.get("requestId")
        self._entry = evolve(
            self._entry,
            state=EntryState.ACCEPTED,
            job_id=operation.job_id,
            poll_url=operation.poll_url,
            request_ids=self._entry.request_ids + ((str(request_id),) if request_id else ()),
            sent_at=operation.sent_at,
            accepted_at=operation.accepted_at,
        )
        await self._record()

    async def _not_accepted(self, error: HostUpError) -> None:
        if error.request_id:
            ids = (*self._entry.request_ids, error.request_id)
            self._entry = evolve(self._entry, request_ids=ids)
        if isinstance(error, OutcomeUnknown):
            # Later than the intent, where the limit let it wait.
            self._entry = evolve(self._entry, sent_at=error.sent_at or self._entry.sent_at)
            await self._investigate(str(error))
        elif isinstance(error, ApiError) and not isinstance(error, RateLimited):
            if isinstance(error, Unauthorized):
                self._context.rollout.stop(f"the key is refused: {error}")
            await self._end(EntryState.REFUSED, str(error))
        else:
            self._context.rollout.stop(str(error))
            await self._take_back(str(error))

    def _watch(self, operation: Operation) -> Watch | None:
        if operation.job.is_final or operation.poll_url is None:
            return None
        return watch(operation, patience=self._context.policy.job_timeout)

    async def _follow(self, operation: Operation, watched: Watch | None) -> None:
        context, job = self._context, operation.job
        try:
            if watched is not None:
                job = await context.poller.follow(watched)
            elif not job.is_final:
                await self._investigate("the API accepted it without naming a job")
                return
        except TimeoutError:
            await self._end(
                EntryState.TIMED_OUT,
                f"its job had not ended {context.policy.job_timeout:g} s after its acceptance",
            )
        except (OutcomeUnknown, UntrustedPollUrl) as error:
            await self._investigate(str(error))
        except HostUpError as error:
            await self._not_followed(error)
        else:
            await self._finish(job)

    async def _not_followed(self, error: HostUpError) -> None:
        """It stays accepted, and may be followed later; unless its own time is up before."""
        most, why = self._context.requester.limiter.max_wait, f"its job cannot be followed: {error}"
        if isinstance(error, RateLimited) and (error.retry_after or 0.0) <= most:
            await self._end(EntryState.TIMED_OUT, why)
        else:
            self._context.rollout.stop(why)

    async def _finish(self, job: Job) -> None:
        if job.status == JobStatus.FAILED:
            await self._end(EntryState.FAILED, job.error or "its job failed, and does not say why")
        elif self._context.policy.verify:
            await self._verify()
        else:
            await self._end(EntryState.COMPLETED)

    async def _verify(self) -> None:
        sent_at = self._entry.sent_at or time.time()
        finding = await self._context.evidence.find(self._entry.vps_id, sent_at)
        if finding is Finding.DONE:
            await self._complete()
            return
        await self._end(
            EntryState.AMBIGUOUS,
            "its job says completed, and its status does not show it"
            + (": it shows the contrary" if finding is Finding.NOT_DONE else ""),
        )

    async def _investigate(self, why: str) -> None:
        """Wait until the action must be over, then see what the VPS's own status says."""
        self._entry = evolve(self._entry, reason=why)
        if self._leaves:
            return
        sent_at = self._entry.sent_at or time.time()
        await self._context.evidence.outwait(sent_at)
        finding = await self._context.evidence.find(self._entry.vps_id, sent_at)
        if finding is Finding.DONE:
            await self._complete()
        elif finding is Finding.NOTHING:
            await self._end(EntryState.AMBIGUOUS, why)
        elif self._may_resend():
            await self._take(*await self._send(None))
        else:
            await self._end(
                EntryState.AMBIGUOUS,
                f"{why} The VPS's status shows that it did not take place; it was not sent again.",
                evidence=f"not done: {self._context.evidence.kind}",
            )

    def _may_resend(self) -> bool:
        context = self._context
        wanted = context.policy.on_ambiguous is OnAmbiguous.RESEND
        return wanted and self._entry.attempts < 2 and not context.rollout.stop_reason  # noqa: PLR2004 - once

    async def _complete(self) -> None:
        await self._end(EntryState.COMPLETED, evidence=self._context.evidence.kind)

    async def _end(
        self, state: EntryState, reason: str | None = None, evidence: str | None = None
    ) -> None:
        self._entry = evolve(
            self._entry, state=state, reason=reason, evidence=evidence, finished_at=time.time()
        )
        await self._record()

    async def _record(self) -> None:
        """Record what happened; a store that is lost costs no outcome, only the sending."""
        try:
            await self._context.journal.put(self._entry)
        except StoreError as error:
            self._context.rollout.stop(f"the store is lost: {error}")
