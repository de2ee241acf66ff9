"""Read by mypy and pyright: what users of `hostup_sync` see. Never run."""

from collections.abc import Iterator
from typing import assert_type

from hostup_sync import (
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
from hostup_sync.sandbox import Books, Sandbox, SandboxConfig


def read(client: Client) -> None:
    assert_type(client.vps, VpsResource)
    assert_type(client.vps.list(name="a"), Iterator[Vps])
    assert_type(client.vps.get("a"), Vps)
    assert_type(client.vps.details("a"), VpsDetails)
    assert_type(client.vps.status("a"), VpsStatus)
    assert_type(client.vps.gates("a"), Gates)
    assert_type(client.vps.gates("a").of(Action.RESET), Gate | None)
    for vps in client.vps.list():
        assert_type(vps, Vps)


def act(client: Client) -> None:
    operation = client.vps.restart("a", force=True)
    assert_type(operation, Operation)
    assert_type(operation.wait(timeout=1), Job)
    assert_type(operation.poll(), Job)
    assert_type(operation.token(), str)
    assert_type(operation.sent_at, float | None)
    assert_type(client.operation("token"), Operation)
    for one, result in client.wait_all([operation]):
        assert_type(one, Operation)
        assert_type(result, Job | HostUpError)


def enter() -> None:
    with Sandbox(SandboxConfig()) as sandbox, Client(budget=Budget(RateLimit(1, 1))) as client:
        assert_type(sandbox, Sandbox)
        assert_type(sandbox.books(), Books)
        assert_type(client, Client)
        assert_type(client.budget.snapshot(), BudgetSnapshot)
        client.close()
