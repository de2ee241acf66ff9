"""What becomes of a VPS, each way in which it can."""

import asyncio
import json
from typing import Any

import pytest
from fleet_tools import (
    NEVER,
    SOON,
    check_truth,
    counts,
    of,
    quick,
    reset_all,
    sent,
    statuses,
    until,
)
from tools import Connect, StartSandbox

from hostup_async import (
    Budget,
    Client,
    ConfigurationError,
    EntryState,
    FleetFailed,
    FleetPolicy,
    Outcome,
    OutcomeStatus,
    RateLimit,
    StopCause,
)
from hostup_async._models import ActionWord
from hostup_async._store.memory import MemoryStore
from hostup_async.sandbox import Durations, Fault, FaultRule, Limit, Sandbox

ACTIONS = ["reset", "start", "stop", "shutdown", "restart"]


@pytest.mark.parametrize("action", ACTIONS)
async def test_completed(start_sandbox: StartSandbox, connect: Connect, action: ActionWord) -> None:
    sandbox = await start_sandbox(vps=5, stopped=5 * (action == "start"), jobs=SOON)
    report = await reset_all(await connect(sandbox), action=action)
    books = await sandbox.books()
    assert statuses(report.outcomes) == ["completed"] * 5
    assert books.performed == {vps_id: {action: 1} for vps_id in sandbox.vps_ids}
    for outcome in report.outcomes:
        assert outcome.job_id in books.jobs
        assert outcome.poll_url
        assert outcome.attempts == 1
        moments = [outcome.sent_at, outcome.accepted_at, outcome.finished_at]
        assert moments == sorted(moments)  # type: ignore[type-var]  # all are set
        assert (outcome.reason, outcome.evidence) == (None, None)


async def test_a_job_that_is_over_when_accepted_needs_no_look(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=5, jobs=Durations(kind="instant"))
    report = await reset_all(await connect(sandbox))
    assert statuses(report.outcomes) == ["completed"] * 5
    assert (await sandbox.books()).requests == {"list": 1, "reset": 5}


@pytest.mark.parametrize("kind", ["job_failure_rate", "completed_with_success_false_rate"])
async def test_failed(start_sandbox: StartSandbox, connect: Connect, kind: str) -> None:
    sandbox = await start_sandbox(vps=3, jobs=SOON, **{kind: 1})
    report = await reset_all(await connect(sandbox))
    assert statuses(report.outcomes) == ["failed"] * 3
    assert all(outcome.reason and outcome.finished_at for outcome in report.outcomes)
    with pytest.raises(FleetFailed, match=r"3 failed\. See `report.outcomes`") as caught:
        report.raise_for_failures()
    assert (caught.value.run_id, caught.value.counts) == (report.run_id, {"failed": 3})


async def test_refused(start_sandbox: StartSandbox, connect: Connect) -> None:
    sandbox = await start_sandbox(vps=3, not_ready=2, jobs=SOON)
    report = await reset_all(await connect(sandbox), ids=[*sandbox.vps_ids, "vps_none"])
    assert statuses(report.outcomes) == ["refused", "refused", "completed", "refused"]
    assert "suspended" in (report.outcomes[0].reason or "")
    assert report.outcomes[0].request_ids
    assert report.outcomes[0].accepted_at is None
    assert sent(await sandbox.books()) == 4


async def test_a_key_without_the_scope_stops_the_run_and_decides_about_no_vps(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=20, scopes=["read:vm"])
    report = await reset_all(await connect(sandbox), quick(max_in_flight=3))
    assert counts(report) == {"not_sent": 20}
    assert report.stop_cause is StopCause.KEY_REFUSED
    assert (report.stopped or "").startswith("the key may not do this: ")
    assert {one.attempts for one in report.outcomes} == {0}
    assert 1 <= sent(await sandbox.books()) <= 3


async def test_skipped_for_a_gate_that_shut_since_the_plan(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=4, not_ready=1, jobs=SOON)
    client = await connect(sandbox)
    plan = await client.fleet.plan(ids=sandbox.vps_ids, preflight="none")
    plan = type(plan)(action=plan.action, origin=plan.origin, ids=plan.ids, preflight="gates")
    async with client.fleet.run(plan, quick(canary=1)) as run:
        report = await run.wait()
    assert statuses(report.outcomes) == ["skipped", "completed", "completed", "completed"]
    assert report.outcomes[0].reason == "its gate is shut: The VPS is suspended."
    assert report.outcomes[0].attempts == 0
    assert report.succeeded
    check_truth(report.outcomes, await sandbox.books())


