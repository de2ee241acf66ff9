"""Runs that end early: by a stop, a deadline, a cancellation, a signal."""

import asyncio
import json
import re
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from fleet_tools import (
    NEVER,
    SOON,
    KnowingStore,
    check_truth,
    counts,
    quick,
    seen,
    sent,
    statuses,
    until,
)
from tools import Connect, StartSandbox

from hostup_async import Client, EntryState, FleetRun, RunState, StopCause, Timeouts
from hostup_async._store.sql import SqliteFile, SqlStore
from hostup_async.sandbox import Durations, Fault, FaultRule, Sandbox, SandboxConfig, SandboxProcess

pytestmark = pytest.mark.usefixtures("precise_uptime")
STOPS = Path(__file__).with_name("run_until_sigterm.py")


async def a_run(
    client: Client, ids: tuple[str, ...], store: KnowingStore | None = None, **policy: object
) -> FleetRun:
    plan = await client.fleet.plan(ids=ids, preflight="none")
    return client.fleet.run(plan, quick(**policy), store=store or KnowingStore(0.1))


def our_tasks() -> list[asyncio.Task[Any]]:
    """The tasks of the package; the server's and the tests' apart."""

    def file(task: asyncio.Task[Any]) -> str:
        coroutine: Any = task.get_coro()
        return str(coroutine.cr_code.co_filename)

    files = {task: file(task) for task in asyncio.all_tasks()}
    return [task for task in files if re.search("hostup_async/(?!sandbox)", files[task])]


async def check_clean(client: Client) -> None:
    """No task, no watch and no permit is left behind."""
    await asyncio.sleep(0)  # the poller's own task sees that there is nothing to do
    await asyncio.sleep(0)
    poller = client._poller
    assert our_tasks() == []
    assert not poller._watches
    assert not poller._polls
    assert not poller._senders
    assert len(poller._scheduler) == 0
    assert client.budget.snapshot().in_flight == 0


async def test_a_stop_drains(start_sandbox: StartSandbox, connect: Connect) -> None:
    sandbox = await start_sandbox(vps=40, jobs=Durations(median=0.3))
    client = await connect(sandbox)
    async with await a_run(client, sandbox.vps_ids, max_in_flight=8) as run:
        await until(lambda: run.snapshot().counts.get(EntryState.ACCEPTED, 0) >= 4)
        run.stop("lunch")
        run.stop("a later reason")
        report = await run.wait()
    books = await sandbox.books()
    assert (report.stopped, report.stop_cause) == ("lunch", StopCause.STOPPED)
    assert set(counts(report)) == {"completed", "not_sent"}
    assert 4 <= counts(report)["completed"] == sent(books) <= 8
    check_truth(report.outcomes, books)


@pytest.mark.parametrize("paused", [False, True])
async def test_a_drain_takes_no_longer_than_allowed(
    start_sandbox: StartSandbox, connect: Connect, *, paused: bool
) -> None:
    sandbox = await start_sandbox(vps=9, jobs=NEVER)
    client = await connect(sandbox)
    async with await a_run(client, sandbox.vps_ids, max_in_flight=3, drain_timeout=0.2) as run:
        await until(lambda: run.snapshot().counts.get(EntryState.ACCEPTED) == 3)
        if paused:
            run.pause()
        run.stop()
        report = await run.wait()
    assert counts(report) == {"timed_out": 3, "not_sent": 6}
    assert report.outcomes[0].job_id
    assert report.outcomes[0].finished_at


async def test_a_deadline_ends_the_sending_and_the_watching(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=9, jobs=NEVER)
    client = await connect(sandbox)
    async with await a_run(client, sandbox.vps_ids, max_in_flight=3, deadline=0.4) as run:
        report = await run.wait()
    assert counts(report) == {"timed_out": 3, "not_sent": 6}
    assert report.stopped == "the run's deadline has passed"
    assert report.stop_cause is StopCause.DEADLINE
    assert report.seconds < 30  # the jobs take an hour


