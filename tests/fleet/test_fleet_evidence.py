"""What is believed of an action whose answer was lost, and what is done about it."""

from typing import Any

import pytest
from fleet_tools import NEVER, SHOWS, KnowingStore, check_truth, quick, reset_all, sent, statuses
from tools import Connect, StartSandbox, requests_seen

from hostup_async import (
    Budget,
    Client,
    EntryState,
    FleetReport,
    RateLimit,
    StopCause,
    Timeouts,
)
from hostup_async._fleet import pace
from hostup_async._models import ActionWord
from hostup_async.sandbox import (
    Durations,
    Fault,
    FaultRule,
    Limit,
    Sandbox,
    SandboxConfig,
    SandboxProcess,
)

UNLIMITED = RateLimit.UNLIMITED
# Seconds after the reboot. A machine with nothing else to do takes 3, a busy one more; without
# early evidence it would be 300.
SETTLED_WITHIN = 10.0
RESEND = {"on_ambiguous": "resend"}
PRECISE = pytest.mark.usefixtures("precise_uptime")


async def with_faults(
    start_sandbox: StartSandbox, connect: Connect, rules: list[dict[str, Any]], **policy: Any
) -> tuple[FleetReport, Sandbox]:
    """A run in which each VPS meets a fault of its own."""
    sandbox = await start_sandbox(vps=len(rules), jobs=SHOWS)
    for vps_id, rule in zip(sandbox.vps_ids, rules, strict=True):
        await sandbox.add_fault(FaultRule(vps_ids=[vps_id], **rule))
    client = await connect(sandbox)
    report = await reset_all(client, quick(**policy), KnowingStore())
    check_truth(report.outcomes, await sandbox.books())
    assert client.budget.snapshot().in_flight == 0
    return report, sandbox


DONE: list[dict[str, Any]] = [
    {"fault": Fault.LOST_REPLY},
    {"fault": Fault.ERROR_500, "acts": True},
    {"fault": Fault.HTML_502, "acts": True},
    {"fault": Fault.TRUNCATED_BODY},
    {"fault": Fault.STALL},
    {"fault": Fault.FORGOTTEN_JOB},
    {"fault": Fault.NO_OPERATION},
    {"fault": Fault.NULL_OPERATION},
    {"fault": Fault.FOREIGN_POLL_URL},
    {"fault": Fault.HTML_BODY},
]
NOT_DONE: list[dict[str, Any]] = [
    {"fault": Fault.ERROR_500},
    {"fault": Fault.HTML_502},
    {"fault": Fault.DISCONNECT_BEFORE},
    {"fault": Fault.STALL_BEFORE},
]


@PRECISE
@pytest.mark.parametrize("policy", [{}, RESEND])
async def test_what_was_done_is_completed_by_its_uptime(
    start_sandbox: StartSandbox, connect: Connect, policy: dict[str, Any]
) -> None:
    report, sandbox = await with_faults(start_sandbox, connect, DONE, **policy)
    assert statuses(report.outcomes) == ["completed"] * len(DONE)
    assert {outcome.evidence for outcome in report.outcomes} == {"uptime"}
    assert {outcome.attempts for outcome in report.outcomes} == {1}
    assert sent(await sandbox.books()) == len(DONE)


