"""Wall clocks decide nothing: neither one that is set while evidence is sought, nor another's."""

import asyncio
import time
from contextlib import suppress
from typing import Any

import pytest
from fleet_tools import KnowingStore, check_truth, quick, reset_all, sent, statuses, until
from tools import Connect, StartSandbox, requests_seen

from hostup_async import Client, EntryState, FleetReport
from hostup_async.sandbox import Durations, Fault, Sandbox

STEPS = [1, 20, 3600, 60 * 86400]
JOBS = Durations(median=0.6)


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that sets the wall clock of this process, by this many seconds."""
    real, ahead = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: real() + ahead[0])
    return lambda seconds: ahead.__setitem__(0, ahead[0] + seconds)


async def with_step(
    sandbox: Sandbox, client: Client, step: Any, seconds: float, *, at: str, policy: Any
) -> FleetReport:
    """Set the clock when the replies are lost, or at the first read for evidence."""
    running = asyncio.create_task(reset_all(client, policy, KnowingStore(0.6)))
    await requests_seen(sandbox, at, 1)
    step(seconds)
    return await running


@pytest.mark.usefixtures("precise_uptime")
@pytest.mark.parametrize("policy", ["report", "resend"])
@pytest.mark.parametrize("seconds", [*STEPS, *(-one for one in STEPS)])
@pytest.mark.parametrize("fault", ["lost_reply", "error_500"])
async def test_a_clock_that_is_set_while_evidence_is_sought_changes_no_outcome(
    start_sandbox: StartSandbox,
    connect: Connect,
    step: Any,
    seconds: float,
    fault: str,
    policy: str,
) -> None:
    done = fault == "lost_reply"
    at = "reset" if done else "status"
    sandbox = await start_sandbox(Fault(fault), jobs=JOBS, times=3)
    client = await connect(sandbox)
    report = await with_step(
        sandbox, client, step, seconds, at=at, policy=quick(on_ambiguous=policy)
    )
    books = await sandbox.books()
    check_truth(report.outcomes, books)
    ends = "completed" if done or policy == "resend" else "not_done"
    assert statuses(report.outcomes) == [ends] * 3
    assert sent(books) == (3 if done or policy == "report" else 6)


@pytest.mark.parametrize("ahead", [-7 * 3600, 7 * 3600])
@pytest.mark.parametrize(
    ("fault", "status"), [("stall", "completed"), ("stall_before", "not_done")]
)
async def test_a_machine_whose_clock_is_hours_off_settles_what_another_sent(
    start_sandbox: StartSandbox,
    connect: Connect,
    step: Any,
    ahead: float,
    fault: str,
    status: str,
) -> None:
    """The sending process is left before any answer; the next one has the server's clock only."""
    sandbox = await start_sandbox(Fault(fault), jobs=Durations(median=5.5))
    store = KnowingStore(0.6)
    async with store:
        run_id = await leave_in_doubt(await connect(sandbox), sandbox, store)
        step(ahead)
        client = await connect(sandbox)
        async with await client.fleet.resume(run_id, store=store) as run:
            report = await run.wait()
    assert [(one.status, one.evidence) for one in report.outcomes] == [(status, "uptime")] * 3
    check_truth(report.outcomes, await sandbox.books())


async def leave_in_doubt(client: Client, sandbox: Sandbox, store: KnowingStore) -> str:
    """A run of which only the intents are left, as after a kill."""
    plan = await client.fleet.plan(all=True)
    run = client.fleet.run(plan, quick(evidence_interval=0.5), store=store)
    with suppress(asyncio.CancelledError):
        async with run:
            await requests_seen(sandbox, "reset", 3)
            await until(lambda: not client.budget.snapshot().in_flight)
            raise asyncio.CancelledError
    entries = [entry async for entry in store.entries(run.id)]
    assert {entry.state for entry in entries} == {EntryState.INTENT}
    return run.id


async def test_without_a_date_nothing_is_said_of_what_another_process_sent(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(Fault.STALL_BEFORE, jobs=Durations(median=0.5), date_header=False)
    store = KnowingStore(0.6)
    async with store:
        run_id = await leave_in_doubt(await connect(sandbox), sandbox, store)
        async with await (await connect(sandbox)).fleet.resume(run_id, store=store) as run:
            report = await run.wait()
    assert statuses(report.outcomes) == ["ambiguous"] * 3
    check_truth(report.outcomes, await sandbox.books())
