"""Which run is resumed, with which policy, and what a plan would skip, as programs ask for it."""

import asyncio

import pytest
from attrs import evolve
from fleet_tools import NEVER, SOON, KnowingStore, quick, sent, statuses
from tools import Connect, StartSandbox

from hostup_async import Client, ConfigurationError, EntryState, FleetPolicy


async def stopped_by_its_canary(client: Client, store: KnowingStore) -> str:
    """A run whose canary failed, so that nothing more was sent."""
    plan = await client.fleet.plan(all=True)
    async with client.fleet.run(plan, quick(canary=1, cooldown=0), store=store) as run:
        report = await run.wait()
    assert set(statuses(report.outcomes)) == {"failed", "not_sent"}
    return run.id


async def test_a_resumed_run_keeps_its_new_policy(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=4, jobs=SOON, job_failure_rate=1)
    client = await connect(sandbox)
    async with KnowingStore(0.1) as store:
        run_id = await stopped_by_its_canary(client, store)
        async with await client.fleet.resume(run_id, store=store) as run:
            await run.wait()
        assert sent(await sandbox.books()) == 2  # the canary begins anew, and fails again
        begun_with = FleetPolicy.from_json((await store.run(run_id)).policy)
        policy = evolve(begun_with, canary=0)
        async with await client.fleet.resume(run_id, store=store, policy=policy) as run:
            assert run.policy == policy
            report = await run.wait()
        assert FleetPolicy.from_json((await store.run(run_id)).policy) == policy
    assert statuses(report.outcomes) == ["failed"] * 4
    assert sent(await sandbox.books()) == 4


async def test_a_policy_that_is_none_is_refused(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    client = await connect(await start_sandbox())
    with pytest.raises(ConfigurationError, match="policy must be a FleetPolicy"):
        await client.fleet.resume("r", store=None, policy={"canary": 0})  # type: ignore[arg-type]


async def test_what_can_be_resumed_is_of_this_key_and_not_at_work(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=2, jobs=NEVER)
    client = await connect(sandbox)
    stranger = Client("sk_test_other", base_url=sandbox.url)
    plan = await client.fleet.plan(all=True)
    async with KnowingStore(0.1) as store:
        policy = quick(drain_timeout=0.05)
        async with client.fleet.run(plan, policy, store=store) as run:
            assert await client.fleet.resumable(store=store) == []
            while not run.snapshot().counts.get(EntryState.ACCEPTED):
                await asyncio.sleep(0.005)
            run.stop()
        (found,) = await client.fleet.resumable(store=store)
        assert (found.id, found.plan, found.policy) == (run.id, "", "")
        assert await stranger.fleet.resumable(store=store) == []
        await store.abandon(run.id)
        assert await client.fleet.resumable(store=store) == []


async def test_conflicts_are_those_that_the_run_meets(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=3, jobs=SOON)
    client = await connect(sandbox)
    plan = await client.fleet.plan(all=True)
    first = await client.fleet.plan(ids=sandbox.vps_ids[:1])
    async with KnowingStore(0.1) as store:
        assert await client.fleet.conflicts(plan, store=store) == {}
        async with client.fleet.run(first, quick(), store=store) as run:
            await run.wait()
        conflicts = await client.fleet.conflicts(plan, store=store)
        assert await client.fleet.conflicts(plan, quick(cooldown=0), store=store) == {}
        async with client.fleet.run(plan, quick(), store=store) as run:
            report = await run.wait()
    assert list(conflicts) == [sandbox.vps_ids[0]]
    assert f"run {run.id}" not in conflicts[sandbox.vps_ids[0]]
    assert statuses(report.outcomes) == ["skipped", "completed", "completed"]
