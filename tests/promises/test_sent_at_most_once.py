"""The table of the retry module, row by row, over real sockets and by the server's own books."""

import asyncio

import aiohttp
import anyio
import pytest
from tools import (
    Connect,
    RawServer,
    StartSandbox,
    accepted,
    client_of,
    free_port,
    http,
    requests_seen,
)

from hostup_async import (
    ApiError,
    Budget,
    Conflict,
    Event,
    Forbidden,
    HostUpError,
    NotSent,
    OutcomeUnknown,
    RateLimit,
    RateLimited,
    Retrying,
    Timeouts,
)
from hostup_async._http.transport import KEEPALIVE
from hostup_async.sandbox import Fault, FaultRule, Limit, Sandbox, SandboxConfig

DOES_THE_WORK = [
    Fault.LOST_REPLY,
    Fault.PARTIAL_REPLY,
    Fault.TRUNCATED_BODY,
    Fault.TRUNCATED_JSON,
    Fault.STALL,
    Fault.EMPTY_BODY,
    Fault.NO_CONTENT,
    Fault.HTML_BODY,
    Fault.HUGE_BODY,
]
DOES_NOTHING = [Fault.DISCONNECT_BEFORE, Fault.STALL_BEFORE]
EITHER = [Fault.ERROR_500, Fault.HTML_502, Fault.ERROR_503, Fault.ERROR_504, Fault.REDIRECT]


@pytest.mark.parametrize(
    ("rule", "done"),
    [(FaultRule(fault), 1) for fault in DOES_THE_WORK]
    + [(FaultRule(fault), 0) for fault in DOES_NOTHING]
    + [(FaultRule(fault, acts=acts), int(acts)) for fault in EITHER for acts in (True, False)],
    ids=lambda value: f"{value.fault}-{value.acts}" if isinstance(value, FaultRule) else None,
)
async def test_what_may_have_been_sent_is_never_sent_again(
    start_sandbox: StartSandbox, connect: Connect, rule: FaultRule, done: int
) -> None:
    sandbox = await start_sandbox(faults=[rule])
    client = await connect(sandbox)
    vps_id = sandbox.vps_ids[0]
    with pytest.raises(OutcomeUnknown) as caught:
        await client.vps.reset(vps_id)
    books = await sandbox.books()
    assert books.requests["reset"] == 1
    assert sum(accepted(books).values()) == done
    assert caught.value.vps_id == vps_id
    assert caught.value.sent_at is not None
    assert vps_id in str(caught.value)
    assert "Do not send it again" in str(caught.value)
    assert "client.vps.status" in str(caught.value)


@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        (Fault.CONFLICT, Conflict, "client.vps.gates"),
        (Fault.HTML_403, Forbidden, "nothing about the key's scopes"),
        (Fault.SUCCESS_FALSE, HostUpError, "200"),
    ],
)
async def test_a_refusal_is_final_and_nothing_was_done(
    start_sandbox: StartSandbox,
    connect: Connect,
    fault: Fault,
    error: type[HostUpError],
    says: str,
) -> None:
    sandbox = await start_sandbox(fault)
    client = await connect(sandbox)
    with pytest.raises(error, match=says) as caught:
        await client.vps.reset(sandbox.vps_ids[0])
    books = await sandbox.books()
    assert not isinstance(caught.value, OutcomeUnknown)
    assert (books.requests["reset"], accepted(books)) == (1, {})


UPSTREAM_FAILED = b'{"code": "upstream_failed"}'


@pytest.mark.parametrize(
    "response",
    [
        *(http(UPSTREAM_FAILED, f"{status} X") for status in (400, 404, 409, 502, 503)),
        http(b'{"title": "Conflict"}', "409 Conflict"),
        http(b"<html>Conflict</html>", "409 Conflict"),
        *(http(b"", f"{status} X") for status in (302, 405, 408, 410, 418, 421, 422, 425, 499)),
    ],
    ids=lambda response: response[9:12].decode() + f"-{len(response)}",
)
async def test_a_status_that_does_not_say_not_done_leaves_a_doubt(response: bytes) -> None:
    async with RawServer(response, response) as server, client_of(server.url) as client:
        with pytest.raises(OutcomeUnknown):
            await client.vps.reset("vps_1")
        assert len(server.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404])
