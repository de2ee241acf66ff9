"""One call from first try to last: a permit, a try, a verdict, and perhaps again.

Everything above this module speaks of VPSes and jobs, everything below of bytes and moments.
"""

import asyncio
import time
from datetime import UTC, datetime
from typing import Final, TypeVar

import anyio

from hostup_async._attempt import Attempt, Line, Request
from hostup_async._errors import HostUpError, OutcomeUnknown, RateLimited
from hostup_async._events import Retrying, tell
from hostup_async._replies import Read
from hostup_async._retry import Retries, RetryQuota, Verdict, decide
from hostup_async._transport import Url

T = TypeVar("T")


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

    async def act(self, request: Request, read: Read[T]) -> tuple[T, float]:
        """A power action, sent at most once as far as can be known: its answer, when it was sent.

        Raises:
            OutcomeUnknown: It was sent, or may have been, and no answer tells what became of it.
        """
        attempt = await self._call(request, read, None)
        return attempt.result(), attempt.exchange.sent_at

    async def close(self) -> None:
        """Wait until no action is being sent any more, then close the line."""
        try:
            while self.line.acting:
                await asyncio.wait(self.line.acting)
        finally:
            await self.line.transport.close()

    async def _call(self, request: Request, read: Read[T], max_wait: float | None) -> Attempt[T]:
        retries = Retries(self._quota, self._patience)
        wait_until = time.monotonic() + (max_wait or self.line.budget.max_wait)
        refusal: HostUpError | None = None
        while True:
            await self._take_permit(wait_until, refusal)
            attempt = Attempt(request, read)
            await (attempt.run if request.action is None else attempt.run_to_the_end)(self.line)
            error = attempt.error
            if error is None:
                self._quota.give()
                return attempt
            match decide(attempt.happened, acts=request.action is not None):
                case Verdict.PAUSE:
                    refusal = error
                case Verdict.RETRY:
                    await self._back_off(request, error, retries)
                case Verdict.OUTCOME_UNKNOWN:
                    raise _outcome_unknown(request, error, attempt.exchange.sent_at) from error
                case _:
                    raise error

    async def _take_permit(self, wait_until: float, refusal: HostUpError | None) -> None:
        try:
            await self.line.budget.acquire(max(0.0, wait_until - time.monotonic()))
        except RateLimited as error:
            if refusal is not None:
                error.problem = refusal.problem
            raise

    async def _back_off(self, request: Request, error: HostUpError, retries: Retries) -> None:
        delay = retries.next_delay(error.retry_after)
        if delay is None:
            raise error
        tell(self.line.on_event, Retrying(request.method, request.url.path, delay, str(error)))
        await anyio.sleep(delay)


def _outcome_unknown(request: Request, error: HostUpError, sent_at: float) -> OutcomeUnknown:
    moment = datetime.fromtimestamp(sent_at, UTC).isoformat(timespec="seconds")
    return OutcomeUnknown(
        f"The {request.action} of {request.vps_id} was sent at {moment}, and nobody can tell what "
        f"became of it: {error} Do not send it again blindly: look at client.vps.status(...), "
        "where an uptime shorter than the time since then shows that it took place.",
        problem=error.problem,
        vps_id=request.vps_id,
        action=request.action,
        sent_at=sent_at,
    )
