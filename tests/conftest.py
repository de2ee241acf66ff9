"""Fixtures for all tests: sandboxes of any configuration, and clients on them."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from fleet_tools import learnt
from hypothesis import HealthCheck, settings
from tools import QUICK, Connect, StartSandbox, examples

from hostup_async import Action, Budget, Client
from hostup_async._fleet import boot, pace
from hostup_async._polling.durations import DurationModel
from hostup_async._store.memory import MemoryStore
from hostup_async.sandbox import Fault, FaultRule, Sandbox, SandboxConfig

# A shell's background job ignores Ctrl-C, and so would every process that the tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No test needs a CA, and each of the hundreds of interpreters would take 0.1 s to read them all.
os.environ["SSL_CERT_FILE"] = os.devnull

# The machine may be busy: no example fails for the time that it takes.
settings.register_profile(
    "hostup",
    deadline=None,
    max_examples=examples(100),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("hostup")


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
            chosen: dict[str, Any] = {"vps": 3, "faults": rules, "uptime_step": 0.01, **settings}
            config = SandboxConfig(**chosen)
            return await stack.enter_async_context(Sandbox(config))

        yield start


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Open clients on a sandbox, each with a budget of its own; all are closed at the end.

    A client that is told how many seconds `jobs_take` polls the first one as soon as that.
    """
    async with AsyncExitStack() as stack:

        async def open_client(
            sandbox: Sandbox, *, jobs_take: float | None = None, **options: Any
        ) -> Client:
            chosen: dict[str, Any] = {"timeouts": QUICK, "budget": Budget(), **options}
            client = Client(sandbox.api_key, base_url=sandbox.url, **chosen)
            if jobs_take is not None:
                for action in Action:
                    known = DurationModel.from_json(learnt(jobs_take))
                    client._poller.restore_durations(action, known)
            return await stack.enter_async_context(client)

        yield open_client


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets "not done" be said some seconds after the send, instead of one minute or five."""
    monkeypatch.setattr(pace, "LEAST", 0.6)
    monkeypatch.setattr(pace, "UNKNOWN_QUEUE", 2.5)


@pytest.fixture(autouse=True)
def nothing_learnt() -> None:
    """Lets no test begin with what another one learnt of a server at the same port."""
    MemoryStore._shared.clear()


@pytest.fixture
def precise_uptime(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a fleet rely on uptimes to a fifth of a second, so that evidence comes that much sooner.

    Only for sandboxes whose `uptime_step` is finer than that, as `start_sandbox` makes them.
    """
    monkeypatch.setattr(boot, "SECOND", 0.2)


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
