"""Runs against a limit that shuts, a key that is refused, a network that goes away."""

import asyncio
import json
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest
from fleet_tools import (
    NEVER,
    SOON,
    KnowingStore,
    check_truth,
    counts,
    durations_of,
    of,
    quick,
    reset_all,
    sent,
    statuses,
)
from fleet_tools import seen as requests_seen
from tools import Connect, StartSandbox, client_of, free_port

from hostup_async import Budget, EntryState, OutcomeStatus, RateLimit, StopCause, Timeouts
from hostup_async._store.memory import MemoryStore
from hostup_async._store.sql import SqliteFile, SqlStore
from hostup_async.cli._html.timeline import read_timeline
from hostup_async.sandbox import Durations, Limit, Sandbox, SandboxConfig

pytestmark = pytest.mark.usefixtures("precise_uptime")
BRIEF = Timeouts(connect=0.5, read=0.5, request=2, call=0.2)


class Cable:
    """Passes bytes on to a server, until it is pulled out; then it can be put in again."""

    def __init__(self, url: str) -> None:
        self._port = int(url.rpartition(":")[2])
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._own_port = 0
        self.url = ""

    async def __aenter__(self) -> Self:
        await self.put_in()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.pull_out()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def put_in(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._own_port)
        self._own_port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self._own_port}"

    def pull_out(self) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._join(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers |= {writer, there}
        with suppress(ConnectionError):
            await asyncio.gather(_copy(reader, there), _copy(there_reader, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


async def test_a_limit_that_shuts_for_days_stops_the_run_at_once(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=20, jobs=SOON, limit=Limit(requests=6, seconds=1_000_000))
    client = await connect(sandbox)
    report = await reset_all(client, quick(max_in_flight=10), ids=sandbox.vps_ids)
    assert report.seconds < 30
    assert "The rate limit allows no request for" in (report.stopped or "")
    assert report.stop_cause is StopCause.RATE_LIMIT
    assert set(counts(report)) <= {"completed", "not_followed", "not_sent"}
    assert counts(report)["not_sent"] >= 14
    assert report.limited >= 1
    check_truth(report.outcomes, await sandbox.books())
    assert client.budget.snapshot().in_flight == 0


async def test_jobs_are_not_followed_where_a_quota_is_used_up_and_can_be_later(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=20, jobs=NEVER, limit=Limit(requests=6, seconds=1_000_000))
    client = await connect(sandbox)
    async with MemoryStore() as store:
        report = await reset_all(client, quick(max_in_flight=4), store, ids=sandbox.vps_ids)
        kept = Counter([entry.state async for entry in store.entries(report.run_id)])
    accepted = len((await sandbox.books()).accepted)
    assert 1 <= accepted <= 6
    assert counts(report) == {"not_followed": accepted, "not_sent": 20 - accepted}
    reasons = {one.reason for one in report.outcomes if one.status == "not_followed"}
    assert reasons == {report.stopped}
    assert "The rate limit allows no request for" in (report.stopped or "")
    assert kept == {EntryState.ACCEPTED: accepted, EntryState.PLANNED: 20 - accepted}


async def test_the_audit_trail_has_the_pauses_that_429s_begin(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=12, jobs=SOON, limit=Limit(requests=10, seconds=1))
    client = await connect(sandbox)
    began = time.time()
    async with KnowingStore(0.05) as store:
        report = await reset_all(client, quick(), store, ids=sandbox.vps_ids)
        run, audit = await store.run(report.run_id), await store.audit(report.run_id)
        entries = [entry async for entry in store.entries(report.run_id)]
    assert statuses(report.outcomes) == ["completed"] * 12
    lines = [line for line in audit if line.what == "rate_limited"]
    assert 1 <= len(lines) <= report.limited
    for line in lines:
        detail = json.loads(line.detail)
        assert 0 < detail["seconds"] <= 1.1
        assert began < detail["until"] <= line.at + detail["seconds"] + 0.1
    assert [line.what for line in audit if line not in lines] == ["created", "finished"]
    drawn = read_timeline(run, entries, audit).named_pauses
    assert {pause.why for pause in drawn} == {"rate limited (429)"}
    assert not client._requester.on_pause


async def test_a_key_that_is_refused_stops_the_run(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(vps=20, api_key="sk_test_other")
    async with client_of(sandbox.url) as client:
        report = await reset_all(client, quick(max_in_flight=3), ids=sandbox.vps_ids)
    assert (report.stopped or "").startswith("the key is refused: ")
    assert report.stop_cause is StopCause.KEY_REFUSED
    assert counts(report) == {"not_sent": 20}
    assert {one.attempts for one in report.outcomes} == {0}
    assert 1 <= (await sandbox.books()).foreign <= 3


async def test_without_a_network_nothing_is_sent_and_the_run_stops() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    async with client_of(url, timeouts=BRIEF) as client:
        report = await reset_all(client, quick(max_in_flight=4), ids=["vps_1", "vps_2", "vps_3"])
        assert client.budget.snapshot().in_flight == 0
    assert counts(report) == {"not_sent": 3}
    assert report.stopped
    assert report.stop_cause is StopCause.UNREACHABLE
    assert {one.attempts for one in report.outcomes} == {0}


async def test_a_run_outlives_a_network_that_goes_away_or_is_resumed_later(
    start_sandbox: StartSandbox, tmp_path: Path
) -> None:
    sandbox = await start_sandbox(vps=40, jobs=Durations(median=0.3))
    file = tmp_path / "fleet.db"
    async with Cable(sandbox.url) as cable:
        async with SqlStore(SqliteFile(file)) as store:  # or evidence would be waited for long
            await store.learn([durations_of(cable.url, sandbox.api_key)])
        async with client_of(cable.url, timeouts=BRIEF) as client:
            plan = await client.fleet.plan(all=True)
            policy = quick(max_in_flight=8, drain_timeout=0.5)
            async with client.fleet.run(plan, policy, store=file) as run:
                await requests_seen(sandbox, "reset", 10)
                cable.pull_out()
                await asyncio.sleep(0.5)  # looks are lost meanwhile, and nothing ends
                assert run.snapshot().known < 40
                run.stop()
                report = await run.wait()
        assert len(of(report, OutcomeStatus.NOT_SENT)) >= 20
        assert {one.attempts for one in of(report, OutcomeStatus.NOT_SENT)} == {0}
        before = await sandbox.books()
        check_truth(report.outcomes, before)
        await cable.put_in()
        async with (
            client_of(cable.url) as client,  # with time enough on a busy machine
            await client.fleet.resume(run.id, store=file) as again,
        ):
            report = await again.wait()
    books = await sandbox.books()
    check_truth(report.outcomes, books)
    assert set(counts(report)) <= {"completed", "ambiguous"}, (report.stopped, report.stop_cause)
    assert counts(report)["completed"] >= 39 - counts(report)["ambiguous"]


async def test_a_run_outlives_a_server_that_restarts_and_has_forgotten_its_jobs() -> None:
    config = SandboxConfig(vps=30, uptime_step=0.01, jobs=Durations(median=0.3))
    async with Sandbox(config) as first:
        port = int(first.url.rpartition(":")[2])
        async with client_of(first.url, timeouts=Timeouts(call=5, read=1)) as client:
            plan = await client.fleet.plan(all=True)
            run = client.fleet.run(plan, quick(max_in_flight=8), store=KnowingStore())
            async with run:
                await requests_seen(first, "reset", 12)
                await first.__aexit__()
                async with Sandbox(config, port=port) as second:
                    report = await run.wait()
                    books = (await first.books(), await second.books())
    assert report.stopped is None
    unknown = {OutcomeStatus.AMBIGUOUS, OutcomeStatus.NOT_DONE}  # the new server's uptimes are old
    assert set(counts(report)) - {"not_done", "ambiguous"} == {"completed"}
    for outcome in report.outcomes:
        jobs = [job for book in books for job in book.jobs.values() if job.vps_id == outcome.vps_id]
        assert len(jobs) <= 1
        assert outcome.status in unknown or len(jobs) == 1


async def test_an_action_limit_of_its_own_does_not_keep_polls_waiting(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=8, jobs=SOON, action_limit=Limit(requests=4, seconds=2))
    client = await connect(sandbox, budget=Budget(read_limit=RateLimit.UNLIMITED))
    report = await reset_all(client, quick(max_in_flight=8))
    assert statuses(report.outcomes) == ["completed"] * 8
    *first, fifth = sorted(report.outcomes, key=lambda one: one.accepted_at or 0)[:5]
    assert all((one.finished_at or 0) < (fifth.accepted_at or 0) for one in first)
    assert sent(await sandbox.books()) >= 8


async def test_a_client_that_closes_ends_its_run(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=9, jobs=NEVER)
    client = await connect(sandbox)
    plan = await client.fleet.plan(all=True)
    async with client.fleet.run(plan, quick(max_in_flight=3)) as run:
        await requests_seen(sandbox, "reset", 3)
        await client.aclose()
        report = await run.wait()
    assert set(counts(report)) == {"not_followed", "not_sent"}
    assert "closed" in (report.stopped or "")
    assert report.stop_cause is StopCause.ERROR
    assert client.budget.snapshot().in_flight == 0
