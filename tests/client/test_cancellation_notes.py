"""A cancellation that meets an accepted action says which job it was, and how to follow it."""

import asyncio

import pytest
from tools import Connect, StartSandbox, requests_seen

from hostup_async import Operation
from hostup_async.sandbox import Durations

LONG = Durations(median=3600)


async def cancelled(task: "asyncio.Future[None]") -> list[str]:
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as raised:
        await task
    return list(getattr(raised.value, "__notes__", []))


async def test_a_cancelled_wait_names_the_job(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(jobs=LONG)
    client = await connect(sandbox, jobs_take=0.05)
    operation = await client.vps.reset(sandbox.vps_ids[0])

    async def wait() -> None:
        await operation.wait()

    waiting = asyncio.ensure_future(wait())
    await requests_seen(sandbox, "poll", 1)
    [note] = await cancelled(waiting)
    assert repr(operation.job_id) in note
    assert f"client.operation({operation.token()!r})" in note


async def test_a_cancelled_wait_for_many_names_each_that_goes_on(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(jobs=LONG)
    client = await connect(sandbox, jobs_take=0.05)
    operations = [await client.vps.reset(vps_id) for vps_id in sandbox.vps_ids]

    async def wait(operations: list[Operation]) -> None:
        async for _ in client.wait_all(operations):
            pass

    waiting = asyncio.ensure_future(wait(operations))
    await requests_seen(sandbox, "poll", len(operations))
    notes = await cancelled(waiting)
    assert len(notes) == len(operations)
    assert all(any(one.token() in note for note in notes) for one in operations)
