"""When to look at a job again, and waiting for many jobs at once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Final, TypeVar

import anyio

from hostup_async._errors import HostUpError, NetworkError, ServerError, UnreadableReply
from hostup_async._models import Job

T = TypeVar("T")

# The longer a job has run, the longer it may be left alone: each look a quarter later.
SHORTEST_GAP: Final = 0.25
LONGEST_GAP: Final = 10.0
_GROWTH: Final = 0.25


async def watch(look: Callable[[], Awaitable[Job]]) -> Job:
    """Look until the job has ended; a look that finds no answer is a look lost, nothing more."""
    clock = asyncio.get_running_loop().time
    began = clock()
    while True:
        await anyio.sleep(min(max(SHORTEST_GAP, _GROWTH * (clock() - began)), LONGEST_GAP))
        with suppress(NetworkError, ServerError, UnreadableReply):
            job = await look()
            if job.is_final:
                return job


async def as_they_end(
    items: Iterable[T], wait: Callable[[T], Awaitable[Job]]
) -> AsyncIterator[tuple[T, Job | HostUpError]]:
    """Wait for all at once, and yield each with its job, or its error, as it ends."""
    tasks = {asyncio.create_task(_outcome(wait, item)): item for item in items}
    waiting = set(tasks)
    try:
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                yield tasks[task], task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _outcome(wait: Callable[[T], Awaitable[Job]], item: T) -> Job | HostUpError:
    try:
        return await wait(item)
    except HostUpError as error:
        return error
