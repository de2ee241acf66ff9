"""Group commit: what concurrent callers write goes into one commit, and each waits for its own."""

import asyncio
import copy
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")


class GroupWriter(Generic[T]):
    """Writes items in groups, in the order in which they came.

    While one commit runs, what is written meanwhile queues for the next; so groups are as large
    as the commits are slow, and a lone caller waits for no one.

    Args:
        commit: Makes items durable, all or none.
    """

    def __init__(self, commit: Callable[[list[T]], Awaitable[None]]) -> None:
        self._commit: Final = commit
        self._items: list[T] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._task: asyncio.Task[None] | None = None

    async def write(self, *items: T) -> None:
        """Return once the items are durable, or raise what their group's commit raised.

        Items of a caller that is cancelled meanwhile are written all the same.
        """
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._items += items
        self._waiting.append(future)
        if self._task is None:
            self._task = loop.create_task(self._work())
        await future

    async def flush(self) -> None:
        """Wait until all that was written so far is durable, or has failed."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._next_group()
        finally:
            self._task = None
            _settle(self._waiting, asyncio.CancelledError())  # none are left, unless cut off

    async def _next_group(self) -> None:
        items, self._items = self._items, []
        waiting, self._waiting = self._waiting, []
        try:
            await self._commit(items)
        except BaseException as error:
            _settle(waiting, error)
            if not isinstance(error, Exception):
                raise
        else:
            _settle(waiting, None)


def _settle(waiting: list[asyncio.Future[None]], error: BaseException | None) -> None:
    for future in waiting:
        if future.done():  # its caller was cancelled
            continue
        if error is None:
            future.set_result(None)
        elif isinstance(error, Exception):
            future.set_exception(copy.copy(error))  # one each, since each gathers a traceback
        else:
            future.cancel()
