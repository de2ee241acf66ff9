"""Pauses of a run: by its own process, and by another one through the store."""

import asyncio

import pytest
from fleet_tools import SOON, KnowingStore, quick, sent, statuses, until
from tools import Connect, StartSandbox

from hostup_async import AuditEvent, ConfigurationError
from hostup_async._fleet import pauses

INTERVAL = 0.02


@pytest.fixture(autouse=True)
def short_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pauses, "_INTERVAL", INTERVAL)


async def test_a_run_is_paused_and_unpaused_through_its_store(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=6, jobs=SOON)
    client = await connect(sandbox)
    plan = await client.fleet.plan(all=True)
    async with KnowingStore(0.1) as store:
        async with client.fleet.run(plan, quick(max_in_flight=1), store=store) as run:
            await store.pause(run.id, who="bob@night", reason="load")
            await until(lambda: run.snapshot().is_paused)
            await until(lambda: not run.snapshot().in_flight)
            before = sent(await sandbox.books())
            assert ", paused: " in repr(run)
            await asyncio.sleep(5 * INTERVAL)
            assert sent(await sandbox.books()) == before < 6
            await store.unpause(run.id)
            report = await run.wait()
        trail = [(line.what, line.who) for line in await store.audit(run.id)]
        with pytest.raises(ConfigurationError, match="no process works on it"):
            await store.pause(run.id)
        with pytest.raises(ConfigurationError, match="is not paused"):
            await store.unpause(run.id)
    assert statuses(report.outcomes) == ["completed"] * 6
    assert (AuditEvent.PAUSED, "bob@night") in trail
    assert AuditEvent.UNPAUSED in [what for what, _ in trail]


async def test_a_pause_of_its_own_process_stays_until_that_unpauses(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=3, jobs=SOON)
    client = await connect(sandbox)
    plan = await client.fleet.plan(all=True)
    async with (
        KnowingStore(0.1) as store,
        client.fleet.run(plan, quick(max_in_flight=1), store=store) as run,
    ):
        for _ in range(3):
            run.pause("load")
            await asyncio.sleep(3 * INTERVAL)
            assert run.snapshot().is_paused
            run.unpause()
            await asyncio.sleep(3 * INTERVAL)
            assert not run.snapshot().is_paused
        report = await run.wait()
    assert statuses(report.outcomes) == ["completed"] * 3
