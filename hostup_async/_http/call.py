"""One call from its first try to its last: a permit, a try, a decision, and perhaps another try."""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from logging import DEBUG
from typing import Final, TypeVar

import anyio

from hostup_async import _clock
from hostup_async._errors import HostUpError, RateLimited
from hostup_async._events import OnEvent, Paused, RequestDone, Retrying, Waiting, tell
from hostup_async._http.attempt import Request, Sent, send
from hostup_async._http.exchange import Exchange, TooLate
from hostup_async._http.identity import Identified, named_id
from hostup_async._http.responses import Read
from hostup_async._http.retry import Decision, Retries, RetryQuota
from hostup_async._http.transport import Transport
from hostup_async._models import VpsStatus
from hostup_async._ratelimit.headers import EMPTY
from hostup_async._ratelimit.limiter import RateLimiter
from hostup_async._ratelimit.limits import WaitReason
from hostup_async._ratelimit.queue import Permit
from hostup_async._ratelimit.snapshot import BudgetSnapshot

T = TypeVar("T")
TryOnce = Callable[[Request, Read[T], Permit, Exchange], Awaitable[Sent[T]]]

_LOGGER: Final = logging.getLogger("hostup.http")
# Seconds. Two waits that end this close together are one wait to the listener.
_SAME_WAIT: Final = 0.05