@pytest.mark.parametrize("bound", ["deadline", "drain_timeout", "job_timeout"])
async def test_jobs_that_ended_before_the_end_of_the_run_are_polled_once_more(
    start_sandbox: StartSandbox, connect: Connect, bound: str
) -> None:
    """The jobs are expected to take a minute, so none is polled before."""
    sandbox = await start_sandbox(vps=9, jobs=Durations(median=0.3))
    client = await connect(sandbox)
    plan = await client.fleet.plan(ids=sandbox.vps_ids, preflight="none")
    async with client.fleet.run(plan, quick(**{bound: 1.0}), store=KnowingStore(60)) as run:
        await until(lambda: run.snapshot().counts.get(EntryState.ACCEPTED) == 9)
        if bound == "drain_timeout":
            run.stop()
        report = await run.wait()
    assert statuses(report.outcomes) == ["completed"] * 9
    assert (await sandbox.books()).requests["poll"] == 9
    assert report.seconds < 5
    await check_clean(client)


async def test_a_job_that_is_accepted_after_the_end_of_the_run_is_polled_once(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(latency=1.2, jobs=Durations(kind="constant", median=0.01))
    client = await connect(sandbox, timeouts=Timeouts())
    plan = await client.fleet.plan(ids=sandbox.vps_ids, preflight="none")
    async with client.fleet.run(plan, quick(deadline=0.6)) as run:
        report = await run.wait()
    assert report.stop_cause is StopCause.DEADLINE
    assert counts(report) == {"completed": 3}
    assert (await sandbox.books()).requests["poll"] == 3


@pytest.mark.parametrize("fault", [Fault.STALL, Fault.ERROR_500])
async def test_last_polls_that_are_not_answered_hold_the_end_up_for_a_time_only(
    start_sandbox: StartSandbox,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    fault: Fault,
) -> None:
    monkeypatch.setattr("hostup_async._fleet.engine._LAST_POLLS", 0.3)
    sandbox = await start_sandbox(vps=3, jobs=NEVER)
    client = await connect(sandbox)
    async with await a_run(client, sandbox.vps_ids, deadline=0.5) as run:
        await until(lambda: run.snapshot().counts.get(EntryState.ACCEPTED) == 3)
        await sandbox.add_fault(FaultRule(fault, on="poll"))
        report = await run.wait()
    assert statuses(report.outcomes) == ["timed_out"] * 3
    assert report.stop_cause is StopCause.DEADLINE
    assert report.seconds < 5
    await check_clean(client)


async def test_what_is_left_at_a_deadline_is_not_ended_in_the_store(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=3, jobs=NEVER)
    client = await connect(sandbox)
    plan = await client.fleet.plan(ids=sandbox.vps_ids, preflight="none")
    async with KnowingStore(0.1) as store:
        async with client.fleet.run(plan, quick(deadline=0.5), store=store) as run:
            report = await run.wait()
        kept = [entry.state async for entry in store.entries(run.id)]
    assert statuses(report.outcomes) == ["timed_out"] * 3
    assert kept == [EntryState.ACCEPTED] * 3


async def test_a_break_stops_the_sending_when_the_block_is_left(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=200, jobs=Durations(median=0.1))
    client = await connect(sandbox)
    async with await a_run(client, sandbox.vps_ids, max_in_flight=4) as run:
        async for _ in run.outcomes():
            break
        known = run.snapshot().known
        await until(lambda: run.snapshot().known > known)  # it goes on inside the block
    report = await run.wait()
    books = await sandbox.books()
    assert report.stopped == "the loop over its outcomes was left"
    assert report.stop_cause is StopCause.STOPPED
    assert set(counts(report)) == {"completed", "not_sent"}
    assert counts(report)["completed"] == sent(books) < 100
    await check_clean(client)


async def test_a_loop_over_the_outcomes_to_its_end_stops_nothing(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=20, jobs=SOON)
    client = await connect(sandbox)
    known = []
    async with await a_run(client, sandbox.vps_ids, max_in_flight=4) as run:
        async for outcome in run.outcomes():
            known.append(outcome)
            if len(known) == 20:
                break  # nothing is left to stop
    report = await run.wait()
    assert report.stopped is None
    assert statuses(report.outcomes) == ["completed"] * 20


async def test_a_pause_sends_nothing_and_follows_what_was_sent(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=12, jobs=Durations(median=0.2))
    client = await connect(sandbox)
    async with await a_run(client, sandbox.vps_ids, max_in_flight=4) as run:
        await seen(sandbox, "reset", 4)
        run.pause()
        await until(lambda: run.snapshot().in_flight == 0)
        done = run.snapshot().known
        assert sent(await sandbox.books()) == done < 12
        run.unpause()
        report = await run.wait()
    assert statuses(report.outcomes) == ["completed"] * 12
    assert (report.stopped, report.stop_cause) == (None, None)


async def test_the_audit_trail_has_the_pauses_of_the_operator(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=6, jobs=SOON)
    async with KnowingStore(0.05) as store:
        client = await connect(sandbox)
        async with await a_run(client, sandbox.vps_ids, store, max_in_flight=2) as run:
            run.pause("lunch")
            run.pause("is paused already")
            run.unpause()
            run.unpause()
            run.pause()
            run.stop()
            await run.wait()
        trail = await store.audit(run.id)
    assert [(line.what, json.loads(line.detail)) for line in trail[:-1]] == [
        ("created", {}),
        ("paused", {"why": "lunch"}),
        ("unpaused", {}),
        ("paused", {}),
    ]
    ended = json.loads(trail[-1].detail)
    assert (trail[-1].what, ended["stopped"]) == ("stopped", "stop() was called")
    assert ended["cause"] == StopCause.STOPPED


async def test_a_pause_of_a_run_that_is_over_leaves_nothing_behind(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=2, jobs=SOON)
    async with KnowingStore(0.05) as store:
        client = await connect(sandbox)
        async with await a_run(client, sandbox.vps_ids, store) as run:
            await run.wait()
            run.pause("too late")
            run.unpause()
        assert "hostup audit trail" not in {task.get_name() for task in asyncio.all_tasks()}
        trail = await store.audit(run.id)
    assert [line.what for line in trail] == ["created", "finished"]


@pytest.mark.parametrize("after", [1, 5, 11])
async def test_a_cancellation_leaks_nothing_and_is_told_what_was_begun(
    start_sandbox: StartSandbox, connect: Connect, after: int
) -> None:
    sandbox = await start_sandbox(vps=20, jobs=Durations(median=0.2), latency=0.02)
    client = await connect(sandbox)
    run = await a_run(client, sandbox.vps_ids, max_in_flight=6)

    async def body() -> None:
        async with run:
            await run.wait()

    task = asyncio.create_task(body())
    await seen(sandbox, "reset", after)
    task.cancel()
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    await check_clean(client)
    assert f"Run {run.id} was left: " in "".join(caught.value.__notes__)
    report = await run.wait()
    books = await sandbox.books()
    assert report.stopped == "the run was left: CancelledError"
    assert report.stop_cause is StopCause.INTERRUPTED
    check_truth(report.outcomes, books)
    known = {one.vps_id for one in report.outcomes if one.job_id}
    assert known == set(books.accepted)


async def test_cancellations_at_any_moment(start_sandbox: StartSandbox, connect: Connect) -> None:
    sandbox = await start_sandbox(vps=620, jobs=SOON)
    client = await connect(sandbox)
    began = asyncio.get_running_loop().time()
    async with await a_run(client, sandbox.vps_ids[:20], max_in_flight=7) as whole:
        await whole.wait()
    # It is in the first eighth of a run that most is sent, however busy the machine.
    eighth = (asyncio.get_running_loop().time() - began) / 8
    await sandbox.add_fault(FaultRule(Fault.LOST_REPLY, rate=0.1))
    for n in range(1, 31):
        store = KnowingStore(0.05)
        ids = sandbox.vps_ids[20 * n : 20 * n + 20]
        plan = await client.fleet.plan(ids=ids, preflight="gates" if n % 2 else "none")
        run = client.fleet.run(plan, quick(max_in_flight=7), store=store)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(eighth * (n - 1) / 30), run:
                await asyncio.Event().wait()
        await check_clean(client)
        async with store:
            stored = [entry async for entry in store.entries(run.id)]
        check_truth((entry.outcome() for entry in stored), await sandbox.books())
    assert sent(await sandbox.books()) > 60  # enough of them were cut off amid sends


async def test_a_second_cancellation_waits_for_the_end_too(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=4, jobs=SOON, latency=0.2)
    client = await connect(sandbox)

    async def body() -> None:
        async with await a_run(client, sandbox.vps_ids) as run:
            await seen(sandbox, "reset")
            assert run
            msg = "a mistake in the body"
            raise ValueError(msg)

    task = asyncio.create_task(body())
    await seen(sandbox, "reset")
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert isinstance(caught.value.__context__, ValueError | asyncio.CancelledError)
    await check_clean(client)


async def test_an_error_in_the_body_stops_the_run_and_says_how_to_go_on(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=9, jobs=NEVER)
    client = await connect(sandbox)
    with pytest.raises(ZeroDivisionError) as caught:  # noqa: PT012 - it is raised in the body
        async with await a_run(client, sandbox.vps_ids, max_in_flight=3) as run:
            await until(lambda: run.snapshot().counts.get(EntryState.ACCEPTED) == 3)
            raise ZeroDivisionError
    await check_clean(client)
    [note] = caught.value.__notes__
    assert "6 not_sent, 3 timed_out" in note
    assert f"client.fleet.resume({run.id!r}" in note


async def test_an_action_that_has_not_begun_to_be_sent_gives_its_permit_back(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox: Sandbox = await start_sandbox(vps=2)
    client = await connect(sandbox)
    for leave in (True, False):
        async with await a_run(client, sandbox.vps_ids) as run:
            run.pause()
            parts = run._parts
            assert parts is not None
            engine = parts.engine
            client._poller._scheduler._sending += 1  # as the dispatcher has it
            engine.send(await client.budget._limiter.acquire())
            if leave:
                engine.leave(StopCause.STOPPED, "left in the same tick")
            else:
                run.stop()
            report = await run.wait()
        assert statuses(report.outcomes) == ["not_sent"] * 2
        assert client.budget.snapshot().in_flight == 0
        assert client._poller._scheduler.in_flight == 0
    assert sent(await sandbox.books()) == 0


async def test_sigterm_drains_a_process(tmp_path: Path) -> None:
    file = tmp_path / "fleet.db"
    async with SandboxProcess(SandboxConfig(vps=60, jobs=Durations(median=0.4))) as sandbox:
        process = await asyncio.create_subprocess_exec(
            sys.executable, STOPS, sandbox.url, sandbox.api_key, str(file)
        )
        await seen(sandbox, "reset", 10)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 20) == 0
        books = await sandbox.books()
    async with SqlStore(SqliteFile(file)) as store:
        [record] = await store.runs()
        entries = [entry async for entry in store.entries(record.id)]
    assert record.state is RunState.STOPPED
    done = [entry for entry in entries if entry.state is EntryState.COMPLETED]
    assert 10 <= len(done) == len(books.jobs) < 60
    assert {entry.state for entry in entries} == {EntryState.COMPLETED, EntryState.PLANNED}
    check_truth([entry.outcome() for entry in entries], books)
