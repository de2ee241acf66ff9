"""What an event says beside what happened: the run, the VPS, the try, the request, the time."""

import threading
import time
from typing import TypeVar

import pytest
from fleet_tools import quick
from stray_api import problem
from tools import QUICK, Connect, RawServer, StartSandbox, client_of, http

from hostup_async import (
    Accepted,
    Action,
    Event,
    InDoubt,
    OutcomeKnown,
    OutcomeUnknown,
    RequestDone,
    Retrying,
    RunBegun,
    RunEnded,
    RunStopped,
    StopCause,
)
from hostup_async.sandbox import Durations, Fault

E = TypeVar("E", bound=Event)
SOON = Durations(median=0.05)


def of(kind: type[E], events: list[Event]) -> list[E]:
    return [event for event in events if isinstance(event, kind)]


async def test_each_event_of_a_run_names_the_run_and_its_vps(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=4, jobs=SOON)
    events: list[Event] = []
    client = await connect(sandbox, jobs_take=0.05, on_event=events.append)
    before = time.time()
    plan = await client.fleet.plan(all=True, preflight="gates")
    assert {event.run_id for event in events} == {None}
    events.clear()
    async with client.fleet.run(plan, quick(verify=True)) as run:
        assert (await run.wait()).succeeded
    requests = of(RequestDone, events)
    assert {event.vps_id for event in requests} == set(sandbox.vps_ids)
    assert {event.method for event in requests} == {"GET", "POST"}
    assert any(event.path.endswith("/status") for event in requests)
    assert any("/jobs/" in event.path for event in requests)
    assert {event.run_id for event in events} == {run.id}
    assert all(before <= event.at <= time.time() for event in events)
    assert {(event.vps_id, event.attempt) for event in of(Accepted, events)} == {
        (vps_id, 1) for vps_id in sandbox.vps_ids
    }
    assert {event.vps_id for event in of(OutcomeKnown, events)} == set(sandbox.vps_ids)
    # What comes after it belongs to no run.
    events.clear()
    await client.vps.status(sandbox.vps_ids[0])
    assert [(event.run_id, event.vps_id) for event in events] == [(None, sandbox.vps_ids[0])]


async def test_a_run_tells_when_it_begins_and_ends(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=3, jobs=SOON)
    events: list[Event] = []
    client = await connect(sandbox, jobs_take=0.05, on_event=events.append)
    plan = await client.fleet.plan(all=True, preflight="none")
    async with client.fleet.run(plan, quick()) as run:
        report = await run.wait()
    assert events[-1] == RunEnded(run.id, report.counts, report.seconds, None)
    told = [event for event in events if isinstance(event, RunBegun | RunStopped)]
    assert told == [RunBegun(run.id, Action.RESET, 3, is_resumed=False)]
    run.stop()  # too late to be told
    assert isinstance(events[-1], RunEnded)


async def test_a_run_tells_once_why_it_stops(start_sandbox: StartSandbox, connect: Connect) -> None:
    sandbox = await start_sandbox(vps=3, job_failure_rate=1, jobs=SOON)
    events: list[Event] = []
    client = await connect(sandbox, jobs_take=0.05, on_event=events.append)
    plan = await client.fleet.plan(all=True, preflight="none")
    async with client.fleet.run(plan, quick(canary=1)) as run:
        await run.wait()
        run.stop("again")
    [stopped] = of(RunStopped, events)
    assert (stopped.run_id, stopped.cause) == (run.id, StopCause.CANARY)
    assert stopped.reason.startswith("the canary")
    [ended] = of(RunEnded, events)
    assert (ended.counts, ended.stop_cause) == ({"failed": 1, "not_sent": 2}, StopCause.CANARY)
    assert events.index(stopped) < events.index(ended)


async def test_a_resumed_run_says_so(start_sandbox: StartSandbox, connect: Connect) -> None:
    sandbox = await start_sandbox(vps=2, jobs=SOON)
    events: list[Event] = []
    client = await connect(sandbox, jobs_take=0.05, on_event=events.append)
    plan = await client.fleet.plan(all=True, preflight="none")
    async with client.fleet.run(plan, quick()) as run:
        run.stop()
    async with await client.fleet.resume(run.id, store=None) as again:
        await again.wait()
    assert [event.is_resumed for event in of(RunBegun, events)] == [False, True]
    assert len(of(RunEnded, events)) == 2


async def test_each_try_of_a_request_has_its_number_and_its_id() -> None:
    answers = [problem(503, "upstream_unavailable")]
    answers.append(http(b'{"id": "vps_1", "requestId": "req_2"}', "200 OK"))
    events: list[Event] = []
    async with (
        RawServer(*answers) as server,
        client_of(server.url, on_event=events.append, timeouts=QUICK) as client,
    ):
        await client.vps.get("vps_1")
    requests, retries = of(RequestDone, events), of(Retrying, events)
    assert [(one.attempt, one.request_id) for one in requests] == [
        (1, "req_1"),
        (2, "req_2"),
    ]
    assert [(one.attempt, one.request_id, one.vps_id) for one in retries] == [
        (1, "req_1", "vps_1"),
    ]


async def test_doubt_says_in_which_try_it_arose(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(fault=Fault.HTML_502, times=1)
    events: list[Event] = []
    client = await connect(sandbox, on_event=events.append)
    with pytest.raises(OutcomeUnknown):
        await client.vps.reset(sandbox.vps_ids[0])
    [doubt] = of(InDoubt, events)
    assert (doubt.vps_id, doubt.attempt, doubt.run_id) == (sandbox.vps_ids[0], 1, None)


def test_two_events_at_different_times_are_equal() -> None:
    one, other = (RequestDone("GET", "/", 200, 0.1, at=at) for at in (1.0, 2.0))
    assert one == other
    assert one != RequestDone("GET", "/", 200, 0.1, run_id="r")


async def test_the_listener_runs_on_the_loops_thread(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox()
    threads: set[threading.Thread] = set()
    client = await connect(sandbox, on_event=lambda _: threads.add(threading.current_thread()))
    await client.vps.get(sandbox.vps_ids[0])
    assert threads == {threading.current_thread()}