@pytest.mark.parametrize("body", [b"", b"<html>no</html>", b'{"code": "no"}'])
async def test_a_status_that_says_not_done_is_a_refusal_whoever_sent_it(
    status: int, body: bytes
) -> None:
    response = http(body, f"{status} X")
    async with RawServer(response, response) as server, client_of(server.url) as client:
        with pytest.raises(ApiError) as caught:
            await client.vps.reset("vps_1")
        assert not isinstance(caught.value, OutcomeUnknown)
        assert len(server.requests) == 1


async def test_too_many_requests_is_waited_out_and_then_sent_once(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(
        limit=Limit(requests=2, seconds=0.3), retry_after=False, reset_format="delta"
    )
    client = await connect(sandbox)
    async with asyncio.timeout(20):
        operations = await asyncio.gather(*(client.vps.reset(i) for i in sandbox.vps_ids))
    books = await sandbox.books()
    assert books.refused >= 1
    assert len(operations) == 3
    assert set(accepted(books).values()) == {1}


async def test_a_wait_longer_than_allowed_fails_at_once(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(limit=Limit(requests=1, seconds=1000))
    client = await connect(sandbox)
    await client.vps.reset(sandbox.vps_ids[0])
    with pytest.raises(RateLimited, match="allows no request") as caught:
        await client.vps.reset(sandbox.vps_ids[1])
    assert caught.value.code == "rate_limit_exceeded"
    assert caught.value.retry_after is not None
    assert caught.value.retry_after > 900


async def test_a_refused_connection_proves_that_nothing_was_sent() -> None:
    async with client_of(f"http://127.0.0.1:{free_port()}") as client:
        with pytest.raises(NotSent, match="Nothing was sent"):
            await client.vps.reset("vps_1")
        assert client.budget.snapshot().in_flight == 0


async def test_an_unknown_host_proves_that_nothing_was_sent() -> None:
    async with client_of("https://api.invalid") as client:
        with pytest.raises(NotSent, match="could not be reached"):
            await client.vps.reset("vps_1")


async def test_a_failed_tls_handshake_proves_that_nothing_was_sent(
    start_sandbox: StartSandbox,
) -> None:
    sandbox = await start_sandbox()
    async with client_of(sandbox.url.replace("http:", "https:")) as client:
        with pytest.raises(NotSent):
            await client.vps.reset(sandbox.vps_ids[0])
    assert (await sandbox.books()).total_requests == 0


async def test_no_free_connection_in_time_proves_that_nothing_was_sent(
    start_sandbox: StartSandbox,
) -> None:
    sandbox = await start_sandbox(Fault.STALL, on="get")
    timeouts = Timeouts(pool=0.1, call=0.2)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
        holder = asyncio.create_task(hold_a_connection(session, sandbox))
        async with client_of(sandbox.url, session=session, timeouts=timeouts) as client:
            await requests_seen(sandbox, "get", 1)
            with pytest.raises(NotSent):
                await client.vps.reset(sandbox.vps_ids[0])
        holder.cancel()
        await asyncio.gather(holder, return_exceptions=True)
    assert "reset" not in (await sandbox.books()).requests


async def hold_a_connection(session: aiohttp.ClientSession, sandbox: Sandbox) -> None:
    headers = {"Authorization": f"Bearer {sandbox.api_key}"}
    await session.get(f"{sandbox.url}/api/v2/vps/{sandbox.vps_ids[0]}", headers=headers)


async def test_what_was_never_sent_is_sent_once_the_server_is_there() -> None:
    port, config, failed = free_port(), SandboxConfig(vps=1), asyncio.Event()

    def hear(event: Event) -> None:
        if isinstance(event, Retrying):
            failed.set()

    patient = Timeouts(call=30)
    async with client_of(f"http://127.0.0.1:{port}", timeouts=patient, on_event=hear) as client:
        reset = asyncio.create_task(client.vps.reset(config.vps_ids[0]))
        await failed.wait()
        async with Sandbox(config, port=port) as sandbox:
            assert (await reset).job_id is not None
            assert accepted(await sandbox.books()) == {config.vps_ids[0]: 1}


async def test_an_action_whose_connection_dies_is_in_doubt_and_not_repeated() -> None:
    async with RawServer(http(b"{}"), None, None) as server, client_of(server.url) as client:
        await client.vps.status("vps_1")
        with pytest.raises(OutcomeUnknown):
            await client.vps.reset("vps_1")
        posts = [line for line in server.requests if line.startswith("POST")]
        assert len(posts) == 1


async def test_a_read_on_a_dead_kept_alive_connection_is_repeated_and_charged_for() -> None:
    budget = Budget(RateLimit(10, 60))
    answers = (http(b"{}"), None, http(b'{"uptimeSeconds": 7}'))
    async with RawServer(*answers) as server, client_of(server.url, budget=budget) as client:
        await client.vps.status("vps_1")
        assert (await client.vps.status("vps_1")).uptime_seconds == 7
        assert len(server.requests) == 3
        assert budget.snapshot().left == 7


async def test_the_connection_is_given_up_before_a_node_server_would_close_it() -> None:
    assert KEEPALIVE < 5


async def test_a_cancellation_waits_for_the_answer_of_an_action_under_way(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(latency=0.3)
    client = await connect(sandbox)
    tasks_before = asyncio.all_tasks()
    reset = asyncio.create_task(client.vps.reset(sandbox.vps_ids[0]))
    await requests_seen(sandbox, "reset", 1)
    for _ in range(3):
        reset.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError) as caught:
        await reset
    books = await sandbox.books()
    [job_id] = books.jobs
    assert books.statuses == {202: 1}
    assert job_id in caught.value.__notes__[0]
    assert "follow it with client.operation(" in caught.value.__notes__[0]
    assert client.budget.snapshot().in_flight == 0
    assert not [
        task
        for task in asyncio.all_tasks() - tasks_before
        if "Requester._send_action" in repr(task)
    ]


async def test_a_scope_that_times_out_waits_for_the_answer_of_an_action_under_way(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(latency=0.3)
    client = await connect(sandbox)
    with anyio.move_on_after(0.1) as scope:
        await client.vps.reset(sandbox.vps_ids[0])
    assert scope.cancelled_caught
    assert (await sandbox.books()).statuses == {202: 1}


async def test_a_cancellation_before_the_send_takes_effect_at_once_and_nothing_is_sent(
    start_sandbox: StartSandbox,
) -> None:
    sandbox = await start_sandbox(Fault.STALL, on="get")
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
        holder = asyncio.create_task(hold_a_connection(session, sandbox))
        async with client_of(sandbox.url, session=session) as client:
            await requests_seen(sandbox, "get", 1)
            reset = asyncio.create_task(client.vps.reset(sandbox.vps_ids[0]))
            while not client.budget.snapshot().in_flight:
                await asyncio.sleep(0)
            reset.cancel()
            async with asyncio.timeout(15):  # the held connection takes longer
                with pytest.raises(asyncio.CancelledError) as caught:
                    await reset
        assert not hasattr(caught.value, "__notes__")
        holder.cancel()
        await asyncio.gather(holder, return_exceptions=True)
    assert "reset" not in (await sandbox.books()).requests


async def test_closing_the_client_lets_an_action_under_way_end(
    start_sandbox: StartSandbox,
) -> None:
    sandbox = await start_sandbox(latency=0.2)
    async with client_of(sandbox.url) as client:
        reset = asyncio.create_task(client.vps.reset(sandbox.vps_ids[0]))
        await requests_seen(sandbox, "reset", 1)
    assert (await reset).job_id in (await sandbox.books()).jobs
