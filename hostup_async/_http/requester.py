"""One call from first try to last: a permit, a try, a verdict, and perhaps again.

Everything above this module speaks of VPSes and jobs, everything below of bytes and moments.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, TypeVar

import anyio

from hostup_async._errors import HostUpError, OutcomeUnknown, RateLimited
from hostup_async._events import Accepted, InDoubt, OnEvent, Paused, Retrying, Waiting, tell
from hostup_async._http.attempt import Attempt, PowerAction, Request
from hostup_async._http.jobs import read_accepted, read_job
from hostup_async._http.problems import make_outcome_unknown
from hostup_async._http.responses import Read
from hostup_async._http.retry import Decision, Retries, RetryQuota
from hostup_async._http.transport import Transport, Url
from hostup_async._models import Job
from hostup_async._ratelimit.limiter import RateLimiter
from hostup_async._ratelimit.limits import RequestClass, WaitReason
from hostup_async._ratelimit.queue import Permit
from hostup_async._ratelimit.snapshot import BudgetSnapshot
from hostup_async._token import OperationRef, make_token

T = TypeVar("T")
_LOGGER: Final = logging.getLogger("hostup")
_SAME_WAIT: Final = 0.05
_ENDS: Final = frozenset({Decision.ACCEPT, Decision.OUTCOME_UNKNOWN, Decision.RAISE})


class Requester:
    """Makes calls, by the table of the retry module.

    Attributes:
        requests: How many it has sent, by kind.
        on_pause: Called at each pause that a 429 begins, after `on_event`: runs record it.
        acting: The actions that are being sent; closing waits for them.
    """

    def __init__(
        self,
        transport: Transport,
        limiter: RateLimiter,
        on_event: OnEvent | None,
        patience: float,
    ) -> None:
        self.transport: Final = transport
        self.limiter: Final = limiter
        self.on_event: Final = on_event
        self.on_pause: Final = list[Callable[[Paused], None]]()
        self.acting: Final = set[asyncio.Task[None]]()
        self._patience = patience
        self.requests: Final = Counter[str]()
        self._quota = RetryQuota()
        self._told_reason = WaitReason.NONE
        self._told_until = 0.0

    async def get(
        self,
        url: Url,
        read: Read[T],
        kind: RequestClass = RequestClass.PREFLIGHT,
        *,
        max_wait: float | None = None,
        permit: Permit | None = None,
    ) -> T:
        """What `read` makes of the answer; `max_wait` seconds bound the waits for the limit.

        A `permit` that was taken before is spent on the first try.
        """
        attempt = await self._call(Request("GET", url, kind=kind), read, max_wait, permit)
        return attempt.result()

    async def look(
        self, url: Url, *, max_wait: float | None = None, permit: Permit | None = None
    ) -> tuple[Job, float]:
        """A look at a job, and for how many seconds the API asks that there be no other."""
        request = Request("GET", url, kind=RequestClass.POLL)
        attempt = await self._call(request, read_job, max_wait, permit)
        return attempt.result(), attempt.reading.retry_after or 0.0

    async def act(
        self,
        deed: PowerAction,
        url: Url,
        body: bytes | None = None,
        *,
        permit: Permit | None = None,
        to_the_end: bool = False,
    ) -> tuple[OperationRef, Job]:
        """A power action, sent at most once as far as can be known: its job, and how to follow it.

        A `permit` that was taken before is spent on the first try. With `to_the_end`, a
        cancellation while it is being sent is dropped, and the answer returned as if nothing were.

        Raises:
            OutcomeUnknown: It was sent, or may have been, and no answer tells what became of it.
        """
        request = Request("POST", url, body, deed, RequestClass.ACTION, to_the_end=to_the_end)
        attempt = await self._call(request, read_accepted, None, permit)
        if attempt.error is not None:
            raise self._doubt(attempt, deed, attempt.error) from attempt.error
        return self._accept(attempt, deed), attempt.result()

    async def close(self) -> None:
        """Send nothing more, wait until no action is being sent, then close the session."""
        self.transport.refuse()
        try:
            while self.acting:
                await asyncio.wait(self.acting)
        finally:
            await self.transport.close()

    async def _call(
        self, request: Request, read: Read[T], max_wait: float | None, permit: Permit | None
    ) -> Attempt[T]:
        """The first attempt that is answered, or that leaves the outcome unknown."""
        retries = Retries(self._quota, self._patience)
        patience = self.limiter.max_wait if max_wait is None else max_wait
        asked_at = time.monotonic()
        refusal: HostUpError | None = None
        while True:
            if permit is None:
                permit = await self._take_permit(request, asked_at, patience, refusal)
            attempt = Attempt(request, read)
            await self._try(attempt, permit)
            permit = None
            error = attempt.error
            if error is None:
                self._quota.give()
                return attempt
            match attempt.verdict:
                case Decision.PAUSE:
                    refusal = error
                case Decision.RETRY:
                    await self._back_off(request, error, retries)
                case Decision.OUTCOME_UNKNOWN:
                    return attempt
                case _:
                    raise error

    async def _take_permit(
        self, request: Request, asked_at: float, patience: float, refusal: HostUpError | None
    ) -> Permit:
        left = patience - (time.monotonic() - asked_at)
        on_wait = self._tell_wait if self.on_event else None
        try:
            return await self.limiter.acquire(
                request.kind, max_wait=max(0.0, left), since=asked_at, on_wait=on_wait
            )
        except RateLimited as error:
            raise _limited(request, error, refusal) from refusal

    async def _try(self, attempt: Attempt[Any], permit: Permit) -> None:
        deed = attempt.request.deed
        self.requests[attempt.request.kind.name.lower()] += 1
        if deed is None:
            await attempt.run(self, permit)
            return
        try:
            await attempt.run_to_the_end(self, permit)
        except asyncio.CancelledError as cancellation:
            if attempt.request.to_the_end and attempt.verdict in _ENDS and _uncancel():
                return
            if words := self._last_words(attempt, deed):
                cancellation.add_note(words)
                _LOGGER.warning(words)  # task groups and timeouts drop the exception and its notes
            raise

    def _tell_wait(self, snapshot: BudgetSnapshot) -> None:
        """Tell each wait once, and not each request that it keeps waiting."""
        until = time.monotonic() + snapshot.wait
        if snapshot.reason is not self._told_reason or until > self._told_until + _SAME_WAIT:
            self._told_reason, self._told_until = snapshot.reason, until
            tell(self.on_event, Waiting(snapshot.reason, snapshot.wait, snapshot.why))

    async def _back_off(self, request: Request, error: HostUpError, retries: Retries) -> None:
        delay = retries.next_delay(error.retry_after)
        if delay is None:
            raise error
        tell(self.on_event, Retrying(request.method, request.url.path, delay, str(error)))
        await anyio.sleep(delay)

    def _accept(self, attempt: Attempt[Job], deed: PowerAction) -> OperationRef:
        job = attempt.result()
        ticket = OperationRef(
            base=self.transport.base,
            vps_id=deed.vps_id,
            action=deed.action,
            job_id=job.id,
            poll_url=job.poll_url,
            sent_at=attempt.exchange.sent_at,
            accepted_at=time.time(),
        )
        if self.on_event is not None:
            token = make_token(ticket)
            tell(self.on_event, Accepted(deed.vps_id, deed.action, job.id, token))
        return ticket

    def _doubt(
        self, attempt: Attempt[Job], deed: PowerAction, error: HostUpError
    ) -> OutcomeUnknown:
        sent_at = attempt.exchange.sent_at
        tell(self.on_event, InDoubt(deed.vps_id, deed.action, sent_at, str(error)))
        return make_outcome_unknown(
            error,
            vps_id=deed.vps_id,
            action=deed.action,
            sent_at=sent_at,
            problem=error.problem,
        )

    def _last_words(self, attempt: Attempt[Job], deed: PowerAction) -> str | None:
        """What whoever catches the cancellation must know of the action."""
        match attempt.verdict:
            case Decision.ACCEPT:
                ticket = self._accept(attempt, deed)
                return (
                    f"The {deed.action} of {deed.vps_id} was accepted before the cancellation, as "
                    f"job {ticket.job_id!r}: "
                    f"follow it with client.operation({make_token(ticket)!r})."
                )
            case Decision.OUTCOME_UNKNOWN if attempt.error is not None:
                return str(self._doubt(attempt, deed, attempt.error))
            case _:
                return None


def _uncancel() -> bool:
    """Take back the cancellation of this task; whether it is the task that was cancelled."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0 and task.uncancel() >= 0


def _limited(request: Request, error: RateLimited, refusal: HostUpError | None) -> RateLimited:
    """The budget's error, with what became of the request before."""
    what = f"{request.what} was not sent" if refusal is None else f"{request.what} was limited: 429"
    problem = refusal.problem if refusal else None
    return RateLimited(f"{what}. {error}", problem=problem, wait=error.retry_after)
