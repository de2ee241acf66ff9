"""One call from its first try to its last: a permit, a try, a decision, and perhaps another try.

Everything above this module speaks of VPSes and jobs, everything below of bytes and moments.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final, TypeVar

import anyio

from hostup_async import _clock
from hostup_async._cancellation import finish
from hostup_async._errors import HostUpError, NetworkError, OutcomeUnknown, RateLimited
from hostup_async._events import (
    Accepted,
    InDoubt,
    OnEvent,
    Paused,
    RequestDone,
    Retrying,
    Waiting,
    tell,
)
from hostup_async._http.attempt import PowerAction, Request, Sent, in_doubt, send
from hostup_async._http.jobs import read_accepted, read_job
from hostup_async._http.problems import make_outcome_unknown
from hostup_async._http.responses import Read
from hostup_async._http.retry import Decision, Retries, RetryQuota
from hostup_async._http.transport import Exchange, Transport, Url
from hostup_async._models import Job
from hostup_async._ratelimit.headers import EMPTY
from hostup_async._ratelimit.limiter import RateLimiter
from hostup_async._ratelimit.limits import RequestClass, WaitReason
from hostup_async._ratelimit.queue import Permit
from hostup_async._ratelimit.snapshot import BudgetSnapshot
from hostup_async._token import OperationRef, make_token

T = TypeVar("T")
TryOnce = Callable[[Request, Read[T], Permit], Awaitable[Sent[T]]]

_LOGGER: Final = logging.getLogger("hostup")
# Seconds. Two waits that end this close together are one wait to the listener.
_SAME_WAIT: Final = 0.05
_ENDS: Final = frozenset({Decision.ACCEPT, Decision.OUTCOME_UNKNOWN, Decision.RAISE})


class Requester:
    """Makes calls, by the table of the retry module.

    Attributes:
        transport: What sends.
        limiter: What grants the permits to send.
        on_event: Told of requests, retries, waits, and of actions accepted or in doubt.
        on_pause: Called at each pause that a 429 begins, after `on_event`: runs record it.
        requests: How many it has sent, by kind.
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
        self.requests: Final = Counter[str]()
        self._actions_under_way = set[asyncio.Task[Sent[Job]]]()
        self._patience = patience
        self._quota = RetryQuota()
        self._told_reason = WaitReason.NONE
        self._told_until = 0.0

    @property
    def base(self) -> str:
        """The API's origin."""
        return self.transport.base

    def api_url(self, path: str, query: Mapping[str, str] | None = None) -> Url:
        """The URL of a route under `/api/v2`; the path is quoted already, the query is not."""
        return self.transport.api_url(path, query)

    def trusted_url(self, poll_url: str) -> Url:
        """The URL that a `pollUrl` means; raises `UntrustedPollUrl` where that is elsewhere."""
        return self.transport.trusted_url(poll_url)

    async def open(self) -> None:
        """Begin to send, on the running loop."""
        await self.transport.open()

    async def close(self) -> None:
        """Send nothing more, wait until no action is being sent, then close the session."""
        self.transport.refuse()
        try:
            while self._actions_under_way:
                await asyncio.wait(self._actions_under_way)
        finally:
            await self.transport.close()

    async def get(
        self,
        url: Url,
        read: Read[T],
        kind: RequestClass = RequestClass.PREFLIGHT,
        *,
        max_wait: float | None = None,
        permit: Permit | None = None,
    ) -> T:
        """What `read` makes of the response.

        Args:
            url: Where to ask.
            read: Makes a value of the response's JSON.
            kind: What the request is for.
            max_wait: Bounds the waits for the rate limit, in seconds; None for the budget's bound.
            permit: One that was taken before; it is spent on the first try.
        """
        request = Request("GET", url, kind=kind)
        return _value(await self._call(request, read, self._try_read, max_wait, permit))

    async def poll_job(
        self, url: Url, *, max_wait: float | None = None, permit: Permit | None = None
    ) -> tuple[Job, float]:
        """Poll a job; `max_wait` and `permit` are as for `get`.

        Returns:
            The job, and how many seconds the API asks to wait before the next poll.
        """
        request = Request("GET", url, kind=RequestClass.POLL)
        sent = await self._call(request, read_job, self._try_read, max_wait, permit)
        return _value(sent), sent.reading.retry_after or 0.0

    async def send_action(
        self, power_action: PowerAction, url: Url, body: bytes | None = None
    ) -> tuple[OperationRef, Job]:
        """Send a power action, at most once as far as can be known.

        A cancellation while it is being sent is raised when its response has come, and bears a
        note that says how to follow the job.

        Returns:
            How to follow the job, and the job.

        Raises:
            OutcomeUnknown: It was sent, or may have been, and its outcome is unknown.
        """
        request = Request("POST", url, body, power_action, RequestClass.ACTION)
        return await self._act(request, power_action, self._try_action, None)

    async def send_action_to_the_end(
        self,
        power_action: PowerAction,
        url: Url,
        body: bytes | None = None,
        *,
        permit: Permit | None = None,
    ) -> tuple[OperationRef, Job]:
        """Send a power action, and return its job even if the caller is cancelled meanwhile.

        A cancellation while it is being sent is dropped, so the caller must learn in another way
        that it is to stop. One that comes before is raised, and nothing is
        sent. All else is as for `send_action`; `permit` is as for `get`.
        """
        request = Request("POST", url, body, power_action, RequestClass.ACTION)
        try_once = partial(self._try_action, drops_cancellation=True)
        return await self._act(request, power_action, try_once, permit)

    async def _act(
        self,
        request: Request,
        power_action: PowerAction,
        try_once: TryOnce[Job],
        permit: Permit | None,
    ) -> tuple[OperationRef, Job]:
        sent = await self._call(request, read_accepted, try_once, None, permit)
        if sent.decision is Decision.OUTCOME_UNKNOWN and isinstance(sent.result, HostUpError):
            raise self._doubt(sent, power_action, sent.result) from sent.result
        job = _value(sent)
        return self._accept(sent, power_action, job), job

    async def _call(
        self,
        request: Request,
        read: Read[T],
        try_once: TryOnce[T],
        max_wait: float | None,
        permit: Permit | None,
    ) -> Sent[T]:
        """The last try: it has the value, or the error that the call ends with."""
        retries = Retries(self._quota, self._patience)
        patience = self.limiter.max_wait if max_wait is None else max_wait
        asked_at = _clock.monotonic()
        refusal: HostUpError | None = None
        while True:
            with permit or await self._take_permit(request, asked_at, patience, refusal) as granted:
                sent = await try_once(request, read, granted)
            permit = None
            if not isinstance(sent.result, HostUpError):
                self._quota.give()
                return sent
            if sent.decision is Decision.PAUSE:
                refusal = sent.result
            elif not (sent.decision is Decision.RETRY and await self._back_off(sent, retries)):
                return sent

    async def _take_permit(
        self, request: Request, asked_at: float, patience: float, refusal: HostUpError | None
    ) -> Permit:
        left = patience - (_clock.monotonic() - asked_at)
        on_wait = self._tell_wait if self.on_event else None
        try:
            return await self.limiter.acquire(
                request.kind, max_wait=max(0.0, left), since=asked_at, on_wait=on_wait
            )
        except RateLimited as error:
            raise _rate_limited_error(request, error, refusal) from refusal

    async def _try_read(self, request: Request, read: Read[T], permit: Permit) -> Sent[T]:
        return await self._send(request, read, permit, Exchange())

    async def _try_action(
        self,
        request: Request,
        read: Read[Job],
        permit: Permit,
        *,
        drops_cancellation: bool = False,
    ) -> Sent[Job]:
        """Send in a task of its own, which runs to its end although this one is cancelled.

        Cutting the connection would not take the action back, only hide its outcome. What was
        not sent yet is cancelled at once.
        """
        exchange = Exchange()
        task = asyncio.create_task(self._send(request, read, permit, exchange))
        self._actions_under_way.add(task)
        task.add_done_callback(self._actions_under_way.discard)
        try:
            return await finish(task, on_cancel=lambda: exchange.sends or task.cancel())
        except asyncio.CancelledError as cancellation:
            sent = _what_is_known(task, request, exchange)
            if sent is not None:
                if drops_cancellation and sent.decision in _ENDS and _uncancel():
                    return sent
                self._add_note(cancellation, sent)
            raise

    async def _send(
        self, request: Request, read: Read[T], permit: Permit, exchange: Exchange
    ) -> Sent[T]:
        """Send once; count it, give the permit back, and tell the listener."""
        self.requests[request.kind.name.lower()] += 1
        started = _clock.monotonic()
        sent: Sent[T] | None = None
        try:
            sent = await send(self.transport, request, read, exchange)
            return sent
        finally:
            throttled = sent is not None and sent.decision is Decision.PAUSE
            reading = EMPTY if sent is None else sent.reading
            pause = permit.spend(reading, sends=exchange.sends, throttled=throttled)
            if self.on_event is not None or pause is not None:
                status = None if sent is None else sent.status
                self._tell_done(request, status, _clock.monotonic() - started, pause)

    def _tell_done(
        self, request: Request, status: int | None, duration: float, pause: float | None
    ) -> None:
        tell(self.on_event, RequestDone(request.method, request.url.path, status, duration))
        if pause is not None:
            paused = Paused(pause, self.limiter.snapshot().queued)
            for listener in (self.on_event, *self.on_pause):
                tell(listener, paused)

    def _tell_wait(self, snapshot: BudgetSnapshot) -> None:
        """Tell each wait once, and not for each request that waits for the same moment."""
        until = _clock.monotonic() + snapshot.wait
        if snapshot.reason is not self._told_reason or until > self._told_until + _SAME_WAIT:
            self._told_reason, self._told_until = snapshot.reason, until
            tell(self.on_event, Waiting(snapshot.reason, snapshot.wait, snapshot.why))

    async def _back_off(self, sent: Sent[T], retries: Retries) -> bool:
        """Wait before the next try; False where there shall be none."""
        request, error = sent.request, sent.result
        assert isinstance(error, HostUpError)  # noqa: S101 - nothing else is tried again
        delay = retries.next_delay(error.retry_after)
        if delay is None:
            return False
        tell(self.on_event, Retrying(request.method, request.url.path, delay, str(error)))
        await anyio.sleep(delay)
        return True

    def _accept(self, sent: Sent[Job], power_action: PowerAction, job: Job) -> OperationRef:
        ref = OperationRef(
            base=self.base,
            vps_id=power_action.vps_id,
            action=power_action.action,
            job_id=job.id,
            poll_url=job.poll_url,
            sent_at=sent.sent_at,
            accepted_at=_clock.wall(),
        )
        if self.on_event is not None:
            accepted = Accepted(power_action.vps_id, power_action.action, job.id, make_token(ref))
            tell(self.on_event, accepted)
        return ref

    def _doubt(
        self, sent: Sent[Job], power_action: PowerAction, error: HostUpError
    ) -> OutcomeUnknown:
        action, vps_id = power_action
        tell(self.on_event, InDoubt(vps_id, action, sent.sent_at, str(error)))
        return make_outcome_unknown(
            error, vps_id=vps_id, action=action, sent_at=sent.sent_at, problem=error.problem
        )

    def _add_note(self, cancellation: asyncio.CancelledError, sent: Sent[Job]) -> None:
        note = self._cancellation_note(sent)
        if note is not None:
            cancellation.add_note(note)
            _LOGGER.warning(note)  # task groups and timeouts drop the exception and its notes

    def _cancellation_note(self, sent: Sent[Job]) -> str | None:
        """What the one who catches the cancellation must know of the action; None for nothing."""
        power_action = sent.request.power_action
        if power_action is None:
            return None
        if isinstance(sent.result, HostUpError):
            if sent.decision is not Decision.OUTCOME_UNKNOWN:
                return None
            return str(self._doubt(sent, power_action, sent.result))
        ref = self._accept(sent, power_action, sent.result)
        return (
            f"The {power_action.action} of {power_action.vps_id} was accepted before the "
            f"cancellation, as job {ref.job_id!r}: "
            f"follow it with client.operation({make_token(ref)!r})."
        )


def _value(sent: Sent[T]) -> T:
    if isinstance(sent.result, HostUpError):
        raise sent.result
    return sent.result


def _what_is_known(
    task: asyncio.Task[Sent[Job]], request: Request, exchange: Exchange
) -> Sent[Job] | None:
    """A try whose caller was cancelled, and whose task has ended; None if nothing went out."""
    if not task.cancelled() and task.exception() is None:
        return task.result()
    if not exchange.sends:
        return None
    return in_doubt(request, exchange, NetworkError("It was cut off before its response came."))


def _uncancel() -> bool:
    """Take back the cancellation of this task; whether it is the task that was cancelled."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0 and task.uncancel() >= 0


def _rate_limited_error(
    request: Request, error: RateLimited, refusal: HostUpError | None
) -> RateLimited:
    """The limiter's error, with the API's 429 that came before it, if one did."""
    what = f"{request.what} was not sent" if refusal is None else f"{request.what} was limited: 429"
    problem = refusal.problem if refusal else None
    return RateLimited(f"{what}. {error}", problem=problem, wait=error.retry_after)