@PRECISE
async def test_what_was_not_done_is_reported_with_the_proof(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    report, sandbox = await with_faults(start_sandbox, connect, NOT_DONE)
    assert statuses(report.outcomes) == ["not_done"] * len(NOT_DONE)
    for outcome in report.outcomes:
        assert outcome.evidence == "uptime"
        assert "did not take place; it was not sent again" in (outcome.reason or "")
    assert sent(await sandbox.books()) == len(NOT_DONE)


@PRECISE
async def test_what_was_proved_not_done_is_sent_once_more_if_so_wished(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    once = [{**rule, "times": 1} for rule in NOT_DONE]
    always, conflict = NOT_DONE[0], {"fault": Fault.ERROR_500, "times": 1}
    rules = [*once, always, conflict]
    report, sandbox = await with_faults(start_sandbox, connect, rules, **RESEND)
    assert statuses(report.outcomes) == ["completed"] * 4 + ["not_done", "completed"]
    assert [outcome.attempts for outcome in report.outcomes] == [2] * 6
    assert sent(await sandbox.books()) == 12


@PRECISE
@pytest.mark.parametrize("rule", [{"fault": Fault.LOST_REPLY}, {"fault": Fault.ERROR_500}])
async def test_without_an_uptime_nobody_can_tell(
    start_sandbox: StartSandbox, connect: Connect, rule: dict[str, Any]
) -> None:
    sandbox = await start_sandbox(rule["fault"], jobs=SHOWS, uptime_known=False)
    report = await reset_all(await connect(sandbox), quick(**RESEND), KnowingStore())
    assert statuses(report.outcomes) == ["ambiguous"] * 3
    assert {(outcome.evidence, outcome.attempts) for outcome in report.outcomes} == {(None, 1)}
    assert "uptime" in (report.outcomes[0].reason or "")
    assert (await sandbox.books()).reset_twice == ()


@PRECISE
async def test_without_a_status_nobody_can_tell(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(Fault.LOST_REPLY, jobs=SHOWS)
    await sandbox.add_fault(FaultRule(Fault.HTML_403, on="status"))
    report = await reset_all(await connect(sandbox), quick(**RESEND), KnowingStore())
    assert statuses(report.outcomes) == ["ambiguous"] * 3


@PRECISE
async def test_what_is_still_pending_is_not_proved_undone(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(Fault.FORGOTTEN_JOB, jobs=NEVER)
    report = await reset_all(await connect(sandbox), quick(job_timeout=2, **RESEND), KnowingStore())
    assert statuses(report.outcomes) == ["ambiguous"] * 3
    assert sent(await sandbox.books()) == 3


@PRECISE
@pytest.mark.parametrize(("fault", "status"), [(None, "completed"), ("forgotten", "completed")])
async def test_a_completion_is_verified_where_that_is_wished(
    start_sandbox: StartSandbox, connect: Connect, fault: str | None, status: str
) -> None:
    rule = Fault.FORGOTTEN_JOB if fault else None
    sandbox = await start_sandbox(rule, jobs=SHOWS)
    report = await reset_all(await connect(sandbox), quick(verify=True), KnowingStore())
    assert [(one.status, one.evidence) for one in report.outcomes] == [(status, "uptime")] * 3
    check_truth(report.outcomes, await sandbox.books())


@PRECISE
async def test_a_completion_that_the_status_cannot_confirm_is_believed(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(jobs=SHOWS, uptime_known=False)
    report = await reset_all(await connect(sandbox), quick(verify=True), KnowingStore())
    assert [(one.status, one.evidence) for one in report.outcomes] == [("completed", None)] * 3


@PRECISE
async def test_a_completion_that_the_status_contradicts_twice_is_ambiguous(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(jobs=SHOWS, completed_without_effect_rate=1)
    report = await reset_all(await connect(sandbox), quick(verify=True), KnowingStore())
    assert statuses(report.outcomes) == ["ambiguous"] * 3
    assert "shows the contrary" in (report.outcomes[0].reason or "")
    assert (await sandbox.books()).requests["status"] == 6


async def test_a_completion_is_believed_where_its_verification_is_cut_off(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(jobs=SHOWS, completed_without_effect_rate=1)
    client, store = await connect(sandbox), KnowingStore()
    plan = await client.fleet.plan(all=True, preflight="none")
    policy = quick(verify=True, evidence_interval=600.0)
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - it is raised in the body
        async with client.fleet.run(plan, policy, store=store) as run:
            await requests_seen(sandbox, "status", 3)
            raise ZeroDivisionError
    await store.open()
    kept = [(one.state, one.reason) async for one in store.entries(run.id)]
    assert {state for state, _ in kept} == {EntryState.COMPLETED}
    assert all("before that was verified" in (reason or "") for _, reason in kept)


@PRECISE
@pytest.mark.parametrize(
    ("action", "fault", "status", "evidence"),
    [
        ("stop", Fault.LOST_REPLY, "completed", "power_state"),
        ("start", Fault.LOST_REPLY, "completed", "power_state"),
        ("shutdown", Fault.ERROR_500, "not_done", "power_state"),
        ("restart", Fault.LOST_REPLY, "completed", "uptime"),
    ],
)
async def test_each_action_has_its_own_evidence(
    start_sandbox: StartSandbox,
    connect: Connect,
    action: ActionWord,
    fault: Fault,
    status: str,
    evidence: str,
) -> None:
    sandbox = await start_sandbox(fault, on=action, stopped=3 * (action == "start"), jobs=SHOWS)
    report = await reset_all(await connect(sandbox), quick(), KnowingStore(), action=action)
    assert [(one.status, one.evidence) for one in report.outcomes] == [(status, evidence)] * 3
    assert sent(await sandbox.books(), action) == 3


@PRECISE
async def test_the_moment_of_the_send_is_not_that_of_the_intent(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    """Between the two may lie a wait for the limit, and a reboot that is not ours."""
    sandbox = await start_sandbox(
        Fault.LOST_REPLY,
        vps=2,
        jobs=SHOWS,
        action_limit=Limit(requests=1, seconds=0.5),
        retry_after=False,
    )
    report = await reset_all(await connect(sandbox), quick(), KnowingStore())
    first, second = sorted(outcome.sent_at or 0 for outcome in report.outcomes)
    assert second - first > 0.4
    check_truth(report.outcomes, await sandbox.books())


async def test_an_uptime_in_whole_seconds_is_evidence_too(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    """As the API tells it (assumed): here nothing is told more precisely to be quicker."""
    sandbox = await start_sandbox(Fault.LOST_REPLY, uptime_step=1, jobs=Durations(median=0.5))
    report = await reset_all(await connect(sandbox), quick(evidence_interval=1), KnowingStore(0.5))
    assert [(one.status, one.evidence) for one in report.outcomes] == [("completed", "uptime")] * 3
    check_truth(report.outcomes, await sandbox.books())


async def test_a_single_reset_whose_reply_is_lost_is_settled_soon_after_the_reboot(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    """A cold client, an uptime in whole seconds, real waits: as `hostup reset ID` does it."""
    sandbox = await start_sandbox(
        Fault.LOST_REPLY, vps=1, uptime_step=1, jobs=Durations(median=1.1)
    )
    report = await (await connect(sandbox)).fleet.reset(sandbox.vps_ids)
    [outcome] = report.outcomes
    books = await sandbox.books()
    [job] = books.jobs.values()
    took = (job.finished or 0) - job.created
    assert (outcome.status, outcome.evidence) == ("completed", "uptime")
    assert (outcome.finished_at or 0) - (outcome.sent_at or 0) - took < SETTLED_WITHIN
    assert books.requests["status"] <= 5


async def test_a_canary_whose_reply_is_lost_holds_the_others_up_for_seconds_alone(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(
        Fault.LOST_REPLY, times=1, vps=4, uptime_step=1, jobs=Durations(median=1.1)
    )
    client = await connect(sandbox, jobs_take=1.1)
    report = await reset_all(client, quick(canary=1), KnowingStore(1.1))
    assert statuses(report.outcomes) == ["completed"] * 4
    assert report.seconds < 15


@pytest.mark.parametrize("size", [60])
async def test_many_lost_replies_are_settled_soon_after_the_reboots(size: int) -> None:
    config = SandboxConfig(
        vps=size,
        jobs=Durations(kind="lognormal", median=2, sigma=0.3),
        faults=[FaultRule(Fault.LOST_REPLY, on="reset")],
    )
    async with SandboxProcess(config) as sandbox:
        timeouts = Timeouts(connect=5, read=20, request=30, call=30)
        client = Client(
            sandbox.api_key, base_url=sandbox.url, timeouts=timeouts, budget=Budget(UNLIMITED)
        )
        async with client:
            report = await client.fleet.reset(sandbox.vps_ids, quick(evidence_interval=10))
        books = await sandbox.books()
    check_truth(report.outcomes, books)
    assert statuses(report.outcomes) == ["completed"] * size
    took = {job.vps_id: (job.finished or 0) - job.created for job in books.jobs.values()}
    delays = sorted(
        (one.finished_at or 0) - (one.sent_at or 0) - took[one.vps_id] for one in report.outcomes
    )
    assert delays[int(0.95 * size)] < SETTLED_WITHIN
    assert books.requests["status"] <= 4 * size


@PRECISE
@pytest.mark.parametrize(
    ("fault", "settings"),
    [
        (Fault.LOST_REPLY, {"jobs": NEVER, "power_during_reset": "stopped"}),
        *(
            (fault, {"jobs": SHOWS, "uptime_stuck": uptime})
            for fault in (Fault.LOST_REPLY, Fault.ERROR_500)
            for uptime in (0, 0.1, 7, 1e6)
        ),
    ],
)
async def test_an_uptime_that_is_not_of_a_running_machine_shows_nothing(
    start_sandbox: StartSandbox, connect: Connect, fault: Fault, settings: dict[str, Any]
) -> None:
    sandbox = await start_sandbox(fault, **settings)
    policy = quick(job_timeout=1, **RESEND)
    report = await reset_all(await connect(sandbox), policy, KnowingStore())
    assert statuses(report.outcomes) == ["ambiguous"] * 3
    assert sent(await sandbox.books()) == 3


@PRECISE
@pytest.mark.parametrize("fault", [Fault.LOST_REPLY, Fault.DISCONNECT_BEFORE])
async def test_a_read_that_fails_costs_one_read_and_not_the_verdict(
    start_sandbox: StartSandbox, connect: Connect, fault: Fault
) -> None:
    sandbox = await start_sandbox(fault, jobs=SHOWS)
    for vps_id in sandbox.vps_ids:
        for bad in (Fault.HTML_403, Fault.REDIRECT):
            await sandbox.add_fault(FaultRule(bad, on="status", vps_ids=[vps_id], times=1))
    report = await reset_all(await connect(sandbox), quick(), KnowingStore())
    status = "completed" if fault is Fault.LOST_REPLY else "not_done"
    assert [(one.status, one.evidence) for one in report.outcomes] == [(status, "uptime")] * 3
    check_truth(report.outcomes, await sandbox.books())


@PRECISE
async def test_a_key_that_is_refused_leaves_the_doubt_for_a_resumption(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(Fault.LOST_REPLY, jobs=SHOWS)
    client, store = await connect(sandbox), KnowingStore()
    plan = await client.fleet.plan(ids=sandbox.vps_ids, preflight="none")
    async with store:
        async with client.fleet.run(plan, quick(), store=store) as run:
            await requests_seen(sandbox, "reset", 3)
            client._requester.transport._headers["Authorization"] = "Bearer sk_other"
            report = await run.wait()
        assert report.stop_cause is StopCause.KEY_REFUSED
        entries = [entry async for entry in store.entries(run.id)]
        assert {entry.state for entry in entries} == {EntryState.INTENT}


@PRECISE
async def test_a_queue_is_waited_for_before_anything_is_sent_again(
    start_sandbox: StartSandbox, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scaled: jobs of 0.1 s were seen, this one queues for 2 s, and a resend waits for 3 s."""
    monkeypatch.setattr(pace, "UNKNOWN_QUEUE", 3.0)
    sandbox = await start_sandbox(Fault.LOST_REPLY, jobs=Durations(median=2.0))
    report = await reset_all(await connect(sandbox), quick(**RESEND), KnowingStore(0.1))
    assert statuses(report.outcomes) == ["completed"] * 3
    assert {outcome.attempts for outcome in report.outcomes} == {1}
    assert sent(await sandbox.books()) == 3
