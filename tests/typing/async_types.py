"""Read by mypy and pyright: what users of `hostup_async` see. Never run."""

from collections.abc import AsyncIterator
from typing import assert_type

from hostup_async import (
    Action,
    Budget,
    BudgetSnapshot,
    Client,
    Gate,
    Gates,
    HostUpError,
    Job,
    Operation,
    RateLimit,
    Vps,
    VpsDetails,
    VpsResource,
    VpsStatus,
)
from hostup_async.sandbox import Books, Sandbox, SandboxConfig


async def read(client: Client) -> None:
    assert_type(client.vps, VpsResource)
    assert_type(client.vps.list(name="a"), AsyncIterator[Vps])
    assert_type(await client.vps.get("a"), Vps)
    assert_type(await client.vps.details("a"), VpsDetails)
    assert_type(await client.vps.status("a"), VpsStatus)
    assert_type(await client.vps.gates("a"), Gates)
    assert_type((await client.vps.gates("a")).of(Action.RESET), Gate | None)
    async for vps in client.vps.list():
        assert_type(vps, Vps)


async def act(client: Client) -> None:
    operation = await client.vps.restart("a", force=True)
    assert_type(operation, Operation)
    assert_type(await operation.wait(timeout=1), Job)
    assert_type(await operation.poll(), Job)
    assert_type(operation.token(), str)
    assert_type(operation.sent_at, float | None)
    assert_type(client.operation("token"), Operation)
    async for one, result in client.wait_all([operation]):
        assert_type(one, Operation)
        assert_type(result, Job | HostUpError)


async def enter() -> None:
    async with (
        Sandbox(SandboxConfig()) as sandbox,
        Client(budget=Budget(RateLimit(1, 1))) as client,
    ):
        assert_type(sandbox, Sandbox)
        assert_type(await sandbox.books(), Books)
        assert_type(client, Client)
        assert_type(client.budget.snapshot(), BudgetSnapshot)
        await client.aclose()
