"""Fixtures for all tests: sandboxes of any configuration, and clients on them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from tools import QUICK, Connect, StartSandbox

from hostup_async import Budget, Client
from hostup_async._store.memory import MemoryStore
from hostup_async.sandbox import Fault, FaultRule, Sandbox, SandboxConfig


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def no_runs_of_other_tests() -> None:
    """Sandboxes of several tests may get the same port: their runs must not see each other."""
    MemoryStore._shared.clear()


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


@pytest.fixture
def cli_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home of its own for the command line: no configuration, no store, no key."""
    for name in ("HOSTUP_API_KEY", "HOSTUP_API_BASE", "HOSTUP_PROFILE", "HOSTUP_STORE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    return tmp_path
