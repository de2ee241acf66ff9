"""A job that is followed: how to look at it, and who waits for its end."""

import asyncio
from collections.abc import Awaitable, Callable

from hostup_async._errors import NetworkError, ServerError, UnreadableReply
from hostup_async._models import Job
from hostup_async._ratelimit.queue import Permit

PollJob = Callable[[Permit, float], Awaitable[tuple[Job, float]]]
"""Looks at a job with a permit, waiting for the limit no longer than so many seconds; gives the
job, and for how many seconds there shall be no other look."""


class Watch:
    """A job that is followed: how to look at it, and who waits for its end."""

    __slots__ = ("_look", "deadline", "end", "task")

    def __init__(self, look: PollJob, deadline: float) -> None:
        self._look = look
        self.deadline: float = deadline
        self.task: asyncio.Task[None] | None = None
        self.end: asyncio.Future[Job] = asyncio.get_running_loop().create_future()

    async def look(self, permit: Permit) -> tuple[Job, float] | None:
        """Take a look; None where it found no answer, which is a look lost and nothing more."""
        try:
            patience = max(0.0, self.deadline - asyncio.get_running_loop().time())
            return await self._look(permit, patience)
        except (NetworkError, ServerError, UnreadableReply):
            return None

    def cancel(self) -> None:
        """Nobody waits any more; a look under way is cut off."""
        self.abort()
        if not self.end.cancel() and not self.end.cancelled():
            self.end.exception()  # seen

    def abort(self) -> None:
        """Cut a look off; one that has not begun must begin, to give its permit back."""
        if self.task is not None:
            self.task.cancel()

    def resolve(self, end: Job | Exception) -> None:
        """Tell who waits, unless they left."""
        if self.end.done():
            return
        if isinstance(end, Exception):
            self.end.set_exception(end)
        else:
            self.end.set_result(end)
