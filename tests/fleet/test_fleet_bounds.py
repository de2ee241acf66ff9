"""What can go wrong at most: the window, the budgets of failures, the canary."""

import asyncio
from collections.abc import Sequence
from itertools import accumulate

import pytest
from fleet_tools import (
    NEVER,
    SOON,
    KnowingStore,
    check_truth,
    counts,
    of,
    quick,
    reset_all,
    sent,
    statuses,
)
from tools import Connect, StartSandbox

from hostup_async import (
    Budget,
    Client,
    Entry,
    EntryState,
    FleetPolicy,
    OutcomeStatus,
    RateLimit,
    StopCause,
)
from hostup_async.sandbox import Books, Durations, Fault, FaultRule, Limit, SandboxConfig
from hostup_async.sandbox import SandboxProcess as Process

pytestmark = pytest.mark.usefixtures("precise_uptime")
SPREAD = Durations(kind="lognormal", median=0.1)


def most_at_once(books: Books) -> int:
    """The most jobs that were under way at one moment, by the server's own clock."""
    starts = [(job.created, 1) for job in books.jobs.values()]
    ends = [(job.finished, -1) for job in books.jobs.values() if job.finished is not None]
    return max(accumulate(step for _, step in sorted(starts + ends)), default=0)


@pytest.mark.parametrize("bound", [1, 7])
async def test_no_more_than_the_window_is_unknown_at_once(
    start_sandbox: StartSandbox, connect: Connect, bound: int
) -> None:
    sandbox = await start_sandbox(vps=12, jobs=Durations(kind="lognormal", median=0.03))
    client = await connect(sandbox)
    most = 0

    def watch(_: object) -> None:
        nonlocal most
        most = max(most, run.snapshot().in_flight)

    client = await connect(sandbox, on_event=watch)
    plan = await client.fleet.plan(all=True, preflight="none")
    run = client.fleet.run(plan, quick(max_in_flight=bound), store=KnowingStore(0.03))
    async with run:
        report = await run.wait()
    books = await sandbox.books()
    assert most == bound
    assert most_at_once(books) <= bound
    assert counts(report) == {"completed": 12}


async def test_two_runs_of_one_client_keep_their_own_windows(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=40, jobs=NEVER)
    client = await connect(sandbox)
    plans = [
        await client.fleet.plan(ids=ids, preflight="none")
        for ids in (sandbox.vps_ids[:20], sandbox.vps_ids[20:])
    ]
    bounds = [2, None]
    runs = [
        client.fleet.run(plan, quick(max_in_flight=bound, deadline=3))
        for plan, bound in zip(plans, bounds, strict=True)
    ]
    async with runs[0], runs[1]:
        reports = [await run.wait() for run in runs]
    assert counts(reports[0]) == {"timed_out": 2, "not_sent": 18}
    assert counts(reports[1]) == {"timed_out": 20}
    assert runs[0].snapshot().window == 2


@pytest.mark.parametrize("window", [1, 10])
async def test_nothing_is_sent_after_the_kth_failure_is_known(
    start_sandbox: StartSandbox, connect: Connect, window: int
) -> None:
    sandbox = await start_sandbox(vps=100, jobs=SPREAD, job_failure_rate=1)
    policy = quick(max_failures=5, max_in_flight=window)
    client = await connect(sandbox)
    report = await reset_all(client, policy)
    books = await sandbox.books()
    failed, not_sent = of(report, OutcomeStatus.FAILED), of(report, OutcomeStatus.NOT_SENT)
    assert report.stopped == "5 VPSes failed, the limit set by max_failures"
    assert report.stop_cause is StopCause.MAX_FAILURES
    assert 5 <= len(failed) <= 5 + window - 1
    assert len(failed) + len(not_sent) == 100
    assert sent(books) == len(failed)
    known_at = sorted(outcome.finished_at or 0 for outcome in failed)[4]
    assert max(outcome.sent_at or 0 for outcome in failed) <= known_at


