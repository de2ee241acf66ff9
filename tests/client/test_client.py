"""Reading through the client, on every reading of the API that the sandbox offers."""

import asyncio
from datetime import timedelta

import aiohttp
import pytest
from tools import Connect, RawServer, StartSandbox, client_of, http

from hostup_async import (
    Action,
    Budget,
    Client,
    ClientClosed,
    ConfigurationError,
    Forbidden,
    HostUpError,
    NotFound,
    RequestDone,
    Retrying,
    ServerError,
    Timeouts,
    Unauthorized,
    UnreadableReply,
)
from hostup_async.sandbox import Fault, Limit


@pytest.mark.parametrize("cursors", ["offset", "opaque", "repeating"])
@pytest.mark.parametrize("vps", [0, 1, 100, 101, 250])
async def test_the_list_has_every_vps_once(
    start_sandbox: StartSandbox, connect: Connect, cursors: str, vps: int
) -> None:
    sandbox = await start_sandbox(vps=vps, cursors=cursors)
    client = await connect(sandbox)
    ids = [row.id async for row in client.vps.list()]
    assert sorted(ids) == sorted(sandbox.vps_ids)


async def test_the_list_is_fetched_as_it_is_read(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=250)
    client = await connect(sandbox)
    rows = client.vps.list()
    await anext(rows)
    await rows.aclose()  # type: ignore[attr-defined]  # an async generator
    assert (await sandbox.books()).requests["list"] == 1


