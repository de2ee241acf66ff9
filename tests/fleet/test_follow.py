"""Asking again what became of a run's jobs: nothing is sent, and only what is proved moves."""

import asyncio
import json

import attrs
import pytest
from fleet_tools import NEVER, SOON, KnowingStore, quick, reset_all, sent, statuses
from tools import Connect, StartSandbox

from hostup_async import (
    AuditEvent,
    Client,
    ConfigurationError,
    Entry,
    EntryState,
    Event,
    OutcomeKnown,
    RunHeld,
    RunState,
    Store,
)
from hostup_async._store.memory import MemoryStore
from hostup_async.sandbox import Durations

pytestmark = pytest.mark.usefixtures("precise_uptime")


async def entries_of(store: Store, run_id: str) -> list[Entry]:
    return [entry async for entry in store.entries(run_id)]


async def timed_out_run(client: Client, store: Store) -> str:
    """A run of all VPSes whose jobs did not end in time."""
    report = await reset_all(client, quick(job_timeout=0.3), store)
    assert set(statuses(report.outcomes)) == {"timed_out"}
    return report.run_id


async def test_jobs_that_ended_later_are_found_and_nothing_is_sent(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=3, jobs=Durations(median=1.0))
    told: list[Event] = []
    client = await connect(sandbox, on_event=told.append)
    async with KnowingStore(0.1) as store:
        run_id = await timed_out_run(client, store)
        told.clear()
        report = await client.fleet.follow(run_id, store=store, timeout=20)
        recorded = await store.run(run_id)
        trail = await store.audit(run_id)
    assert statuses(report.outcomes) == ["completed"] * 3
    assert recorded.counts == {EntryState.COMPLETED: 3}
    assert recorded.state is RunState.FINISHED
    assert sent(await sandbox.books()) == 3
    assert len([event for event in told if isinstance(event, OutcomeKnown)]) == 3
    (line,) = [line for line in trail if line.what is AuditEvent.FOLLOWED]
    assert json.loads(line.detail) == {"followed": 3, "counts": {"completed": 3}}


async def test_what_has_not_ended_stays_as_it_was(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=2, jobs=NEVER)
    client = await connect(sandbox)
    async with KnowingStore(0.1) as store:
        run_id = await timed_out_run(client, store)
        before = await entries_of(store, run_id)
        report = await client.fleet.follow(run_id, store=store, timeout=0.2)
        assert await entries_of(store, run_id) == before
    assert statuses(report.outcomes) == ["timed_out"] * 2


async def test_a_forgotten_job_is_settled_by_the_uptime(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=1, jobs=Durations(median=1.0))
    client = await connect(sandbox)
    async with KnowingStore(0.1) as store:
        run_id = await timed_out_run(client, store)
        await forget_jobs(store, run_id)
        report = await client.fleet.follow(run_id, store=store, timeout=20)
    (outcome,) = report.outcomes
    assert (outcome.status, outcome.evidence) == ("completed", "uptime")
    assert (await sandbox.books()).reset_twice == ()


async def forget_jobs(store: Store, run_id: str) -> None:
    """Let the run know of its jobs as little as where the API named none."""
    assert isinstance(store, MemoryStore)
    run = store._runs[run_id]
    run.put(attrs.evolve(one, job_id=None, poll_url=None) for one in [*run.entries.values()])


@pytest.mark.parametrize("found", ["planned", "intent", "ambiguous", "completed", "not_done"])
async def test_what_was_not_accepted_is_not_asked_about(
    start_sandbox: StartSandbox, connect: Connect, found: str
) -> None:
    sandbox = await start_sandbox(vps=1, jobs=SOON)
    client = await connect(sandbox)
    async with KnowingStore(0.1) as store:
        report = await reset_all(client, quick(), store)
        run = store._runs[report.run_id]
        run.put([attrs.evolve(run.entries[0], state=EntryState(found))])
        before = await entries_of(store, report.run_id)
        requests = (await sandbox.books()).total_requests
        await client.fleet.follow(report.run_id, store=store)
        assert await entries_of(store, report.run_id) == before
    assert (await sandbox.books()).total_requests == requests


async def test_a_stopped_run_with_nothing_left_but_jobs_is_finished(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=2, jobs=Durations(median=1.0))
    client = await connect(sandbox)
    plan = await client.fleet.plan(all=True)
    async with KnowingStore(0.1) as store:
        policy = quick(drain_timeout=0.05)
        async with client.fleet.run(plan, policy, store=store) as run:
            while run.snapshot().counts.get(EntryState.ACCEPTED, 0) < 2:
                await asyncio.sleep(0.005)
            run.stop()
        assert (await store.run(run.id)).state is RunState.STOPPED
        report = await client.fleet.follow(run.id, store=store, timeout=20)
        assert statuses(report.outcomes) == ["completed"] * 2
        assert (await store.run(run.id)).state is RunState.FINISHED
    assert sent(await sandbox.books()) == 2


async def test_a_run_at_work_or_of_another_api_is_refused(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox, other = await start_sandbox(vps=1, jobs=NEVER), await start_sandbox(vps=1)
    client, stranger = await connect(sandbox), await connect(other)
    plan = await client.fleet.plan(all=True)
    async with KnowingStore(0.1) as store:
        async with client.fleet.run(plan, quick(drain_timeout=0.05), store=store) as run:
            with pytest.raises(RunHeld):
                await client.fleet.follow(run.id, store=store)
            run.stop()
        with pytest.raises(ConfigurationError, match="this client talks to"):
            await stranger.fleet.follow(run.id, store=store)
