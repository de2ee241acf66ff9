"""What is read of a VPS before its action: who else may have acted on it a moment ago."""

from typing import Any

import pytest
from fleet_tools import SHOWS, SOON, check_truth, quick, reset_all, sent, statuses
from tools import Connect, StartSandbox

from hostup_async import Action, Outcome
from hostup_async._fleet.plan import PreflightWord
from hostup_async._fleet.preflight import check
from hostup_async.sandbox import Durations, Fault, FaultRule

GATES: dict[str, Any] = {"preflight": "gates"}


async def test_a_second_run_in_another_store_skips_what_the_first_one_reset(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(jobs=SOON)
    one, other = await connect(sandbox), await connect(sandbox)
    first = await reset_all(one, **GATES)
    second = await reset_all(other, **GATES)
    assert statuses(first.outcomes) == ["completed"] * 3
    assert [why(outcome) for outcome in second.outcomes] == [("skipped", "it booted 0 s ago")] * 3
    check_truth(first.outcomes, await sandbox.books())
    assert sent(await sandbox.books()) == 3


def why(outcome: Outcome) -> tuple[str, str]:
    return outcome.status.value, (outcome.reason or "").replace("1 s", "0 s")


async def test_a_task_that_is_pending_is_a_reason_too(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(jobs=Durations(median=3600))
    client = await connect(sandbox)
    await client.vps.reset(sandbox.vps_ids[0])
    report = await reset_all(client, quick(job_timeout=0.5), **GATES)
    assert statuses(report.outcomes) == ["skipped", "timed_out", "timed_out"]
    assert report.outcomes[0].reason == "a task is pending on it"


@pytest.mark.parametrize(
    ("preflight", "within", "statuses_read", "skipped"),
    [
        ("none", None, 0, False),
        ("list", None, 0, False),
        ("gates", 0, 3, False),
        ("none", 60, 3, True),
        ("gates", None, 3, True),
        ("none", 1e-9, 3, True),  # an uptime is told in whole seconds
    ],
)
async def test_when_the_status_is_read_and_counts(
    start_sandbox: StartSandbox,
    connect: Connect,
    preflight: PreflightWord,
    within: float | None,
    statuses_read: int,
    *,
    skipped: bool,
) -> None:
    sandbox = await start_sandbox(jobs=SOON, uptime_stuck=0)
    client = await connect(sandbox)
    policy = quick(skip_booted_within=within)
    report = await reset_all(client, policy, preflight=preflight)
    assert statuses(report.outcomes) == ["skipped" if skipped else "completed"] * 3
    assert (await sandbox.books()).requests.get("status", 0) == statuses_read


async def test_what_is_not_known_is_no_reason(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(jobs=SOON, uptime_known=False)
    await sandbox.add_fault(FaultRule(Fault.HTML_502, on="status", vps_ids=sandbox.vps_ids[:1]))
    client = await connect(sandbox)
    report = await reset_all(client, quick(skip_booted_within=60))
    assert statuses(report.outcomes) == ["completed"] * 3


async def test_a_canary_that_is_skipped_lets_the_next_one_go_first(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=6, jobs=SHOWS)
    client = await connect(sandbox, jobs_take=0.3)
    for vps_id in sandbox.vps_ids[:2]:
        await (await client.vps.reset(vps_id)).wait()
    report = await reset_all(client, quick(canary=1), **GATES)
    assert statuses(report.outcomes) == ["skipped"] * 2 + ["completed"] * 4
    jobs = sorted((await sandbox.books()).jobs.values(), key=lambda job: job.created)
    canary, following = jobs[2], jobs[3]
    assert canary.vps_id == sandbox.vps_ids[2]
    assert (canary.finished or 0) <= following.created


async def test_a_run_whose_vpses_are_all_skipped_ends(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(jobs=SOON)
    client = await connect(sandbox)
    await reset_all(client, **GATES)
    report = await reset_all(await connect(sandbox), quick(canary=2), **GATES)
    assert statuses(report.outcomes) == ["skipped"] * 3
    assert report.stopped is None


async def test_a_boot_must_be_known_where_a_store_may_have_lost_some(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(uptime_known=False)
    client, vps_id = await connect(sandbox), sandbox.vps_ids[0]
    options: dict[str, Any] = {"gates": False, "within": 3600.0}
    assert await check(client.vps, vps_id, Action.RESET, **options) is None
    why = await check(client.vps, vps_id, Action.RESET, must_be_known=True, **options)
    assert why == "it cannot be seen when it last booted"


async def test_a_power_action_asks_for_pending_tasks_alone(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(jobs=SOON, uptime_stuck=3)
    client = await connect(sandbox)
    report = await reset_all(client, quick(), action="stop", **GATES)
    assert statuses(report.outcomes) == ["completed"] * 3