async def test_the_list_is_narrowed_by_name_and_address(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    client = await connect(await start_sandbox(vps=5))
    all_of_them = [row async for row in client.vps.list()]
    wanted = all_of_them[3]
    assert wanted.name is not None
    assert wanted.primary_ip is not None
    assert [row async for row in client.vps.list(name=wanted.name.upper())] == [wanted]
    assert [row async for row in client.vps.list(primary_ip=wanted.primary_ip)] == [wanted]
    assert [row async for row in client.vps.list(name="no & such = name")] == []


async def test_a_list_that_goes_round_in_circles_is_an_error() -> None:
    pages = [http(b'{"data": [{"id": "a"}], "nextCursor": "%d"}' % n) for n in range(20)]
    async with RawServer(*pages) as server, client_of(server.url) as client:
        with pytest.raises(UnreadableReply, match="in circles"):
            [row async for row in client.vps.list()]


async def test_one_vps_is_read_as_summary_details_and_status(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox()
    client = await connect(sandbox)
    vps_id = sandbox.vps_ids[0]
    vps = await client.vps.get(vps_id)
    details = await client.vps.details(vps_id)
    status = await client.vps.status(vps_id)
    assert (vps.id, vps.service_status, vps.power_state) == (vps_id, "active", "running")
    assert (details.id, details.service_status) == (vps_id, "active")
    assert details.created_at is not None
    assert status.power_state == "running"
    assert status.uptime_seconds is not None
    assert vps.raw["id"] == vps_id


@pytest.mark.parametrize("route", ["summary", "status", "details"])
async def test_the_gates_are_found_wherever_they_are(
    start_sandbox: StartSandbox, connect: Connect, route: str
) -> None:
    sandbox = await start_sandbox(gates_on=[route], not_ready=1)
    client = await connect(sandbox)
    closed = (await client.vps.gates(sandbox.vps_ids[0])).of(Action.RESET)
    opened = (await client.vps.gates(sandbox.vps_ids[1])).of(Action.RESET)
    assert closed is not None
    assert closed.allowed is False
    assert closed.reason
    assert opened is not None
    assert opened.allowed is True


async def test_gates_that_are_nowhere_are_unknown(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(gates_on=[])
    client = await connect(sandbox)
    assert (await client.vps.gates(sandbox.vps_ids[0])).can_reset is None


@pytest.mark.parametrize("vps_id", ["", " ", "../x", "a/b", "a\\b", ".", "..", "/", None, 7])
async def test_an_id_that_cannot_be_one_is_refused_before_any_request(
    start_sandbox: StartSandbox, connect: Connect, vps_id: str
) -> None:
    sandbox = await start_sandbox()
    client = await connect(sandbox)
    calls = (client.vps.get, client.vps.details, client.vps.status, client.vps.gates)
    actions = (client.vps.reset, client.vps.start, client.vps.stop, client.vps.shutdown)
    for call in (*calls, *actions, client.vps.restart):
        with pytest.raises(ConfigurationError, match="VPS id"):
            await call(vps_id)
    assert (await sandbox.books()).total_requests == 0


@pytest.mark.parametrize("vps_id", ["vps_å", "a b", "a?b=c", "a#b", "%2e%2e%2fx", "a\nb", "..."])
async def test_an_odd_id_stays_one_segment_of_the_path(vps_id: str) -> None:
    async with RawServer(http(b"{}")) as server, client_of(server.url) as client:
        assert (await client.vps.get(vps_id)).id == vps_id
        [line] = server.requests
        method, path, _ = line.split(" ")
        assert (method, path.count("/"), path.count("?")) == ("GET", 4, 0)


@pytest.mark.parametrize("error_shape", ["problem", "old"])
async def test_a_wrong_key_a_missing_scope_and_an_unknown_vps_have_errors_of_their_own(
    start_sandbox: StartSandbox, connect: Connect, error_shape: str
) -> None:
    sandbox = await start_sandbox(error_shape=error_shape, scopes=["read:vm"])
    stranger = Client("sk_wrong", base_url=sandbox.url, budget=Budget())
    async with stranger:
        with pytest.raises(Unauthorized, match="key") as caught:
            await stranger.vps.get(sandbox.vps_ids[0])
        assert caught.value.status == 401
    client = await connect(sandbox)
    with pytest.raises(Forbidden, match="power:vm"):
        await client.vps.reset(sandbox.vps_ids[0])
    with pytest.raises(NotFound, match=r"client\.vps\.list") as not_found:
        await client.vps.get("vps_nobody")
    assert not_found.value.request_id
    assert not_found.value.request_id in str(not_found.value)


READ_FAULTS = [
    Fault.LOST_REPLY,
    Fault.PARTIAL_REPLY,
    Fault.TRUNCATED_BODY,
    Fault.TRUNCATED_JSON,
    Fault.STALL,
    Fault.EMPTY_BODY,
    Fault.NO_CONTENT,
    Fault.HTML_BODY,
    Fault.HUGE_BODY,
    Fault.DISCONNECT_BEFORE,
    Fault.ERROR_500,
    Fault.HTML_502,
    Fault.ERROR_503,
    Fault.ERROR_504,
]


@pytest.mark.parametrize("fault", READ_FAULTS)
async def test_a_read_is_tried_again(
    start_sandbox: StartSandbox, connect: Connect, fault: Fault
) -> None:
    sandbox = await start_sandbox(fault, on="get", times=1)
    retries: list[Retrying] = []
    client = await connect(
        sandbox, on_event=lambda e: retries.append(e) if isinstance(e, Retrying) else None
    )
    assert (await client.vps.get(sandbox.vps_ids[0])).id == sandbox.vps_ids[0]
    # aiohttp itself repeats a read, once, on a connection that the server closed unanswered.
    resent = fault in {Fault.LOST_REPLY, Fault.DISCONNECT_BEFORE, Fault.PARTIAL_REPLY}
    assert len(retries) == 1 or resent
    assert (await sandbox.books()).requests["get"] == 2


@pytest.mark.parametrize("fault", READ_FAULTS)
async def test_a_read_that_never_succeeds_ends_with_one_of_our_errors(
    start_sandbox: StartSandbox, connect: Connect, fault: Fault
) -> None:
    sandbox = await start_sandbox(fault, on="get")
    client = await connect(sandbox, timeouts=Timeouts(read=0.1, call=0.2))
    with pytest.raises(HostUpError):
        await client.vps.get(sandbox.vps_ids[0])
    assert client.budget.snapshot().in_flight == 0


async def test_a_retry_waits_as_long_as_the_api_asks_or_gives_up_at_once() -> None:
    busy = http(b"{}", "503 Service Unavailable", "Retry-After: 60")
    async with RawServer(busy) as server, client_of(server.url) as client:
        async with asyncio.timeout(20):
            with pytest.raises(ServerError) as caught:
                await client.vps.get("vps_1")
        assert caught.value.retry_after == 60
        assert len(server.requests) == 1


async def test_a_redirect_is_not_followed(start_sandbox: StartSandbox, connect: Connect) -> None:
    elsewhere = await start_sandbox()
    sandbox = await start_sandbox(Fault.REDIRECT, on="get", foreign_origin=elsewhere.url)
    client = await connect(sandbox)
    with pytest.raises(HostUpError, match="307"):
        await client.vps.get(sandbox.vps_ids[0])
    assert (await elsewhere.books()).total_requests == 0
    assert (await sandbox.books()).total_requests <= 5


async def test_a_lent_session_is_used_and_never_closed(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        for _ in range(2):
            async with client_of(sandbox.url, session=session) as client:
                await client.vps.reset(sandbox.vps_ids[0])
                with pytest.raises(NotFound):
                    await client.vps.get("vps_nobody")
            assert not session.closed
        async with session.get(f"{sandbox.url}/api/v2/vps", raise_for_status=False) as response:
            assert response.status == 401


async def test_two_clients_on_one_lent_session_count_each_request_once(
    start_sandbox: StartSandbox,
) -> None:
    sandbox = await start_sandbox(limit=Limit(requests=100, seconds=60))
    async with (
        aiohttp.ClientSession() as session,
        client_of(sandbox.url, session=session) as first,
        client_of(sandbox.url, session=session) as second,
    ):
        for client in (first, second):
            await client.vps.get(sandbox.vps_ids[0])
            assert client.budget.snapshot().in_flight == 0
    assert (await sandbox.books()).total_requests == 2


async def test_a_client_that_is_not_open_says_so(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    client = Client(sandbox.api_key, base_url=sandbox.url, budget=Budget())
    with pytest.raises(ClientClosed, match="async with"):
        await client.vps.get(sandbox.vps_ids[0])
    async with client:
        await client.vps.get(sandbox.vps_ids[0])
    with pytest.raises(ClientClosed):
        await client.vps.reset(sandbox.vps_ids[0])
    assert client.budget.snapshot().in_flight == 0


async def test_a_client_is_not_opened_twice(start_sandbox: StartSandbox, connect: Connect) -> None:
    client = await connect(await start_sandbox())
    with pytest.raises(ConfigurationError, match="open already"):
        await client.__aenter__()


async def test_requests_are_told_to_the_listener_and_its_mistakes_are_harmless(
    start_sandbox: StartSandbox, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox = await start_sandbox()
    heard: list[object] = []

    def listen(event: object) -> None:
        heard.append(event)
        raise ZeroDivisionError

    client = await connect(sandbox, on_event=listen)
    await client.vps.get(sandbox.vps_ids[0])
    [event] = heard
    assert isinstance(event, RequestDone)
    assert (event.method, event.status) == ("GET", 200)
    assert event.seconds > 0
    assert "on_event" in caplog.text


async def test_every_request_says_who_asks() -> None:
    seen: list[bytes] = []

    class Listening(RawServer):
        async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(http(b'{"operation": null}', "202 Accepted"))
            await writer.drain()
            await reader.read()

    async with Listening() as server, client_of(server.url) as client:
        await client.vps.reset("vps_1")
    [head] = seen
    lines = head.decode().lower().splitlines()
    assert any(line.startswith("user-agent: hostup-python/") for line in lines)
    assert "accept: application/json" in lines
    assert "authorization: bearer sk_test_sandbox" in lines
    assert "content-length: 0" in lines
    assert not any(line.startswith("content-type") for line in lines)


async def test_timeouts_are_taken_as_timedeltas_too() -> None:
    assert Timeouts(read=timedelta(minutes=1)).read == 60


async def test_clients_with_one_key_and_origin_share_one_budget(
    start_sandbox: StartSandbox,
) -> None:
    sandbox = await start_sandbox()
    first = Client("sk_one", base_url=sandbox.url)
    second = Client("sk_one", base_url=sandbox.url + "/api/v2/")
    other = Client("sk_two", base_url=sandbox.url)
    assert first.budget is second.budget
    assert first.budget is not other.budget