class CallLoop:
    """Makes calls, by the table of the retry module.

    Attributes:
        transport: What sends.
        limiter: What grants the permits to send.
        on_event: Told of requests, retries and waits.
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
        self._patience = patience
        self._quota = RetryQuota()
        self._last_wait = WaitReason.NONE, 0.0  # why, and until when, as the listener was told
        # What is asked for on a connection of its own: a status is evidence of a reset, and an
        # older one of the same VPS must not stand for it; other models join where the API's
        # responses turn out to name no id.
        self._on_own_connection: set[type[Identified]] = {VpsStatus}

    async def run(
        self,
        request: Request,
        read: Read[T],
        *,
        max_wait: float | None = None,
        permit: Permit | None = None,
        try_once: TryOnce[T] | None = None,
    ) -> Sent[T]:
        """Make a call; the last try has the value, or the error that the call ends with.

        Args:
            request: What to send.
            read: Makes the value of a response's JSON.
            max_wait: Bounds the waits for the rate limit, in seconds; None for the budget's bound.
            permit: One that was taken before; it is spent on the first try.
            try_once: How to send; by default `send_once`.
        """
        retries = Retries(self._quota, self._patience)
        left = self.limiter.max_wait if max_wait is None else max_wait
        asked_at = _clock.monotonic()
        refusal: HostUpError | None = None
        own_connection = self._needs_own_connection(request)
        attempt = 0
        while True:
            attempt += 1
            began = _clock.monotonic()
            with permit or await self._take_permit(request, asked_at, left, refusal) as granted:
                waited = _clock.monotonic() - began
                left -= waited if waited < left else 0.0  # else the process slept meanwhile
                exchange = Exchange(own_connection=own_connection, attempt=attempt)
                exchange.last_checks.append(partial(_keep_out_of_pause, granted))
                sent = await (try_once or self.send_once)(request, read, granted, exchange)
            permit, own_connection = None, True
            if not isinstance(sent.result, HostUpError):
                self._note_answer(sent)
                return sent
            if sent.decision is Decision.PAUSE:
                refusal = sent.result
            elif not await self._shall_retry(sent, sent.result, retries):
                return sent

    async def send_once(
        self, request: Request, read: Read[T], permit: Permit, exchange: Exchange
    ) -> Sent[T]:
        """Send once; count it, give the permit back, and tell the listener."""
        started = _clock.monotonic()
        sent: Sent[T] | None = None
        try:
            sent = await send(self.transport, request, read, exchange)
            return sent
        finally:
            self.requests[request.kind.name.lower()] += exchange.sends
            throttled = sent is not None and sent.decision is Decision.PAUSE
            reading = EMPTY if sent is None else sent.reading
            pause = permit.spend(reading, sends=exchange.sends, throttled=throttled)
            if self.on_event is not None or pause is not None or _LOGGER.isEnabledFor(DEBUG):
                done = _request_done(request, exchange, sent, _clock.monotonic() - started)
                self._tell_done(done, pause)

    def _needs_own_connection(self, request: Request) -> bool:
        return request.subject is None or request.subject.model in self._on_own_connection

    def _note_answer(self, sent: Sent[T]) -> None:
        self._quota.give()
        subject = sent.request.subject
        if subject is not None and named_id(sent.result) is None:
            self._on_own_connection.add(subject.model)

    async def _take_permit(
        self, request: Request, asked_at: float, max_wait: float, refusal: HostUpError | None
    ) -> Permit:
        on_wait = self._tell_wait if self.on_event else None
        try:
            return await self.limiter.acquire(
                request.kind, max_wait=max_wait, since=asked_at, on_wait=on_wait
            )
        except RateLimited as error:
            raise _rate_limited_error(request, error, refusal) from refusal

    async def _shall_retry(self, sent: Sent[T], error: HostUpError, retries: Retries) -> bool:
        """Whether to try again; if so, the wait before that is over."""
        if sent.decision is Decision.REPEAT:
            return True
        is_brief = sent.decision is Decision.RETRY_BRIEFLY
        if sent.decision is not Decision.RETRY and not is_brief:
            return False
        delay = retries.next_delay(error.retry_after, is_brief=is_brief)
        if delay is None:
            return False
        request = sent.request
        retrying = Retrying(
            request.method,
            request.url.path,
            delay,
            str(error),
            vps_id=request.vps_id,
            attempt=sent.attempt,
            request_id=sent.request_id,
        )
        tell(self.on_event, retrying)
        _LOGGER.debug("%s is tried again in %.1f s: %s", request.what, delay, error)
        await anyio.sleep(delay)
        return True

    def _tell_done(self, done: RequestDone, pause: float | None) -> None:
        _LOGGER.debug(
            "%s %s: %s in %.3f s, attempt %s, request id %s",
            done.method,
            done.path,
            done.status or "no response",
            done.seconds,
            done.attempt,
            done.request_id or "none",
        )
        tell(self.on_event, done)
        if pause is not None:
            paused = Paused(pause, self.limiter.snapshot().queued, request_id=done.request_id)
            _LOGGER.info("The API answered with 429: nothing is sent for %.1f s", pause)
            for listener in (self.on_event, *self.on_pause):
                tell(listener, paused)

    def _tell_wait(self, snapshot: BudgetSnapshot) -> None:
        """Tell each wait once, and not for each request that waits for the same moment."""
        until = _clock.monotonic() + snapshot.wait
        last_reason, last_until = self._last_wait
        if snapshot.reason is not last_reason or until > last_until + _SAME_WAIT:
            self._last_wait = snapshot.reason, until
            tell(self.on_event, Waiting(snapshot.reason, snapshot.wait, snapshot.why))


def _request_done(
    request: Request, exchange: Exchange, sent: Sent[T] | None, seconds: float
) -> RequestDone:
    return RequestDone(
        request.method,
        request.url.path,
        None if sent is None else sent.status,
        seconds,
        vps_id=request.vps_id,
        attempt=exchange.attempt,
        request_id=None if sent is None else sent.request_id,
    )


def _keep_out_of_pause(permit: Permit) -> None:
    """Keep a request back that waited, for a connection or a record, until a 429 came meanwhile."""
    if permit.is_paused:
        msg = "The request was not sent: a 429 has paused everything since it was let through."
        raise TooLate(msg)


def _rate_limited_error(
    request: Request, error: RateLimited, refusal: HostUpError | None
) -> RateLimited:
    """The limiter's error, with the API's 429 that came before it, if one did."""
    what = f"{request.what} was not sent" if refusal is None else f"{request.what} was limited: 429"
    problem = refusal.problem if refusal else None
    return RateLimited(f"{what}. {error}", problem=problem, wait=error.retry_after)
