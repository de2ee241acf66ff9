"""A job that is followed: how to poll it, and the future of its end."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from hostup_async._errors import (
    ClientClosed,
    ConfigurationError,
    Forbidden,
    HostUpError,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    Unauthorized,
    UntrustedPollUrl,
)
from hostup_async._models import Job
from hostup_async._ratelimit.queue import Permit

PollJob = Callable[[Permit, float], Awaitable[tuple[Job, float]]]
"""Polls a job once. Spends the permit; waits at most the given number of seconds for the limit.
Returns the job and the number of seconds before the next poll."""

# How long the last poll of a job may take, in seconds from the deadline or from its own beginning:
# enough for a request that is tried twice, and not long for whoever set the deadline.
LAST_POLL: Final = 5.0
# How much of that, in seconds, a process has for an answer that came while it was suspended.
_AWAKE: Final = 1.0
# Errors of this process, not answers: the job cannot be polled.
_OURS: Final = (RateLimited, ClientClosed, UntrustedPollUrl, ConfigurationError)
# Answers that end the wait if two polls in a row get them, at least this many seconds apart: one
# alone may come from a front end that restarts, or be another request's. Every other answer that
# does not show the job costs its poll, and nothing more.
_REFUSALS: Final = (Unauthorized, Forbidden, NotFound, OutcomeUnknown)
_CONFIRMED_AFTER: Final = 1.0


class Watch:
    """A job that is followed.

    Args:
        poll: How to poll it.
        deadline: When the wait for its end is over, by the loop's clock; a last poll, begun then
            or later, decides.

    Attributes:
        deadline: When the wait for its end is over, by the loop's clock.
        task: The poll that is under way or was the last.
        end: The job as it ended, or what kept us from knowing.
    """

    __slots__ = ("_poll", "_refusal", "deadline", "end", "task")

    def __init__(self, poll: PollJob, deadline: float) -> None:
        self._poll = poll
        self.deadline: float = deadline
        self._refusal: tuple[type[HostUpError], float] | None = None
        self.task: asyncio.Task[None] | None = None
        self.end: asyncio.Future[Job] = asyncio.get_running_loop().create_future()

    async def poll(self, permit: Permit) -> tuple[Job, float] | None:
        """Poll it; None where no answer showed the job, which costs this poll and nothing more.

        A poll that is not the last one is cut off in time for the last one to begin.
        """
        began = asyncio.get_running_loop().time()
        max_wait = self.patience(began)
        answer = None
        try:
            async with _time_to_answer(max_wait):
                answer = await self._poll(permit, max_wait)
                self._refusal = None
        except _OURS:
            raise
        except HostUpError as error:
            self._weigh(error, began)
        except TimeoutError:
            pass
        if began >= self.deadline and (answer is None or not answer[0].is_final):
            self.resolve(TimeoutError("The last poll did not find the job over."))
        return answer

    def _weigh(self, error: HostUpError, now: float) -> None:
        """Believe a refusal if it is the second of its kind in a row."""
        if not isinstance(error, _REFUSALS):
            return
        if self._refusal is None or self._refusal[0] is not type(error):
            self._refusal = type(error), now
        elif now - self._refusal[1] >= _CONFIRMED_AFTER:
            raise error

    def patience(self, now: float) -> float:
        """How long a poll that begins now may take, in seconds."""
        return max(now, self.deadline) + LAST_POLL - now

    @property
    def is_being_polled(self) -> bool:
        """Whether a poll is under way."""
        return self.task is not None and not self.task.done()

    def cancel(self) -> None:
        """End the waiting; a poll under way is cut off."""
        self.abort()
        self.end.cancel()

    def abort(self) -> None:
        """Cut a poll off; one that has not begun must begin, to give its permit back."""
        if self.task is not None:
            self.task.cancel()

    def resolve(self, end: Job | Exception) -> None:
        """Set the end, unless it is known or the waiting was cancelled."""
        if self.end.done():
            return
        if isinstance(end, Exception):
            self.end.set_exception(end)
            self.end.exception()  # retrieved: where nothing follows the job, it is not lost
        else:
            self.end.set_result(end)


@asynccontextmanager
async def _time_to_answer(seconds: float) -> AsyncGenerator[None]:
    """Raise TimeoutError after these seconds, the last of which begins with the process awake.

    A process that was suspended finds both the answer in its socket and its time used up. A plain
    timeout would cancel the reading, and a job that is over would be reported as timed out.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as timeout:
        last_second = loop.call_later(
            seconds - _AWAKE, lambda: timeout.reschedule(loop.time() + _AWAKE)
        )
        try:
            yield
        finally:
            last_second.cancel()
