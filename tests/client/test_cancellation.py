"""`finish` waits for a task's end, however its caller is cancelled."""

import asyncio
from collections.abc import Awaitable, Callable

import anyio
import pytest

from hostup_async._cancellation import finish


class Work:
    """A task that ends when it is told to; `ended` says whether it did before its waiter."""

    def __init__(self, error: Exception | None = None) -> None:
        self.may_end = asyncio.Event()
        self.ended = False
        self.error = error
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> str:
        await self.may_end.wait()
        self.ended = True
        if self.error is not None:
            raise self.error
        return "done"


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_without_a_cancellation_it_is_the_result() -> None:
    work = Work()
    work.may_end.set()
    assert await finish(work.task) == "done"


async def test_without_a_cancellation_it_is_the_error() -> None:
    work = Work(ValueError("broken"))
    work.may_end.set()
    with pytest.raises(ValueError, match="broken"):
        await finish(work.task)


@pytest.mark.parametrize("error", [None, ValueError("broken")])
@pytest.mark.parametrize("times", [1, 3])
async def test_a_cancellation_is_raised_after_the_end(times: int, error: Exception | None) -> None:
    work = Work(error)
    waiter = asyncio.create_task(finish(work.task))
    for _ in range(times):
        await settle()
        waiter.cancel()
    await settle()
    assert not waiter.done()
    work.may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert work.ended


async def test_a_waiter_cancelled_before_its_first_step_leaves_the_task_alone() -> None:
    work = Work()
    waiter = asyncio.create_task(finish(work.task))
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert not work.task.cancelled()
    work.may_end.set()
    assert await work.task == "done"


async def cancelled_scope(body: Callable[[], Awaitable[object]], work: Work) -> None:
    with anyio.CancelScope() as scope:
        asyncio.get_running_loop().call_later(0.01, scope.cancel)
        asyncio.get_running_loop().call_later(0.03, work.may_end.set)
        await body()
    assert scope.cancelled_caught


async def test_a_cancelled_anyio_scope_waits_for_the_end() -> None:
    work = Work()
    await cancelled_scope(lambda: finish(work.task), work)
    assert work.ended


async def test_a_timeout_waits_for_the_end() -> None:
    work = Work()
    asyncio.get_running_loop().call_later(0.03, work.may_end.set)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await finish(work.task)
    assert work.ended


async def test_a_task_that_is_cut_short_ends_the_wait() -> None:
    work = Work()
    waiter = asyncio.create_task(finish(work.task, on_cancel=work.task.cancel))
    await settle()
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert work.task.cancelled()
    assert not work.ended


async def test_the_cancellation_goes_on_to_whoever_waits_outside() -> None:
    work = Work()

    async def outside() -> None:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await finish(work.task)

    asyncio.get_running_loop().call_later(0.01, work.may_end.set)
    await outside()
    assert work.ended
