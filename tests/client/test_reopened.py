"""A client that is opened again, on the same loop or another, and one from before a fork."""

import asyncio
import os
import warnings
from collections.abc import Callable

import pytest
from tools import StartSandbox, accepted

import hostup_sync
from hostup_async import Budget, Client, ClientClosed, ConfigurationError
from hostup_async.sandbox import Durations, SandboxConfig, ThreadedSandbox

SHORT = Durations(kind="constant", median=0.05)


async def test_a_client_opened_again_on_its_loop_works(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(jobs=SHORT)
    client = Client(sandbox.api_key, base_url=sandbox.url, budget=Budget())
    for vps_id in sandbox.vps_ids:
        async with client:
            operation = await client.vps.reset(vps_id)
            assert (await operation.wait(timeout=10)).succeeded
        with pytest.raises(ClientClosed):
            await client.vps.reset(vps_id)
    assert set(accepted(await sandbox.books()).values()) == {1}


async def test_a_client_that_is_open_is_not_opened_again(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with Client(sandbox.api_key, base_url=sandbox.url, budget=Budget()) as client:
        with pytest.raises(ConfigurationError, match="open already"):
            await client.__aenter__()
        assert (await client.vps.get(sandbox.vps_ids[0])).id


def reset(client: Client, vps_id: str) -> None:
    async def opened() -> None:
        async with client:
            assert (await (await client.vps.reset(vps_id)).wait(timeout=10)).succeeded

    asyncio.run(opened())


def left_open(client: Client, vps_id: str) -> None:
    async def opened() -> None:
        await client.__aenter__()
        await client.vps.reset(vps_id)

    asyncio.run(opened())


@pytest.mark.parametrize("first", [reset, left_open])
@pytest.mark.filterwarnings("ignore:Unclosed:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_client_opened_again_on_another_loop_works(first: Callable[[Client, str], None]) -> None:
    with ThreadedSandbox(SandboxConfig(vps=2, jobs=SHORT)) as sandbox:
        client = Client(sandbox.api_key, base_url=sandbox.url, budget=Budget())
        first(client, sandbox.vps_ids[0])
        reset(client, sandbox.vps_ids[1])
        assert set(accepted(sandbox.books()).values()) == {1}


def test_a_sync_client_opened_again_works() -> None:
    with ThreadedSandbox(SandboxConfig(vps=4, jobs=SHORT)) as sandbox:
        client = hostup_sync.Client(sandbox.api_key, base_url=sandbox.url)
        for vps_id in sandbox.vps_ids[:2]:
            with client:
                assert client.vps.reset(vps_id).wait(timeout=10).succeeded
        with client:
            report = client.fleet.reset(sandbox.vps_ids[2:])
            assert report.succeeded, report.counts
        assert set(accepted(sandbox.books()).values()) == {1}


def in_child(work: Callable[[], bool]) -> bool:
    with warnings.catch_warnings():  # Python 3.12 warns of forks while threads run
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        try:
            os._exit(0 if work() else 1)
        finally:
            os._exit(2)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status) == 0


def test_a_client_that_was_never_opened_works_in_a_forked_child() -> None:
    with ThreadedSandbox(SandboxConfig(vps=2, jobs=SHORT)) as sandbox:
        client = hostup_sync.Client(sandbox.api_key, base_url=sandbox.url)

        def use(vps_id: str) -> bool:
            with client:
                return client.vps.reset(vps_id).wait(timeout=10).succeeded

        assert in_child(lambda: use(sandbox.vps_ids[0]))
        assert use(sandbox.vps_ids[1])
        assert set(accepted(sandbox.books()).values()) == {1}


def test_an_async_client_that_was_never_opened_works_in_a_forked_child() -> None:
    with ThreadedSandbox(SandboxConfig(vps=1, jobs=SHORT)) as sandbox:
        client = Client(sandbox.api_key, base_url=sandbox.url)

        def use() -> bool:
            reset(client, sandbox.vps_ids[0])
            return True

        assert in_child(use)


def test_a_client_that_was_used_before_a_fork_is_refused_in_the_child() -> None:
    with (
        ThreadedSandbox(SandboxConfig(vps=1)) as sandbox,
        hostup_sync.Client(sandbox.api_key, base_url=sandbox.url) as client,
    ):
        client.vps.get(sandbox.vps_ids[0])

        def use() -> bool:
            with pytest.raises(ClientClosed, match=r"before os\.fork"):
                client.vps.get(sandbox.vps_ids[0])
            return True

        assert in_child(use)
