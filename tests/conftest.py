"""Fixtures for all tests: sandboxes of any configuration, and clients on them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from tools import QUICK, Connect, StartSandbox

from hostup_async import Budget, Client
from hostup_async.sandbox import Fault, FaultRule, Sandbox, SandboxConfig


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def start_sandbox() -> AsyncIterator[StartSandbox]:
    """Start sandboxes in this process; `fault`, `on` and `times` are short for one rule."""
    async with AsyncExitStack() as stack:

        async def start(
            fault: Fault | None = None,
            *,
            on: Any = "reset",
            times: int | None = None,
            **settings: Any,
        ) -> Sandbox:
            rules = [FaultRule(fault, on=on, times=times)] if fault else []
            chosen: dict[str, Any] = {"vps": 3, "faults": rules, **settings}
            config = SandboxConfig(**chosen)
            return await stack.enter_async_context(Sandbox(config))

        yield start


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Open clients on a sandbox, each with a budget of its own; all are closed at the end."""
    async with AsyncExitStack() as stack:

        async def open_client(sandbox: Sandbox, **options: Any) -> Client:
            settings: dict[str, Any] = {"timeouts": QUICK, "budget": Budget(), **options}
            client = Client(sandbox.api_key, base_url=sandbox.url, **settings)
            return await stack.enter_async_context(client)

        yield open_client
