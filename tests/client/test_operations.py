"""Jobs, from acceptance to their end, in every shape that a poll may have."""

import asyncio
import re
from functools import partial

import pytest
from tools import Connect, RawServer, StartSandbox, accepted, client_of, http, requests_seen

from hostup_async import (
    Accepted,
    Action,
    Client,
    ConfigurationError,
    Conflict,
    Forbidden,
    Job,
    JobFailed,
    JobStatus,
    Operation,
    OutcomeUnknown,
    UnreadableReply,
    UntrustedPollUrl,
    WaitTimeout,
)
from hostup_async._http.jobs import read_job
from hostup_async.sandbox import Durations, Fault, FaultRule, Limit

LONG = Durations(median=3600)
INSTANT = Durations(kind="instant")
AT_ONCE = Durations(median=0)


@pytest.fixture
def connect(connect: Connect) -> Connect:
    """Clients that know jobs to take 50 ms, so that the first poll comes soon."""
    return partial(connect, jobs_take=0.05)


@pytest.mark.parametrize("poll_shape", ["operation", "job", "status_data"])
@pytest.mark.parametrize("words", ["documented", "queue"])
async def test_a_reset_is_followed_to_its_end(
    start_sandbox: StartSandbox, connect: Connect, poll_shape: str, words: str
) -> None:
    sandbox = await start_sandbox(poll_shape=poll_shape, words=words)
    client = await connect(sandbox)
    before = await client.vps.status(sandbox.vps_ids[0])
    operation = await client.vps.reset(sandbox.vps_ids[0])
    assert not operation.job.is_final
    job = await operation.wait(timeout=10)
    books = await sandbox.books()
    assert job.succeeded
    assert job is operation.job
    assert books.resets == {sandbox.vps_ids[0]: 1}
    assert operation.job_id in books.jobs
    after = await client.vps.status(sandbox.vps_ids[0])
    assert (after.uptime_seconds or 0) < (before.uptime_seconds or 0)


@pytest.mark.parametrize("action", list(Action))
async def test_each_action_goes_to_its_own_route(
    start_sandbox: StartSandbox, connect: Connect, action: Action
) -> None:
    sandbox = await start_sandbox(vps=1, stopped=int(action is Action.START))
    heard: list[object] = []
    client = await connect(sandbox, on_event=heard.append)
    operation: Operation = await getattr(client.vps, action.value)(sandbox.vps_ids[0])
    assert (operation.action, operation.vps_id) == (action, sandbox.vps_ids[0])
    assert accepted(await sandbox.books(), action.value) == {sandbox.vps_ids[0]: 1}
    assert heard[-1] == Accepted(
        sandbox.vps_ids[0], action, operation.job_id, operation.token(), attempt=1
    )


