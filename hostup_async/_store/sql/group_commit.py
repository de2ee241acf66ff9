"""Group commit: items that concurrent callers write share a commit, and each waits for its own."""

import asyncio
import copy
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from hostup_async._cancellation import steady

T = TypeVar("T")


class GroupWriter(Generic[T]):
    """Writes items in groups, in the order in which they came.

    Items that are written during a commit form the next group, so the groups grow as the commits
    slow down, and a lone caller never waits for others. Each caller costs one future, and each
    group one task step.

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

        The items of a cancelled caller are written all the same.
        """
        future = asyncio.get_running_loop().create_future()
        self._items += items
        self._waiting.append(future)
        if self._task is None:
            self._task = steady(self._work())
        await future

    async def flush(self) -> None:
        """Wait until every item written so far is durable, or has failed."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._next_group()
        finally:
            self._task = None
            _settle(self._waiting, asyncio.CancelledError())  # empty, unless the interpreter ends

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
            future.set_exception(copy.copy(error))  # a copy each, since each gathers a traceback
        else:
            future.cancel()