@pytest.mark.parametrize("fault", [Fault.ERROR_500, Fault.HTML_403])
async def test_a_gate_that_cannot_be_read_is_no_denial(
    start_sandbox: StartSandbox, connect: Connect, fault: Fault
) -> None:
    sandbox = await start_sandbox(fault, on="get", jobs=SOON)
    report = await reset_all(await connect(sandbox), preflight="gates")
    assert statuses(report.outcomes) == ["completed"] * 3


async def test_skipped_within_the_cooldown(start_sandbox: StartSandbox, connect: Connect) -> None:
    sandbox = await start_sandbox(vps=4, jobs=SOON)
    client = await connect(sandbox)
    async with MemoryStore() as store:
        first = await reset_all(client, store=store, ids=sandbox.vps_ids[:2])
        second = await reset_all(client, store=store)
        third = await reset_all(client, quick(cooldown=0), store=store, ids=sandbox.vps_ids[:1])
    assert statuses(second.outcomes) == ["skipped", "skipped", "completed", "completed"]
    assert f"run {first.run_id} acted on this VPS" in (second.outcomes[0].reason or "")
    assert statuses(third.outcomes) == ["completed"]


async def test_skipped_for_another_run_that_holds_it(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=3, jobs=Durations(median=0.5))
    client = await connect(sandbox)
    async with MemoryStore() as store:
        plan = await client.fleet.plan(ids=sandbox.vps_ids[:2])
        async with client.fleet.run(plan, quick(cooldown=0), store=store) as run:
            second = await reset_all(client, quick(cooldown=0), store=store)
            first = await run.wait()
    assert statuses(first.outcomes) == ["completed"] * 2
    assert statuses(second.outcomes) == ["skipped", "skipped", "completed"]
    assert f"run {run.id} holds this VPS" in (second.outcomes[0].reason or "")
    check_truth(first.outcomes, await sandbox.books())


async def test_timed_out(start_sandbox: StartSandbox, connect: Connect) -> None:
    sandbox = await start_sandbox(vps=3, jobs=NEVER)
    report = await reset_all(await connect(sandbox), quick(job_timeout=0.3))
    assert statuses(report.outcomes) == ["timed_out"] * 3
    assert "had not ended 0.3 s after" in (report.outcomes[0].reason or "")
    assert report.outcomes[0].job_id