async def test_a_forced_restart_says_so_in_its_body(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox()
    client = await connect(sandbox)
    operation = await client.vps.restart(sandbox.vps_ids[0], force=True)
    assert operation.action is Action.RESTART
    assert accepted(await sandbox.books(), "restart") == {sandbox.vps_ids[0]: 1}


async def test_a_job_that_is_over_when_accepted_needs_no_look(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(jobs=INSTANT)
    client = await connect(sandbox)
    operation = await client.vps.reset(sandbox.vps_ids[0])
    assert (await operation.wait()).succeeded
    assert (await operation.poll()).succeeded
    assert "poll" not in (await sandbox.books()).requests


@pytest.mark.parametrize("text", ["error", "failedReason", "progressMessage", "result"])
@pytest.mark.parametrize("poll_shape", ["operation", "job", "status_data"])
async def test_a_failed_job_is_an_error_that_says_why(
    start_sandbox: StartSandbox, connect: Connect, text: str, poll_shape: str
) -> None:
    sandbox = await start_sandbox(job_failure_rate=1, failure_text=text, poll_shape=poll_shape)
    client = await connect(sandbox)
    operation = await client.vps.reset(sandbox.vps_ids[0])
    with pytest.raises(JobFailed, match="Check the VPS") as caught:
        await operation.wait(timeout=10)
    assert caught.value.vps_id == sandbox.vps_ids[0]
    assert caught.value.job is not None
    assert caught.value.job.error
    assert caught.value.job.error in str(caught.value)


async def test_completed_without_success_is_a_failure(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(completed_with_success_false_rate=1, jobs=AT_ONCE)
    client = await connect(sandbox)
    operation = await client.vps.reset(sandbox.vps_ids[0])
    with pytest.raises(JobFailed):
        await operation.wait(timeout=10)


async def test_a_wait_that_times_out_carries_the_token_to_go_on(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(jobs=LONG)
    client = await connect(sandbox)
    operation = await client.vps.reset(sandbox.vps_ids[0])
    with pytest.raises(WaitTimeout, match="goes on") as caught:
        await operation.wait(timeout=0.3)
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.token == operation.token()
    assert accepted(await sandbox.books()) == {sandbox.vps_ids[0]: 1}


async def test_a_wait_that_the_limit_allows_no_look_in_ends_at_once(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(jobs=LONG, limit=Limit(requests=1, seconds=500))
    client = await connect(sandbox)
    operation = await client.vps.reset(sandbox.vps_ids[0])
    async with asyncio.timeout(10):
        with pytest.raises(WaitTimeout, match="cannot be polled in time") as caught:
            await operation.wait(timeout=100)
    assert caught.value.token


async def test_looks_that_fail_do_not_end_a_wait(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(
        faults=[
            FaultRule(Fault.HTML_502, on="poll", times=1),
            FaultRule(Fault.TRUNCATED_BODY, on="poll", times=1),
            FaultRule(Fault.STALL, on="poll", times=1),
        ],
    )
    client = await connect(sandbox)
    operation = await client.vps.reset(sandbox.vps_ids[0])
    assert (await operation.wait(timeout=20)).succeeded


async def test_a_forgotten_job_has_an_unknown_outcome(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(Fault.FORGOTTEN_JOB)
    client = await connect(sandbox)
    operation = await client.vps.reset(sandbox.vps_ids[0])
    for look in (operation.poll, operation.wait):
        with pytest.raises(OutcomeUnknown, match="forgotten") as caught:
            await look()
        assert caught.value.vps_id == sandbox.vps_ids[0]
        assert caught.value.status == 404
    assert accepted(await sandbox.books()) == {sandbox.vps_ids[0]: 1}


@pytest.mark.parametrize("fault", [Fault.NO_OPERATION, Fault.NULL_OPERATION])
async def test_an_acceptance_without_a_job_has_an_unknown_outcome_at_once(
    start_sandbox: StartSandbox, connect: Connect, fault: Fault
) -> None:
    sandbox = await start_sandbox(fault)
    client = await connect(sandbox)
    operation = await client.vps.reset(sandbox.vps_ids[0])
    assert (operation.job_id, operation.poll_url) == (None, None)
    for look in (operation.poll, operation.wait):
        with pytest.raises(OutcomeUnknown, match="without naming a job"):
            await look()
    assert client.operation(operation.token()).vps_id == sandbox.vps_ids[0]


async def test_a_poll_url_elsewhere_is_not_followed_and_gets_no_key(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    elsewhere = await start_sandbox()
    sandbox = await start_sandbox(Fault.FOREIGN_POLL_URL, foreign_origin=elsewhere.url)
    client = await connect(sandbox)
    operation = await client.vps.reset(sandbox.vps_ids[0])
    for look in (operation.poll, operation.wait):
        with pytest.raises(UntrustedPollUrl, match=re.escape(sandbox.url)):
            await look()
    books = await elsewhere.books()
    assert (books.total_requests, books.connections) == (0, 0)


@pytest.mark.parametrize(
    "poll_url",
    [
        "//evil.example/api/jobs/1",
        "https://evil.example/api/jobs/1",
        "http://127.0.0.1:1/api/jobs/1",
        "http://127.0.0.1@evil.example/",
        "http://[::1",
    ],
)
async def test_a_poll_url_from_a_user_is_held_to_the_same(
    start_sandbox: StartSandbox, connect: Connect, poll_url: str
) -> None:
    client = await connect(await start_sandbox())
    with pytest.raises((UntrustedPollUrl, ConfigurationError)):
        client.operation(poll_url)


@pytest.mark.parametrize("poll_url", ["https://api.example:443/x", "https://API.example/x", "/x"])
async def test_the_same_origin_in_other_words_is_the_same(poll_url: str) -> None:
    async with client_of("https://api.example") as client:
        assert client.operation(poll_url).poll_url == poll_url


@pytest.mark.parametrize("text", ["", "job_01hx", "hostup1_", "hostup1_e30", "ftp://x/y"])
async def test_what_is_neither_token_nor_poll_url_is_refused(
    start_sandbox: StartSandbox, connect: Connect, text: str
) -> None:
    client = await connect(await start_sandbox())
    with pytest.raises(ConfigurationError, match=r"operation\.token"):
        client.operation(text)


async def test_waiting_goes_on_from_a_token_in_another_client(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox()
    operation = await (await connect(sandbox)).vps.reset(sandbox.vps_ids[0])
    resumed = (await connect(sandbox)).operation(operation.token())
    assert resumed.vps_id == operation.vps_id
    assert resumed.action is Action.RESET
    assert resumed.job_id == operation.job_id
    assert (resumed.sent_at, resumed.accepted_at) == (operation.sent_at, operation.accepted_at)
    assert (await resumed.wait(timeout=10)).succeeded
    assert accepted(await sandbox.books()) == {sandbox.vps_ids[0]: 1}


async def test_waiting_goes_on_from_a_bare_poll_url(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox()
    client = await connect(sandbox)
    operation = await client.vps.reset(sandbox.vps_ids[0])
    assert operation.poll_url is not None
    for text in (operation.poll_url, sandbox.url + operation.poll_url):
        resumed = client.operation(text)
        assert resumed.vps_id is None
        assert (await resumed.wait(timeout=10)).succeeded


async def test_a_token_of_another_api_is_refused(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    first, second = await start_sandbox(), await start_sandbox()
    operation = await (await connect(first)).vps.reset(first.vps_ids[0])
    with pytest.raises(ConfigurationError, match=re.escape(first.url)):
        (await connect(second)).operation(operation.token())


async def test_any_poll_url_on_the_origin_is_followed_as_given() -> None:
    reply = b'{"operation": {"status": "queued", "jobId": "x", "pollUrl": "/api/v2/e?pid=4%2042"}}'
    done = b'{"operation": {"status": "completed"}}'
    answers = (http(reply, "202 Accepted"), http(done))
    async with RawServer(*answers) as server, client_of(server.url) as client:
        operation = await client.vps.reset("vps_1")
        assert (await operation.poll()).succeeded
        assert server.requests[1] == "GET /api/v2/e?pid=4%2042 HTTP/1.1"


async def test_all_are_waited_for_at_once_and_come_as_they_end(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=30, job_failure_rate=0.4, jobs=Durations(median=0.2))
    client = await connect(sandbox)
    operations = [await client.vps.reset(vps_id) for vps_id in sandbox.vps_ids]
    results = [pair async for pair in client.wait_all(operations, timeout=20)]
    assert {operation.vps_id for operation, _ in results} == set(sandbox.vps_ids)
    books = await sandbox.books()
    for operation, result in results:
        booked = books.jobs[operation.job_id or ""]
        assert (booked.status == JobStatus.COMPLETED) == isinstance(result, Job)
        assert isinstance(result, Job | JobFailed)
    assert {type(result) for _, result in results} == {Job, JobFailed}


async def test_leaving_a_wait_for_all_leaves_no_task(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=5)
    client = await connect(sandbox)
    operations = [await client.vps.reset(vps_id) for vps_id in sandbox.vps_ids]
    tasks = asyncio.all_tasks()
    waiting = client.wait_all(operations)
    await anext(waiting)
    await waiting.aclose()  # type: ignore[attr-defined]  # an async generator
    assert not [task for task in asyncio.all_tasks() - tasks if "_outcome" in repr(task)]


async def test_a_wait_is_cancelled_at_once(start_sandbox: StartSandbox, connect: Connect) -> None:
    sandbox = await start_sandbox(Fault.STALL, on="poll", jobs=LONG)
    client = await connect(sandbox)
    operation = await client.vps.reset(sandbox.vps_ids[0])
    waiting = asyncio.create_task(operation.wait())
    await requests_seen(sandbox, "poll", 1)
    waiting.cancel()
    async with asyncio.timeout(20):  # the stalled poll would take longer; the job an hour
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert client.budget.snapshot().in_flight == 0


async def test_an_error_that_is_final_and_comes_twice_ends_a_wait() -> None:
    denied = http(b'{"code": "forbidden", "detail": "No scope."}', "403 Forbidden")
    async with RawServer(*[denied] * 5) as server, client_of(server.url) as client:
        with pytest.raises(Forbidden, match="No scope"):
            await client.operation("/api/jobs/j1").wait(timeout=10)


async def test_a_filter_before_the_api_costs_polls_and_the_timeout_names_it(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(Fault.HTML_403, on="poll", jobs=LONG)
    client = await connect(sandbox)
    operation = await client.vps.reset(sandbox.vps_ids[0])
    with pytest.raises(UnreadableReply, match="filter in front"):
        await operation.poll()
    with pytest.raises(WaitTimeout, match=r"the last poll failed.*filter in front"):
        await operation.wait(timeout=0.5)


async def test_the_cooldown_of_the_api_is_a_conflict_with_its_own_advice(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(cooldown=600)
    client = await connect(sandbox)
    await client.vps.reset(sandbox.vps_ids[0])
    with pytest.raises(Conflict, match="too recent") as caught:
        await client.vps.reset(sandbox.vps_ids[0])
    assert caught.value.code == "cooldown_active"


async def test_an_operation_shows_what_it_is(start_sandbox: StartSandbox, connect: Connect) -> None:
    sandbox = await start_sandbox()
    client: Client = await connect(sandbox)
    operation = await client.vps.reset(sandbox.vps_ids[0])
    assert f"reset of {sandbox.vps_ids[0]}" in repr(operation)
    assert sandbox.api_key not in repr(client)
    assert sandbox.url in repr(client)


async def test_a_job_cannot_write_to_the_terminal() -> None:
    async with client_of("https://api.example") as client:
        operation = client.operation("/api/jobs/j")
        operation._job = read_job({"jobId": "\x1b[31mj", "status": "\x1b]0;x\x07"})
        assert repr(operation).isprintable()
