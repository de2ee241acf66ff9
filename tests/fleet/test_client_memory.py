"""What a client learnt lasts: for the next client of the process, and in the store of a run."""

import asyncio

import pytest
from fleet_tools import NEVER, SOON, durations_of, quick, reset_all
from tools import Connect, StartSandbox

from hostup_async import Budget, FleetPolicy, LearntLimits, LearntRecord, Store
from hostup_async._fleet import memory
from hostup_async._models import Action
from hostup_async._store.memory import MemoryStore
from hostup_async.sandbox import Limit

LIMIT = Limit(requests=10, seconds=1)


async def limits_in(store: Store) -> LearntLimits:
    texts = [one.text for one in await store.learnt() if one.what == LearntRecord.LIMITS]
    return LearntLimits.from_json(*texts) if texts else LearntLimits()


async def test_another_client_of_the_process_begins_with_what_one_without_a_store_learnt(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=12, jobs=SOON, limit=LIMIT)
    client = await connect(sandbox)
    assert client.budget.snapshot().limit is None
    await reset_all(client)
    await client.aclose()
    another = await connect(sandbox, budget=Budget())
    assert (another.budget.snapshot().limit, another.budget.snapshot().window) == (10, 1)
    assert another._poller.durations(Action.RESET).confidence() > 0.5
    stranger = await connect(await start_sandbox(vps=1))
    assert stranger.budget.snapshot().limit is None


async def test_a_run_saves_what_it_learns_while_it_goes_on(
    start_sandbox: StartSandbox, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_INTERVAL", 0.05)
    sandbox = await start_sandbox(vps=12, jobs=NEVER, limit=LIMIT)
    client = await connect(sandbox)
    plan = await client.fleet.plan(ids=sandbox.vps_ids, preflight="none")
    async with MemoryStore() as store:
        async with client.fleet.run(plan, FleetPolicy(), store=store) as run:
            while (await limits_in(store)).is_empty:
                await asyncio.sleep(0.01)
            run.stop()
            run._begun().engine.leave(run._rollout.stop_cause, "seen")  # type: ignore[arg-type]
        known = await limits_in(store)
    assert known.actions is not None
    assert (known.actions.requests, known.actions.window) == (10, 1)


async def test_what_another_version_learnt_is_left_alone(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(jobs=SOON)
    record = durations_of(sandbox.url, sandbox.api_key)
    async with MemoryStore() as store:
        await store.learn(
            [
                LearntRecord(
                    origin=record.origin,
                    fingerprint=record.fingerprint,
                    what=what,
                    text="{}",
                    learnt_at=0.0,
                )
                for what in ("hibernate", "limits")
            ]
        )
        report = await reset_all(await connect(sandbox), quick(), store)
        known = await store.learnt()
    assert report.succeeded
    assert [one.what for one in known] == ["hibernate", "limits", "reset"]
