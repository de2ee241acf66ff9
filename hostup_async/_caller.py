"""One call from first try to last: a permit, a try, a verdict, and perhaps again.

Everything above this module speaks of VPSes and jobs, everything below of bytes and moments.
"""

import asyncio
import logging
import time
from typing import Any, Final, TypeVar

import anyio

from hostup_async._answers import read_accepted
from hostup_async._attempt import Attempt, Deed, Line, Request
from hostup_async._errors import HostUpError, NetworkError, OutcomeUnknown, RateLimited
from hostup_async._events import Accepted, InDoubt, Retrying, tell
from hostup_async._models import Job
from hostup_async._refusals import make_outcome_unknown
from hostup_async._replies import Read
from hostup_async._retry import Retries, RetryQuota, Verdict
from hostup_async._token import Ticket, make_token
from hostup_async._transport import Url

T = TypeVar("T")
_LOGGER: Final = logging.getLogger("hostup")


class Caller:
    """Makes calls on one line, by the table of the retry module."""

    def __init__(self, line: Line, patience: float) -> None:
        self.line: Final = line
        self._patience = patience
        self._quota = RetryQuota()

    async def get(self, url: Url, read: Read[T], *, max_wait: float | None = None) -> T:
        """What `read` makes of the answer; `max_wait` seconds bound the waits for the limit."""
        attempt = await self._call(Request("GET", url), read, max_wait)
        return attempt.result()

    async def act(self, deed: Deed, url: Url, body: bytes | None = None) -> tuple[Ticket, Job]:
        """A power action, sent at most once as far as can be known: its job, and how to follow it.

        Raises:
            OutcomeUnknown: It was sent, or may have been, and no answer tells what became of it.
        """
        attempt = await self._call(Request("POST", url, body, deed), read_accepted, None)
        if attempt.error is not None:
            raise self._doubt(attempt, deed) from attempt.error
        return self._accept(attempt, deed), attempt.result()

    async def close(self) -> None:
        """Send nothing more, wait until no action is being sent, then close the line."""
        transport = self.line.transport
        transport.refuse()
        try:
            while self.line.acting:
                await asyncio.wait(self.line.acting)
        finally:
            await transport.close()

    async def _call(self, request: Request, read: Read[T], max_wait: float | None) -> Attempt[T]:
        """The first attempt that is answered, or that leaves the outcome unknown."""
        retries = Retries(self._quota, self._patience)
        wait_until = time.monotonic() + (max_wait or self.line.budget.max_wait)
        refusal: HostUpError | None = None
        while True:
            await self._take_permit(wait_until, refusal)
            attempt = Attempt(request, read)
            await self._try(attempt)
            error = attempt.error
            if error is None:
                self._quota.give()
                return attempt
            match attempt.verdict:
                case Verdict.PAUSE:
                    refusal = error
                case Verdict.RETRY:
                    await self._back_off(request, error, retries)
                case Verdict.OUTCOME_UNKNOWN:
                    return attempt
                case _:
                    raise error

    async def _take_permit(self, wait_until: float, refusal: HostUpError | None) -> None:
        try:
            await self.line.budget.acquire(max(0.0, wait_until - time.monotonic()))
        except RateLimited as error:
            if refusal is not None:
                error.problem = refusal.problem
            raise

    async def _try(self, attempt: Attempt[Any]) -> None:
        deed = attempt.request.deed
        if deed is None:
            await attempt.run(self.line)
            return
        try:
            await attempt.run_to_the_end(self.line)
        except asyncio.CancelledError as cancellation:
            if words := self._last_words(attempt, deed):
                cancellation.add_note(words)
                _LOGGER.warning(words)  # task groups and timeouts drop the exception and its notes
            raise

    async def _back_off(self, request: Request, error: HostUpError, retries: Retries) -> None:
        delay = retries.next_delay(error.retry_after)
        if delay is None:
            raise error
        tell(self.line.on_event, Retrying(request.method, request.url.path, delay, str(error)))
        await anyio.sleep(delay)

    def _accept(self, attempt: Attempt[Job], deed: Deed) -> Ticket:
        job = attempt.result()
        ticket = Ticket(
            base=self.line.transport.base,
            vps_id=deed.vps_id,
            action=deed.action,
            job_id=job.id,
            poll_url=job.poll_url,
            sent_at=attempt.exchange.sent_at,
            accepted_at=time.time(),
        )
        if self.line.on_event is not None:
            token = make_token(ticket)
            tell(self.line.on_event, Accepted(deed.vps_id, deed.action, job.id, token))
        return ticket

    def _doubt(self, attempt: Attempt[Job], deed: Deed) -> OutcomeUnknown:
        sent_at = attempt.exchange.sent_at
        error = attempt.error or NetworkError("It was cut off before its answer came.")
        tell(self.line.on_event, InDoubt(deed.vps_id, deed.action, sent_at, str(error)))
        return make_outcome_unknown(
            error,
            vps_id=deed.vps_id,
            action=deed.action,
            sent_at=sent_at,
            problem=error.problem,
        )

    def _last_words(self, attempt: Attempt[Job], deed: Deed) -> str | None:
        """What whoever catches the cancellation must know of the action."""
        match attempt.verdict:
            case Verdict.ACCEPT:
                ticket = self._accept(attempt, deed)
                return (
                    f"The {deed.action} of {deed.vps_id} was accepted before the cancellation, as "
                    f"job {ticket.job_id!r}: "
                    f"follow it with client.operation({make_token(ticket)!r})."
                )
            case Verdict.OUTCOME_UNKNOWN:
                return str(self._doubt(attempt, deed))
            case _:
                return None
