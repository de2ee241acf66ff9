"""A job that is followed: how to poll it, and the future of its end."""

import asyncio
from collections.abc import Awaitable, Callable

from hostup_async._errors import NetworkError, ServerError, UnreadableReply
from hostup_async._models import Job
from hostup_async._ratelimit.queue import Permit

PollJob = Callable[[Permit, float], Awaitable[tuple[Job, float]]]
"""Polls a job once. Spends the permit; waits at most the given number of seconds for the limit.
Returns the job and the number of seconds before the next poll."""


class Watch:
    """A job that is followed.

    Args:
        poll: How to poll it.
        deadline: When the wait for its end is over, by the loop's clock.

    Attributes:
        deadline: The same.
        task: The poll that is under way or was the last.
        end: The job as it ended, or what kept us from knowing.
    """

    __slots__ = ("_poll", "deadline", "end", "task")

    def __init__(self, poll: PollJob, deadline: float) -> None:
        self._poll = poll
        self.deadline: float = deadline
        self.task: asyncio.Task[None] | None = None
        self.end: asyncio.Future[Job] = asyncio.get_running_loop().create_future()

    async def poll(self, permit: Permit) -> tuple[Job, float] | None:
        """Poll it; None where no answer came, which costs this poll and nothing more."""
        try:
            max_wait = max(0.0, self.deadline - asyncio.get_running_loop().time())
            return await self._poll(permit, max_wait)
        except (NetworkError, ServerError, UnreadableReply):
            return None

    def cancel(self) -> None:
        """End the waiting; a poll under way is cut off."""
        self.abort()
        if not self.end.cancel() and not self.end.cancelled():
            self.end.exception()  # retrieved, so that asyncio does not report it as lost

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
        else:
            self.end.set_result(end)