async def test_a_failure_stops_the_sending_before_it_is_saved(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    """Saving takes a time, in which more could be sent."""
    client = await connect(await start_sandbox(vps=9, jobs=SOON, job_failure_rate=1))
    stopping: list[str | None] = []

    class Watching(KnowingStore):
        async def save(self, run_id: str, entries: Sequence[Entry]) -> None:
            if entries[0].state is EntryState.FAILED:
                stopping.append(run.snapshot().stopping)
            await super().save(run_id, entries)

    plan = await client.fleet.plan(all=True, preflight="none")
    run = client.fleet.run(plan, quick(max_failures=2, max_in_flight=1), store=Watching(0.05))
    async with run:
        await run.wait()
    assert stopping == [None, "2 VPSes failed, the limit set by max_failures"]


@pytest.mark.parametrize("share", [0.1, 10])
async def test_refusals_count_as_failures(
    start_sandbox: StartSandbox, connect: Connect, share: float
) -> None:
    sandbox = await start_sandbox(vps=100, not_ready=100)
    policy = quick(max_failures=share, max_in_flight=3)
    report = await reset_all(await connect(sandbox), policy, ids=sandbox.vps_ids)
    assert 10 <= len(of(report, OutcomeStatus.REFUSED)) <= 12
    assert counts(report)["not_sent"] == 100 - counts(report)["refused"]


async def test_doubts_have_a_budget_of_their_own(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(Fault.ERROR_500, vps=30, uptime_known=False)
    policy = quick(max_ambiguous=2, max_failures=1, max_in_flight=4)
    report = await reset_all(await connect(sandbox), policy)
    assert "max_ambiguous" in (report.stopped or "")
    assert report.stop_cause is StopCause.MAX_AMBIGUOUS
    assert 2 <= counts(report)["ambiguous"] <= 5
    assert counts(report)["not_sent"] == 30 - counts(report)["ambiguous"]


@pytest.mark.parametrize(
    ("rule", "settings", "status"),
    [
        (None, {"job_failure_rate": 1}, "failed"),
        (Fault.CONFLICT, {}, "refused"),
        (Fault.ERROR_500, {"uptime_known": False}, "ambiguous"),
        (None, {"jobs": NEVER}, "timed_out"),
    ],
)
async def test_a_canary_that_does_not_complete_is_the_only_one(
    start_sandbox: StartSandbox,
    connect: Connect,
    rule: Fault | None,
    settings: dict[str, object],
    status: str,
) -> None:
    sandbox = await start_sandbox(rule, vps=20, **{"jobs": SOON, **settings})
    report = await reset_all(await connect(sandbox), quick(canary=1, job_timeout=0.5))
    assert counts(report) == {status: 1, "not_sent": 19}
    assert (report.stopped or "").startswith(f"the canary {sandbox.vps_ids[0]} ended as {status}")
    assert report.stop_cause is StopCause.CANARY
    assert sent(await sandbox.books()) == 1


async def test_after_the_canary_come_two_then_four(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=40, jobs=SOON)
    report = await reset_all(await connect(sandbox), quick(canary=1))
    books = await sandbox.books()
    jobs = sorted(books.jobs.values(), key=lambda job: job.created)
    finished = sorted(job.finished or 0 for job in jobs)
    begins, half_known = [1, 3, 7, 15, 31], [1, 2, 5, 11, 23]
    for begin, known in zip(begins, half_known, strict=True):
        assert finished[known - 1] <= jobs[begin].created
    assert counts(report) == {"completed": 40}


async def test_a_stop_cuts_off_what_waits_to_be_sent(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    """What was limited, and waits to be sent again, is not sent after the k-th failure."""
    sandbox = await start_sandbox(
        vps=30, jobs=SOON, job_failure_rate=1, action_limit=Limit(requests=5, seconds=2)
    )
    client = await connect(sandbox, budget=Budget(read_limit=RateLimit.UNLIMITED))
    report = await reset_all(client, quick(max_failures=2, max_in_flight=20))
    books = await sandbox.books()
    assert counts(report) == {"failed": 5, "not_sent": 25}
    assert len(books.jobs) == 5
    assert client.budget.snapshot().in_flight == 0
    assert {one.attempts for one in of(report, OutcomeStatus.NOT_SENT)} == {0}


async def test_gates_do_not_let_one_slip_past_a_stop(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=20, latency=0.1, jobs=SOON)
    client = await connect(sandbox)
    plan = await client.fleet.plan(all=True, preflight="gates")
    async with client.fleet.run(plan, quick()) as run:
        while not (await sandbox.books()).requests.get("status"):
            await asyncio.sleep(0.005)
        run.stop()
        report = await run.wait()
    assert counts(report) == {"not_sent": 20}
    assert sent(await sandbox.books()) == 0
    assert client.budget.snapshot().in_flight == 0


async def test_faults_of_every_kind_on_a_fleet_of_300() -> None:
    """Each one that is called completed is; none is reset twice; none is missing."""
    faults = [
        Fault.LOST_REPLY,
        Fault.DISCONNECT_BEFORE,
        Fault.ERROR_500,
        Fault.HTML_502,
        Fault.TRUNCATED_BODY,
        Fault.STALL,
        Fault.FORGOTTEN_JOB,
    ]
    rules = [FaultRule(fault, on=on, rate=0.05) for fault in faults for on in ("action", "poll")]
    config = SandboxConfig(vps=300, uptime_step=0.01, jobs=Durations(median=0.6), faults=rules)
    async with Process(config) as sandbox, hurried(sandbox) as client:
        report = await reset_all(client, quick(max_in_flight=150), KnowingStore(0.6))
        books = await sandbox.books()
    check_truth(report.outcomes, books)
    assert [outcome.vps_id for outcome in report.outcomes] == list(sandbox.vps_ids)
    assert set(counts(report)) <= {"completed", "ambiguous", "not_done"}
    assert counts(report)["completed"] > 210
    assert all(books.faults[fault] for fault in faults)
    by_evidence = [one for one in of(report, OutcomeStatus.COMPLETED) if one.evidence == "uptime"]
    assert len(by_evidence) > 30


def hurried(sandbox: Process) -> Client:
    from hostup_async import Timeouts  # noqa: PLC0415

    timeouts = Timeouts(connect=2, read=1.0, request=5, call=5)
    return Client(sandbox.api_key, base_url=sandbox.url, timeouts=timeouts, budget=Budget())


async def test_under_a_limit_all_complete_near_the_floor(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=60, jobs=SOON, limit=Limit(requests=60, seconds=1))
    client = await connect(sandbox, budget=Budget(RateLimit(60, 1)))
    report = await reset_all(client, FleetPolicy(), KnowingStore(0.05))
    assert statuses(report.outcomes) == ["completed"] * 60
    assert report.limited == 0
    check_truth(report.outcomes, await sandbox.books())