async def test_timed_out_though_no_look_is_left_for_it(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    """A job whose time ends while the limit is used up costs the run nothing else."""
    sandbox = await start_sandbox(vps=6, jobs=NEVER, limit=Limit(requests=5, seconds=2))
    client = await connect(sandbox, budget=Budget(RateLimit(5, 2)))
    report = await reset_all(client, quick(job_timeout=0.6), ids=sandbox.vps_ids)
    assert statuses(report.outcomes) == ["timed_out"] * 6
    assert report.stopped is None


async def test_not_sent(start_sandbox: StartSandbox, connect: Connect) -> None:
    sandbox = await start_sandbox(vps=9, jobs=SOON)
    client = await connect(sandbox)
    plan = await client.fleet.plan(all=True)
    async with client.fleet.run(plan, quick(max_in_flight=1)) as run:
        run.stop("that is enough")
        report = await run.wait()
    assert len(of(report, OutcomeStatus.NOT_SENT)) >= 8
    assert report.outcomes[-1].reason == report.stopped == "that is enough"
    assert report.outcomes[-1].attempts == 0
    check_truth(report.outcomes, await sandbox.books())
    with pytest.raises(FleetFailed, match="Stopped: that is enough"):
        report.raise_for_failures()


@pytest.fixture
async def mixed(start_sandbox: StartSandbox) -> Sandbox:
    """One that completes, fails, refuses; by lot and by place."""
    return await start_sandbox(
        Fault.CONFLICT, times=4, vps=40, jobs=Durations(kind="lognormal", median=0.1),
        job_failure_rate=0.2,
    )  # fmt: skip


async def test_each_iterator_has_each_outcome_once(mixed: Sandbox, connect: Connect) -> None:
    client = await connect(mixed)
    plan = await client.fleet.plan(all=True)
    heard: list[list[Outcome]] = [[], [], []]

    async def listen(n: int) -> None:
        async for outcome in run.outcomes():
            heard[n].append(outcome)
            await asyncio.sleep(0.001 * n)  # one may be slower than the run

    async with client.fleet.run(plan, quick()) as run:
        async with asyncio.TaskGroup() as group:
            group.create_task(listen(0))
            group.create_task(listen(1))
            await until(lambda: len(heard[0]) > 5)
            group.create_task(listen(2))
        report = await run.wait()
    late = [outcome async for outcome in run.outcomes()]
    assert heard[0] == heard[1] == heard[2] == late
    assert sorted(late, key=lambda one: plan.ids.index(one.vps_id)) == list(report.outcomes)
    check_truth(report.outcomes, await mixed.books())


async def test_an_iterator_that_is_left_early_stops_nothing(
    mixed: Sandbox, connect: Connect
) -> None:
    client = await connect(mixed)
    async with client.fleet.run(await client.fleet.plan(all=True), quick()) as run:
        async for _ in run.outcomes():
            break
    assert len((await run.wait()).outcomes) == 40


async def test_the_report_counts_and_is_json(mixed: Sandbox, connect: Connect) -> None:
    report = await reset_all(await connect(mixed))
    books = await mixed.books()
    assert counts(report)["refused"] == 4
    assert counts(report)["completed"] == len(books.resets)
    assert sum(counts(report).values()) == len(report.outcomes) == 40
    assert report.requests["action"] == sent(books) == 40
    assert report.requests["poll"] == books.requests["poll"]
    told = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert told["counts"] == {str(status): count for status, count in counts(report).items()}
    assert [one["vps_id"] for one in told["outcomes"]] == list(mixed.vps_ids)
    assert {one["status"] for one in told["outcomes"]} == set(told["counts"])
    assert told["ratio"] is None


@pytest.mark.parametrize(
    ("limit", "floor"),
    [(None, None), (RateLimit.UNLIMITED, None), (RateLimit(100, 1), 0.2)],
)
async def test_the_floor_is_a_send_and_a_look_each(
    start_sandbox: StartSandbox, connect: Connect, limit: Any, floor: float | None
) -> None:
    sandbox = await start_sandbox(vps=10, jobs=SOON)
    client = await connect(sandbox, budget=Budget(limit))
    async with client.fleet.run(await client.fleet.plan(all=True), quick()) as run:
        assert run.snapshot().seconds_left == (None if floor is None else pytest.approx(floor))
        report = await run.wait()
    assert report.floor == (None if floor is None else pytest.approx(floor))
    assert report.ratio == (None if floor is None else pytest.approx(report.seconds / floor))
    told = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert (told["floor"], told["ratio"]) == (report.floor, report.ratio)


async def test_the_snapshot_tells_where_the_run_stands(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=9, jobs=NEVER)
    client = await connect(sandbox)
    plan = await client.fleet.plan(all=True)
    policy = quick(max_in_flight=4, drain_timeout=0.1)
    async with client.fleet.run(plan, policy) as run:
        await until(lambda: run.snapshot().counts.get(EntryState.ACCEPTED) == 4)
        shot = run.snapshot()
        assert (shot.run_id, shot.total, shot.in_flight, shot.window) == (run.id, 9, 4, 4)
        assert (shot.counts[EntryState.PLANNED], shot.known, shot.stopping) == (5, 0, None)
        assert shot.is_held_back
        run.stop()
    shot = run.snapshot()
    assert (shot.known, shot.in_flight, shot.stopping) == (9, 0, "stop() was called")
    counts = "5 not_sent, 4 timed_out"
    assert repr(run) == f"<FleetRun {run.id}, ended: reset of 9 VPSes, {counts}>"


async def test_a_run_is_used_once_and_inside_its_context(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(jobs=SOON)
    client: Client = await connect(sandbox)
    run = client.fleet.run(await client.fleet.plan(all=True), FleetPolicy())
    for use in (run.stop, run.pause, run.unpause, run.snapshot):
        with pytest.raises(ConfigurationError, match="async with"):
            use()
    with pytest.raises(ConfigurationError, match="async with"):
        await run.wait()
    with pytest.raises(ConfigurationError, match="async with"):
        _ = [outcome async for outcome in run.outcomes()]
    async with run:
        pass
    with pytest.raises(ConfigurationError, match="begun before"):
        await run.__aenter__()
    assert statuses((await run.wait()).outcomes) == ["completed"] * 3


async def test_events_tell_each_outcome(start_sandbox: StartSandbox, connect: Connect) -> None:
    sandbox = await start_sandbox(jobs=SOON)
    heard: list[Any] = []
    client = await connect(sandbox, on_event=heard.append)
    report = await reset_all(client)
    known = [event for event in heard if type(event).__name__ == "OutcomeKnown"]
    assert {event.run_id for event in known} == {report.run_id}
    assert sorted(event.outcome.vps_id for event in known) == sorted(sandbox.vps_ids)


async def test_conflicts_named_for_one_vps(start_sandbox: StartSandbox, connect: Connect) -> None:
    sandbox = await start_sandbox(vps=3, jobs=SOON)
    rule = FaultRule(Fault.CONFLICT, vps_ids=[sandbox.vps_ids[1]])
    await sandbox.add_fault(rule)
    report = await reset_all(await connect(sandbox))
    assert statuses(report.outcomes) == ["completed", "refused", "completed"]
