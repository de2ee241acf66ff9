"""Work that reaches its end although the one who waits for it is cancelled."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import anyio

T = TypeVar("T")


class _Steady(asyncio.Task[T]):
    """A task that cannot be cancelled."""

    def cancel(self, msg: object = None) -> bool:  # noqa: ARG002 - as in the base class
        return False


def steady(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """A task for short work that is harmed where it is cut off, such as a transaction.

    A runner cancels all tasks of its loop at once when it ends: it waits for this one.
    """
    return _Steady(work, loop=asyncio.get_running_loop())


async def finish(task: asyncio.Task[T], *, on_cancel: Callable[[], object] | None = None) -> T:
    """The result of a task, for work that must reach its end even where its caller is cancelled.

    A cancellation, however often it comes, is raised after the task has ended; it goes before
    an error of the task's own.

    Args:
        task: The task to wait for; it is not cancelled.
        on_cancel: Called at each cancellation, to cut short what may still be cut short.
    """
    try:
        return await asyncio.shield(task)  # unshielded itself: anyio's cancellation arrives here
    except asyncio.CancelledError as first:
        cancellation = first
    # Shielded: an anyio scope that is cancelled would cancel again at each await.
    with anyio.CancelScope(shield=True):
        while not task.done():
            if on_cancel is not None:
                on_cancel()
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError as again:
                cancellation = again
    if not task.cancelled():
        task.exception()  # retrieved, so that asyncio does not report it as lost
    raise cancellation
