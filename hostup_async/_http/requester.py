"""The requests of a client: reads, polls, and power actions that are not sent twice.

Everything above this module speaks of VPSes and jobs, everything below of bytes and moments.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, TypeVar

from attrs import evolve

from hostup_async import _clock
from hostup_async._cancellation import finish
from hostup_async._errors import (
    ApiError,
    HostUpError,
    NetworkError,
    OutcomeUnknown,
    ServerError,
    UnreadableReply,
)
from hostup_async._events import (
    Accepted,
    InDoubt,
    OnEvent,
    Paused,
    tell,
)
from hostup_async._http.accepted import AcceptedJobs
from hostup_async._http.attempt import PowerAction, Request, SendGuard, Sent, in_doubt
from hostup_async._http.call import CallLoop, TryOnce
from hostup_async._http.exchange import Exchange
from hostup_async._http.identity import Subject
from hostup_async._http.jobs import read_accepted, read_job
from hostup_async._http.problems import make_outcome_unknown
from hostup_async._http.responses import Read
from hostup_async._http.retry import Decision, RequestOutcome
from hostup_async._http.transport import Transport, Url
from hostup_async._models import Job
from hostup_async._ratelimit.limiter import RateLimiter
from hostup_async._ratelimit.limits import RequestClass
from hostup_async._ratelimit.queue import Permit
from hostup_async._token import OperationRef, make_token

T = TypeVar("T")

_LOGGER: Final = logging.getLogger("hostup.http")
# Responses to a poll that are not the API's word about the job.
_STRAY: Final = frozenset(
    {RequestOutcome.IN_DOUBT, RequestOutcome.UNEXPECTED, RequestOutcome.FILTERED}
)
_ENDS: Final = frozenset({Decision.ACCEPT, Decision.OUTCOME_UNKNOWN, Decision.RAISE})


class Requester:
    """The requests of one client: what it reads, the jobs that it polls, the actions that it sends.

    How often a request is tried is the `CallLoop`'s to say. An action is sent in a task of its own,
    so that no cancellation hides its outcome, and each job is accepted for one VPS alone.

    Attributes:
        limiter: What grants the permits to send.
        on_event: Told of requests, retries, waits, and of actions accepted or in doubt.
        jobs: The jobs that were accepted, each with its VPS.
    """

    def __init__(
        self,
        transport: Transport,
        limiter: RateLimiter,
        on_event: OnEvent | None,
        patience: float,
    ) -> None:
        self.limiter: Final = limiter
        self.on_event: Final = on_event
        self._calls: Final = CallLoop(transport, limiter, on_event, patience)
        self.jobs: Final = AcceptedJobs()
        self._actions_under_way = set[asyncio.Task[Sent[Job]]]()

    @property
    def on_pause(self) -> list[Callable[[Paused], None]]:
        """Called at each pause that a 429 begins: runs record it."""
        return self._calls.on_pause

    @property
    def requests(self) -> Counter[str]:
        """How many requests were sent, by kind."""
        return self._calls.requests

    @property
    def transport(self) -> Transport:
        """What sends the requests."""
        return self._calls.transport

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

    @property
    def is_open(self) -> bool:
        """Whether it can send."""
        return self.transport.is_open

    async def open(self) -> None:
        """Begin to send, on the running loop."""
        await self.transport.open()

    def refuse(self) -> None:
        """Send nothing more; what is being sent may end."""
        self.transport.refuse()

    async def close(self) -> None:
        """After `refuse`: wait until no action is being sent, then close the session."""
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
        subject: Subject | None = None,
        max_wait: float | None = None,
        permit: Permit | None = None,
    ) -> T:
        """What `read` makes of the response.

        Args:
            url: Where to ask.
            read: Makes a value of the response's JSON.
            kind: What the request is for.
            subject: What the response must name; None for what names nothing, such as a page.
            max_wait: Bounds the waits for the rate limit, in seconds; None for the budget's bound.
            permit: One that was taken before; it is spent on the first try.
        """
        vps_id = subject.id if subject else None
        request = Request("GET", url, kind=kind, subject=subject, vps_id=vps_id)
        return _value(await self._calls.run(request, read, max_wait=max_wait, permit=permit))

    async def poll_job(
        self,
        url: Url,
        job_id: str | None,
        *,
        vps_id: str | None = None,
        max_wait: float | None = None,
        permit: Permit | None = None,
    ) -> tuple[Job, float]:
        """Poll a job.

        Args:
            url: The job's poll URL.
            job_id: The id that the response must name, if it names one; None if it is not known.
            vps_id: The VPS that the job is about, None if it is not known; for the events.
            max_wait: Bounds the waits for the rate limit, in seconds; None for the budget's bound.
            permit: One that was taken before; it is spent on the first try.

        Returns:
            The job, and how many seconds the API asks to wait before the next poll.

        Raises:
            UnreadableReply: The responses were not the API's, or another job's. That says nothing
                about this job.
        """
        subject = None if job_id is None else Subject(Job, job_id)
        request = Request("GET", url, kind=RequestClass.POLL, subject=subject, vps_id=vps_id)
        sent = await self._calls.run(request, read_job, max_wait=max_wait, permit=permit)
        is_stray = sent.outcome in _STRAY and not isinstance(sent.result, ServerError)
        if is_stray and isinstance(sent.result, ApiError):
            msg = f"The job's poll was not answered by the API itself: {sent.result}"
            raise UnreadableReply(msg) from None
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
        request = _action_request(power_action, url, body)
        return await self._act(request, power_action, self._try_action, None)

    async def send_action_to_the_end(
        self,
        power_action: PowerAction,
        url: Url,
        body: bytes | None = None,
        *,
        permit: Permit,
        guard: SendGuard,
    ) -> tuple[OperationRef, Job]:
        """Send a power action, and return its job even if the caller is cancelled meanwhile.

        It is sent at most once, as far as can be known. A cancellation while it is being sent is
        dropped, so the caller must learn in another way that it is to stop. One that comes before
        is raised, and nothing is sent.

        Args:
            power_action: What to do, and to which VPS.
            url: Where to send it.
            body: What to send, as JSON.
            permit: One that was taken before; it is spent on the first try.
            guard: Asked before each try and just before its headers go out; what it raises keeps
                them back.

        Returns:
            How to follow the job, and the job.

        Raises:
            OutcomeUnknown: It was sent, or may have been, and its outcome is unknown.
        """
        request = _action_request(power_action, url, body)
        try_once = partial(self._try_action, drops_cancellation=True, guard=guard)
        return await self._act(request, power_action, try_once, permit)

    async def _act(
        self,
        request: Request,
        power_action: PowerAction,
        try_once: TryOnce[Job],
        permit: Permit | None,
    ) -> tuple[OperationRef, Job]:
        sent = await self._calls.run(request, read_accepted, permit=permit, try_once=try_once)
        if sent.decision is Decision.OUTCOME_UNKNOWN and isinstance(sent.result, HostUpError):
            raise self._doubt(sent, power_action, sent.result) from sent.result
        job = _value(sent)
        return self._accept(sent, power_action, job), job

    async def _try_action(
        self,
        request: Request,
        read: Read[Job],
        permit: Permit,
        exchange: Exchange,
        *,
        drops_cancellation: bool = False,
        guard: SendGuard | None = None,
    ) -> Sent[Job]:
        """Send in a task of its own, which runs to its end although this one is cancelled.

        Cutting the connection would not take the action back, only hide its outcome. What was
        not sent yet is cancelled at once.
        """
        if guard is not None:
            await guard.renew()
            exchange.last_checks.append(guard.check)
            exchange.on_sent = guard.note_sent
        task = asyncio.create_task(self._send_action(request, read, permit, exchange))
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

    async def _send_action(
        self, request: Request, read: Read[Job], permit: Permit, exchange: Exchange
    ) -> Sent[Job]:
        """Send once; in doubt where it was accepted with a job that another VPS has."""
        sent = await self._calls.send_once(request, read, permit, exchange)
        action, job = request.power_action, sent.result
        if action is None or isinstance(job, HostUpError):
            return sent
        if self.jobs.claim(action.vps_id, job.id, job.poll_url):
            return sent
        msg = f"The API named the job {job.id!r} for another VPS as well, so it settles neither."
        return evolve(sent, outcome=RequestOutcome.IN_DOUBT, result=UnreadableReply(msg))

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
            accepted = Accepted(
                power_action.vps_id,
                power_action.action,
                job.id,
                make_token(ref),
                attempt=sent.attempt,
                request_id=sent.request_id,
            )
            tell(self.on_event, accepted)
        return ref

    def _doubt(
        self, sent: Sent[Job], power_action: PowerAction, error: HostUpError
    ) -> OutcomeUnknown:
        action, vps_id = power_action
        doubt = InDoubt(
            vps_id,
            action,
            sent.sent_at,
            str(error),
            attempt=sent.attempt,
            request_id=sent.request_id,
        )
        tell(self.on_event, doubt)
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


def _action_request(power_action: PowerAction, url: Url, body: bytes | None) -> Request:
    vps_id = power_action.vps_id
    return Request("POST", url, body, power_action, RequestClass.ACTION, vps_id=vps_id)


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
