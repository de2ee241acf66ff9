"""What is recorded, what a lost store costs, and how a run is resumed."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from fleet_tools import (
    NEVER,
    SOON,
    FailingStore,
    KnowingStore,
    check_truth,
    counts,
    durations_of,
    learnt,
    quick,
    reset_all,
    sent,
    statuses,
    until,
)
from tools import Connect, StartSandbox, client_of

from hostup_async import (
    Action,
    Client,
    ConfigurationError,
    Entry,
    EntryState,
    FleetReport,
    OutcomeStatus,
    RunHeld,
    RunRecord,
    RunState,
    StopCause,
    Store,
    StoreError,
)
from hostup_async._fleet.trail import counted_entries, ended_positions
from hostup_async._http.server_clock import Moment
from hostup_async._store.memory import MemoryStore
from hostup_async._store.sql import SqliteFile, SqlStore
from hostup_async.sandbox import Durations, Fault, Sandbox

pytestmark = pytest.mark.usefixtures("precise_uptime")
INTENT, ACCEPTED, COMPLETED = EntryState.INTENT, EntryState.ACCEPTED, EntryState.COMPLETED


async def stored(store: Store, run_id: str) -> list[Entry]:
    return [entry async for entry in store.entries(run_id)]


@pytest.mark.parametrize("state", [INTENT, ACCEPTED, COMPLETED])
@pytest.mark.parametrize("position", [0, 7])
async def test_a_lost_store_stops_the_sending_and_loses_no_outcome(
    start_sandbox: StartSandbox, connect: Connect, state: EntryState, position: int
) -> None:
    sandbox = await start_sandbox(vps=30, jobs=Durations(median=0.1))
    client = await connect(sandbox)
    recorded: set[str] = set()

    def is_last(entry: Entry) -> bool:
        is_lost = store.is_lost or (entry.state is state and entry.position >= position)
        if entry.state is INTENT and not is_lost:
            recorded.add(entry.vps_id)
        return is_lost

    async with FailingStore(is_last) as store:
        report = await reset_all(client, quick(max_in_flight=4), store)
        record = await store.run(report.run_id)
    books = await sandbox.books()
    assert (report.stopped or "").startswith("the store is lost: The disk is full.")
    assert report.stop_cause is StopCause.STORE_LOST
    assert set(counts(report)) <= {"completed", "not_sent"}
    assert counts(report)["completed"] == sent(books)
    assert counts(report)["not_sent"] >= 30 - position - 4 - 4
    assert set(books.accepted) <= recorded
    assert record.state is RunState.RUNNING  # for whoever resumes it
    check_truth(report.outcomes, books)
    assert client.budget.snapshot().in_flight == 0


async def test_what_a_store_could_not_take_is_written_when_it_can(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=8, jobs=SOON)
    failures: list[Entry] = []

    class Hiccup(KnowingStore):
        async def save(self, run_id: str, entries: Sequence[Entry]) -> None:
            if len(failures) < 2 and entries[0].state in {COMPLETED, ACCEPTED}:
                failures.extend(entries)
                msg = "The disk is full."
                raise StoreError(msg)
            await super().save(run_id, entries)

    async with Hiccup(0.05) as store:
        report = await reset_all(await connect(sandbox), quick(max_in_flight=2), store)
        record = await store.run(report.run_id)
        entries = await stored(store, report.run_id)
    assert [entry.outcome().status for entry in entries] == statuses(report.outcomes)
    assert record.state is RunState.STOPPED
    assert {entry.state for entry in entries} == {COMPLETED, EntryState.PLANNED}


async def test_a_pause_that_cannot_be_recorded_is_logged_and_stops_nothing(
    start_sandbox: StartSandbox, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox = await start_sandbox(vps=4, jobs=SOON)
    client = await connect(sandbox)

    class Full(KnowingStore):
        async def note(self, run_id: str, what: str, *, who: str = "", detail: str = "{}") -> None:
            msg = f"The disk is full: {run_id}, {what}, {who}, {detail}."
            raise StoreError(msg)

    async with Full(0.05) as store:
        plan = await client.fleet.plan(ids=sandbox.vps_ids, preflight="none")
        async with client.fleet.run(plan, quick(), store=store) as run:
            run.pause()
            run.unpause()
            report = await run.wait()
        trail = [line.what for line in await store.audit(run.id)]
    assert statuses(report.outcomes) == ["completed"] * 4
    assert trail == ["created", "finished"]
    assert f"paused of run {run.id} was not recorded: The disk is full" in caplog.text


async def test_a_store_that_cannot_be_opened_sends_nothing(
    start_sandbox: StartSandbox, connect: Connect, tmp_path: Path
) -> None:
    sandbox = await start_sandbox()
    with pytest.raises(StoreError, match="cannot be created"):
        await reset_all(await connect(sandbox), store=tmp_path / "missing" / "fleet.db")
    assert sent(await sandbox.books()) == 0


async def stopped_run(client: Client, store: Any, **policy: Any) -> str:
    """A run that was stopped with three accepted, and nothing known."""
    plan = await client.fleet.plan(all=True)
    how = quick(max_in_flight=3, drain_timeout=0.01, **policy)
    async with client.fleet.run(plan, how, store=store) as run:
        await until(lambda: run.snapshot().counts.get(ACCEPTED) == 3)
        run.stop()
    return run.id


async def test_a_stopped_run_is_gone_on_with_from_a_file(
    start_sandbox: StartSandbox, connect: Connect, tmp_path: Path
) -> None:
    sandbox = await start_sandbox(vps=9, jobs=Durations(median=0.5))
    file = tmp_path / "fleet.db"
    run_id = await stopped_run(await connect(sandbox), file)
    client = await connect(sandbox)
    async with await client.fleet.resume(run_id, store=f"sqlite:///{file}") as run:
        report = await run.wait()
        heard = [outcome async for outcome in run.outcomes()]
    assert (run.id, report.run_id) == (run_id, run_id)
    assert statuses(report.outcomes) == ["completed"] * 9
    assert len(heard) == 9
    assert sent(await sandbox.books()) == 9
    async with SqlStore(SqliteFile(file)) as store:
        assert (await store.run(run_id)).state is RunState.FINISHED
        trail = [line.what for line in await store.audit(run_id)]
        assert trail == ["created", "stopped", "resumed", "finished"]
    with pytest.raises(ConfigurationError, match="nothing of it is left to do"):
        await client.fleet.resume(run_id, store=file)


async def test_a_job_that_was_left_long_ago_is_looked_at_before_it_is_given_up(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=3, jobs=Durations(median=0.5))
    client = await connect(sandbox)
    async with MemoryStore() as store:
        run_id = await stopped_run(client, store)
        await store.acquire(run_id)
        while len((await sandbox.books()).resets) < 3:
            await asyncio.sleep(0.005)
        for entry in await stored(store, run_id):
            long_ago = evolve(entry, sent_at=1e9, accepted_at=1e9)
            await store.save(run_id, [long_ago])
        await store.release(run_id, RunState.STOPPED)
        async with await client.fleet.resume(run_id, store=store) as run:
            report = await run.wait()
    assert statuses(report.outcomes) == ["completed"] * 3


@pytest.mark.parametrize("resend", [False, True])
async def test_what_was_being_sent_is_settled_by_evidence(
    start_sandbox: StartSandbox, connect: Connect, *, resend: bool
) -> None:
    """Two intents were left behind: one was sent and done, the other never left.

    Neither is sent again: the process that left them may be about to send one still.
    """
    sandbox = await start_sandbox(vps=2, jobs=Durations(median=0.3))
    client = await connect(sandbox)
    policy = quick(on_ambiguous="resend" if resend else "report")
    async with KnowingStore() as store:
        run_id = await stopped_run_of_none(client, store, policy)
        operation = await client.vps.reset(sandbox.vps_ids[0])
        await store.acquire(run_id)
        for entry in await stored(store, run_id):
            server = client._requester.transport.server_clock.at(Moment.now())
            assert server is not None
            between = server.earliest, server.latest
            await store.save(run_id, [entry.intended(operation.sent_at or 0, between)])
        await store.release(run_id, RunState.STOPPED)
        async with await client.fleet.resume(run_id, store=store) as run:
            report = await run.wait()
    done, left = report.outcomes
    assert (done.status, done.evidence, done.attempts) == ("completed", "uptime", 1)
    assert (left.status, left.evidence, left.attempts) == ("not_done", "uptime", 1)
    assert left.reason == (
        "The process that sent it ended before the answer was recorded. The VPS's status shows "
        "that it did not take place; it was not sent again."
    )
    books = await sandbox.books()
    assert sent(books) == 1
    check_truth(report.outcomes, books)


async def stopped_run_of_none(client: Client, store: Store, policy: Any) -> str:
    plan = await client.fleet.plan(all=True)
    async with client.fleet.run(plan, policy, store=store) as run:
        run.stop()
    return run.id


@pytest.mark.parametrize(("state", "resets"), [("running", 0), ("stopped", 4)])
async def test_failures_before_a_crash_count_and_those_before_a_stop_do_not(
    start_sandbox: StartSandbox, connect: Connect, state: str, resets: int
) -> None:
    sandbox = await start_sandbox(vps=6, jobs=SOON)
    client = await connect(sandbox)
    store = KnowingStore(0.05)
    async with store:
        run_id = await stopped_run_of_none(client, store, quick(max_failures=2))
        await store.acquire(run_id)
        for entry in (await stored(store, run_id))[:2]:
            await store.save(run_id, [evolve(entry, state=EntryState.FAILED)])
        if state == "stopped":
            await store.release(run_id, RunState.STOPPED)
    async with store, await client.fleet.resume(run_id, store=store) as run:
        report = await run.wait()
    assert sent(await sandbox.books()) == resets
    assert (report.stopped is None) == (resets > 0)


async def test_the_ramp_after_a_stop_and_a_crash_is_that_of_the_last_resumption(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=40, jobs=SOON)
    client = await connect(sandbox)
    store = KnowingStore(0.05)
    async with store:
        plan = await client.fleet.plan(all=True)
        async with client.fleet.run(plan, quick(canary=1), store=store) as run:
            async for _ in run.outcomes():
                if run.snapshot().counts[COMPLETED] >= 7:
                    run.stop()
        before = sent(await sandbox.books())
        await store.acquire(run.id)  # and this process crashes at once
    async with store, await client.fleet.resume(run.id, store=store) as run:
        report = await run.wait()
    jobs = sorted((await sandbox.books()).jobs.values(), key=lambda job: job.created)[before:]
    finished = sorted(job.finished or 0 for job in jobs)
    assert 7 <= before <= 15
    for begin, known in ((1, 1), (3, 2), (7, 5)):  # of one, two, and four
        assert finished[known - 1] <= jobs[begin].created
    assert statuses(report.outcomes) == ["completed"] * 40


async def test_what_had_ended_at_a_stop_is_known_though_it_ended_out_of_order() -> None:
    states = [COMPLETED, EntryState.FAILED, ACCEPTED, EntryState.SKIPPED, EntryState.PLANNED]
    entries = [Entry(f"vps_{n}", n, state) for n, state in enumerate(states)]
    run = RunRecord(id="r1", action=Action.RESET, origin="https://a")
    detail = json.dumps({"ended": ended_positions(entries)})
    entries[2] = evolve(entries[2], state=COMPLETED)
    async with MemoryStore() as store:
        await store.create(run, entries, cooldown=0)
        await store.release("r1", RunState.STOPPED, detail=detail)
        stopped = await store.acquire("r1")
        after_a_stop = list(await counted_entries(store, stopped, entries))
        after_a_crash = list(await counted_entries(store, await store.run("r1"), entries))
    assert [entry.position for entry in after_a_stop] == [4]
    assert [entry.position for entry in after_a_crash] == [2, 4]


async def test_a_run_in_other_hands_is_not_resumed(
    start_sandbox: StartSandbox, connect: Connect, tmp_path: Path
) -> None:
    sandbox = await start_sandbox(jobs=NEVER)
    client, file = await connect(sandbox), tmp_path / "fleet.db"
    plan = await client.fleet.plan(all=True)
    async with client.fleet.run(plan, quick(drain_timeout=0.01), store=file) as run:
        again = await client.fleet.resume(run.id, store=file)
        with pytest.raises(RunHeld):
            await again.__aenter__()
        await until(lambda: run.snapshot().counts.get(ACCEPTED) == 3)
        run.stop()
    assert sent(await sandbox.books()) == 3


async def test_only_a_run_of_this_store_and_this_api_is_resumed(
    start_sandbox: StartSandbox, connect: Connect, tmp_path: Path
) -> None:
    sandbox, other = await start_sandbox(jobs=NEVER), await start_sandbox()
    file = tmp_path / "fleet.db"
    run_id = await stopped_run(await connect(sandbox), file)
    with pytest.raises(ConfigurationError, match="has no run"):
        await (await connect(sandbox)).fleet.resume(run_id, store=None)
    with pytest.raises(ConfigurationError, match="this client talks to"):
        await (await connect(other)).fleet.resume(run_id, store=file)


async def test_another_key_does_not_resume_a_run_unless_told_to(
    start_sandbox: StartSandbox, connect: Connect, tmp_path: Path
) -> None:
    """The key of another account would have every VPS refused."""
    sandbox = await start_sandbox(vps=9, jobs=Durations(median=0.3))
    file = tmp_path / "fleet.db"
    run_id = await stopped_run(await connect(sandbox), file)
    async with client_of(sandbox.url, api_key="sk_test_another") as stranger:
        with pytest.raises(ConfigurationError, match=r"another key.*other_key=True"):
            await stranger.fleet.resume(run_id, store=file)
        run = await stranger.fleet.resume(run_id, store=file, other_key=True)
        async with run:
            report = await run.wait()
    assert report.stop_cause is StopCause.KEY_REFUSED
    client = await connect(sandbox)
    async with await client.fleet.resume(run_id, store=file) as run:
        report = await run.wait()
    assert statuses(report.outcomes) == ["completed"] * 9
    assert sent(await sandbox.books()) == 9


async def test_in_a_store_with_a_possible_loss_a_vps_that_booted_since_the_begin_is_skipped(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    """The journal of one reset was lost: its entry is planned."""
    sandbox = await start_sandbox(vps=4, jobs=SOON)
    client = await connect(sandbox)

    class Lossy(KnowingStore):
        async def acquire(
            self, run_id: str, *, who: str = "", policy: str | None = None
        ) -> RunRecord:
            before = await super().acquire(run_id, who=who, policy=policy)
            return evolve(before, possible_loss="its file is a copy")

    async with Lossy(0.05) as store:
        run_id = await stopped_run_of_none(client, store, quick())
        operation = await client.vps.reset(sandbox.vps_ids[1])
        await operation.wait()
        async with await client.fleet.resume(run_id, store=store) as run:
            report = await run.wait()
    assert statuses(report.outcomes) == ["completed", "skipped", "completed", "completed"]
    assert "the store may have lost that it was sent, and it booted" in (
        report.outcomes[1].reason or ""
    )
    assert (await sandbox.books()).reset_twice == ()


async def test_durations_are_learnt_from_the_jobs_own_times_and_kept(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=60, jobs=Durations(median=0.3))
    client = await connect(sandbox)
    async with MemoryStore() as store:
        await reset_all(client, quick(max_in_flight=30), store=store)
        (record,) = await store.learnt(sandbox.url)
        assert (record.what, record.age < 30) == ("reset", True)
        another = await connect(sandbox)
        plan = await another.fleet.plan(ids=sandbox.vps_ids[:1])
        async with another.fleet.run(plan, quick(cooldown=0), store=store) as run:
            known = another._poller.durations(Action.RESET)
            assert known.mean() == pytest.approx(0.3, rel=0.5)
            assert run
    assert client._poller.durations(Action.RESET).mean() == pytest.approx(0.3, rel=0.5)


@pytest.mark.parametrize("text", ["", "{", '{"ends": 1}', learnt()[:-9]])
async def test_durations_that_make_no_sense_teach_nothing(
    start_sandbox: StartSandbox, connect: Connect, text: str
) -> None:
    sandbox = await start_sandbox(jobs=Durations(kind="instant"))
    async with MemoryStore() as store:
        await store.learn([durations_of(sandbox.url, sandbox.api_key, text)])
        report = await reset_all(await connect(sandbox), store=store)
    assert statuses(report.outcomes) == ["completed"] * 3


async def test_two_clients_in_two_stores_of_one_file_share_no_vps(
    start_sandbox: StartSandbox, connect: Connect, tmp_path: Path
) -> None:
    sandbox: Sandbox = await start_sandbox(Fault.STALL, times=1, vps=20, jobs=SOON)
    clients = [await connect(sandbox) for _ in range(4)]
    runs = [reset_all(one, quick(), tmp_path / "fleet.db") for one in clients]
    reports = await asyncio.gather(*runs)
    assert (await sandbox.books()).reset_twice == ()
    for outcomes in zip(*(report.outcomes for report in reports), strict=True):
        assert statuses(outcomes).count(OutcomeStatus.SKIPPED) == 3


@pytest.mark.parametrize("at_once", [False, True])
async def test_two_fleets_without_a_store_share_no_vps(
    start_sandbox: StartSandbox, connect: Connect, *, at_once: bool
) -> None:
    sandbox = await start_sandbox(vps=20, jobs=SOON)
    client = await connect(sandbox)
    plan = await client.fleet.plan(all=True, preflight="none")

    async def a_fleet() -> FleetReport:
        async with client.fleet.run(plan, quick()) as run:
            return await run.wait()

    first = asyncio.create_task(a_fleet())
    reports = [await a_fleet(), await first] if at_once else [await first, await a_fleet()]
    assert (await sandbox.books()).reset_twice == ()
    assert sent(await sandbox.books()) == 20
    assert sum(counts(one)["completed"] for one in reports) == 20
    assert sum(counts(one)["skipped"] for one in reports) == 20
