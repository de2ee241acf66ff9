"""Sessions that a client is given: made for it, or lent; for its own loop or another's."""

import asyncio

import aiohttp
import pytest
from tools import StartSandbox, client_of

import hostup_sync
from hostup_async import Budget, Client, ConfigurationError
from hostup_async.sandbox import SandboxConfig, ThreadedSandbox


async def test_a_session_is_made_when_the_client_opens_and_closed_with_it(
    start_sandbox: StartSandbox,
) -> None:
    sandbox = await start_sandbox()
    made: list[aiohttp.ClientSession] = []

    def make() -> aiohttp.ClientSession:
        made.append(aiohttp.ClientSession())
        return made[-1]

    async with client_of(sandbox.url, session=make) as client:
        await client.vps.reset(sandbox.vps_ids[0])
        assert not made[0].closed
        assert client.budget.snapshot().in_flight == 0
    assert len(made) == 1
    assert made[0].closed


def test_the_sync_client_makes_one_on_its_own_loop() -> None:
    with ThreadedSandbox(SandboxConfig(vps=1)) as sandbox:
        client = hostup_sync.Client(
            sandbox.api_key,
            base_url=sandbox.url,
            session=lambda: aiohttp.ClientSession(headers={"X-Mine": "1"}),
        )
        with client:
            assert client.vps.get(sandbox.vps_ids[0]).id == sandbox.vps_ids[0]


async def test_a_session_of_another_loop_is_refused() -> None:
    async def make() -> aiohttp.ClientSession:
        return aiohttp.ClientSession()

    def use_elsewhere(session: aiohttp.ClientSession) -> None:
        client = hostup_sync.Client("key", base_url="http://127.0.0.1:9", session=session)
        with pytest.raises(ConfigurationError, match="another event loop"), client:
            pytest.fail("never entered")

    async with await make() as session:
        await asyncio.to_thread(use_elsewhere, session)
        async with Client("key", session=session, budget=Budget()):
            pass
        assert not session.closed
