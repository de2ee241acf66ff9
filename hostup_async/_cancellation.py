"""Waiting for a task's end although the waiting is cancelled."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import anyio

T = TypeVar("T")


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
