"""Servers that contradict themselves, repeat themselves, or say what only the client may know."""

import asyncio
import json
import logging
import traceback
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from tools import QUICK, Connect, RawServer, StartSandbox, client_of, http, requests_seen

from hostup_async import (
    Accepted,
    ApiError,
    Client,
    ClientClosed,
    ConfigurationError,
    HostUpError,
    InDoubt,
    JobStatus,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    ServerError,
    UnreadableReply,
    UntrustedPollUrl,
)
from hostup_async._http.jobs import read_accepted, read_job
from hostup_async._http.wire import read_json
from hostup_async.sandbox import Fault

KEY = "sk_test_0123456789abcdef"
QUEUED = {"status": "queued", "jobId": "j1", "pollUrl": "/api/jobs/j1"}
ACCEPTED = json.dumps({"operation": QUEUED}).encode()


def said(body: object, status: str) -> bytes:
    return http(json.dumps(body).encode(), status)


@pytest.mark.parametrize(
    ("answer", "cls"),
    [
        (said({"code": "rate_limited"}, "502 Bad Gateway"), OutcomeUnknown),
        (said({"code": "rate_limit_exceeded"}, "500 Oops"), OutcomeUnknown),
        (said({"success": False, "code": "rate_limited"}, "202 Accepted"), RateLimited),
        (said({"success": False, "operation": QUEUED}, "202 Accepted"), OutcomeUnknown),
        (said({"error": {"code": "not_found"}}, "202 Accepted"), OutcomeUnknown),
        (said({"type": "x", "title": "No", "status": 404}, "200 OK"), OutcomeUnknown),
        (said(["x"], "202 Accepted"), OutcomeUnknown),
        (http(b"", "302 Found", "Location: /elsewhere"), OutcomeUnknown),
        (b"HTTP/1.1 abc\r\n\r\nnonsense\nof\x1b[31m several lines", OutcomeUnknown),
    ],
)
async def test_an_action_is_not_repeated_on_a_contradiction(
    answer: bytes, cls: type[HostUpError]
) -> None:
    accepting = http(ACCEPTED, "202 Accepted")
    async with RawServer(answer, accepting) as server, client_of(server.url) as client:
        with pytest.raises(cls) as caught:
            await client.vps.reset("vps_1")
        assert len(server.requests) == 1
    assert type(caught.value) is cls
    assert str(caught.value).isprintable()


async def test_a_read_is_repeated_where_a_success_speaks_of_the_limit() -> None:
    denied = http(b'{"success":false,"code":"rate_limited"}', "200 OK", "Retry-After: 0.1")
    async with RawServer(denied, http(b'{"id":"vps_1"}')) as server, client_of(server.url) as one:
        assert (await one.vps.get("vps_1")).id == "vps_1"
        assert one.budget.snapshot().limited == 1


async def test_the_error_says_that_a_success_took_itself_back() -> None:
    body = {"success": False, "code": "FORBIDDEN"}
    async with RawServer(said(body, "202 Accepted")) as server, client_of(server.url) as client:
        with pytest.raises(ApiError, match="202 with `success: false` forbidden"):
            await client.vps.reset("vps_1")


@pytest.mark.parametrize(
    "body",
    [
        {"status": "completed", "data": {"jobId": "j", "state": "active"}},
        {"status": "completed", "data": {"jobId": "j", "status": "queued", "pollUrl": "/x"}},
        {"success": True, "data": {"jobId": "j", "status": "completed", "isCompleted": False}},
        {"success": True, "data": {"jobId": "j", "status": "completed", "isRunning": True}},
        {"operation": {"jobId": "j", "status": "in_progress", "isCompleted": True}},
        {"status": "completed", "data": {"operation": {"status": "queued", "jobId": "j"}}},
    ],
)
def test_a_job_that_goes_on_by_any_sign_has_not_completed(body: dict[str, Any]) -> None:
    assert not read_job(body).is_final


@pytest.mark.parametrize("body", [{"status": "completed"}, {"operation": {"status": "completed"}}])
def test_an_acceptance_that_names_no_job_has_not_completed(body: dict[str, Any]) -> None:
    assert read_accepted(body).status == JobStatus.PENDING


def test_the_operation_goes_before_the_data_beside_it() -> None:
    assert read_accepted({"data": {"status": "ok"}, "operation": QUEUED}).id == "j1"


def test_an_acceptance_with_a_failed_job_is_one() -> None:
    body = {"success": False, "operation": {**QUEUED, "status": "failed"}}
    assert read_accepted(body).status == JobStatus.FAILED


async def test_success_false_beside_a_running_job_does_not_end_the_wait() -> None:
    running = {"success": False, "data": {"jobId": "j1", "state": "active"}}
    done = {"operation": {**QUEUED, "status": "completed"}}
    answers = [said(body, "200 OK") for body in (running, done)]
    async with RawServer(*answers) as server, client_of(server.url) as client:
        assert (await client.operation("/api/jobs/j1").wait(timeout=5)).succeeded


async def test_a_final_job_is_not_replaced_by_a_look_that_began_earlier() -> None:
    class SlowFirst(RawServer):
        async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            self.requests.append("GET")
            late = len(self.requests) == 1
            if late:
                await second_is_over.wait()
            status = "queued" if late else "completed"
            writer.write(said({"operation": {**QUEUED, "status": status}}, "200 OK"))

    second_is_over = asyncio.Event()
    async with SlowFirst() as server, client_of(server.url) as client:
        operation = client.operation("/api/jobs/j1")
        first = asyncio.create_task(operation.poll())
        while not server.requests:
            await asyncio.sleep(0.001)
        await operation.poll()
        second_is_over.set()
        assert (await first).succeeded
        assert operation.job.succeeded


@pytest.mark.parametrize("status", ["400 Bad Request", "500 Oops"])
async def test_a_key_that_the_server_echoes_is_in_no_message(status: str) -> None:
    body = json.dumps({"detail": f"bad header Bearer {KEY}", "x": KEY}).encode()
    async with RawServer(http(body, status)) as server, Client(KEY, base_url=server.url) as client:
        with pytest.raises(HostUpError) as caught:
            await client.vps.reset("vps_1")
    assert "bad header" in str(caught.value)
    report = "".join(traceback.format_exception(caught.value)) + repr(caught.value.raw)
    assert KEY not in report


async def test_a_key_echoed_in_a_broken_answer_is_in_no_message() -> None:
    answer = f"HTTP/1.1 200 OK\r\nX {KEY}\r\n\r\n".encode()
    async with RawServer(answer) as server, Client(KEY, base_url=server.url) as client:
        with pytest.raises(OutcomeUnknown) as caught:
            await client.vps.reset("vps_1")
    assert KEY not in "".join(traceback.format_exception(caught.value))


def test_a_key_of_the_wrong_type_is_in_no_local() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Client(KEY.encode())  # type: ignore[arg-type]
    error = caught.value
    assert error.__traceback__ is not None
    error.__traceback__ = error.__traceback__.tb_next  # this test's own frame holds the key
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    assert KEY not in "".join(report.format())


async def test_a_lent_session_cannot_send_an_action_twice() -> None:
    async def twice(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        await handler(request)
        return await handler(request)

    async with (
        RawServer(http(ACCEPTED, "202 A"), http(ACCEPTED, "202 A")) as server,
        aiohttp.ClientSession(middlewares=[twice]) as session,
        client_of(server.url, session=session) as client,
    ):
        await client.vps.reset("vps_1")
        assert len(server.requests) == 1


async def test_a_hook_of_a_lent_session_that_raises_after_the_response_changes_no_outcome(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail(_: object, __: SimpleNamespace, ___: object) -> None:
        raise RuntimeError("hook")  # noqa: EM101 - a user's mistake

    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(fail)
    trace.on_response_chunk_received.append(fail)
    async with (
        RawServer(http(ACCEPTED, "202 A")) as server,
        aiohttp.ClientSession(trace_configs=[trace]) as session,
        client_of(server.url, session=session) as client,
    ):
        assert (await client.vps.reset("vps_1")).job_id == "j1"
        assert len(server.requests) == 1
    assert "RuntimeError('hook')" in caplog.text


async def test_a_hook_of_a_lent_session_that_raises_before_the_response_leaves_a_doubt() -> None:
    async def fail(_: object, __: SimpleNamespace, ___: object) -> None:
        raise RuntimeError("hook")  # noqa: EM101 - a user's mistake

    trace = aiohttp.TraceConfig()
    trace.on_request_headers_sent.append(fail)
    async with (
        RawServer(http(ACCEPTED, "202 A")) as server,
        aiohttp.ClientSession(trace_configs=[trace]) as session,
        client_of(server.url, session=session) as client,
    ):
        with pytest.raises(OutcomeUnknown, match="RuntimeError: hook"):
            await client.vps.reset("vps_1")


@pytest.mark.filterwarnings("ignore:.*(BasicAuth|auth).*:DeprecationWarning")
async def test_a_lent_session_that_cannot_send_says_so_at_once() -> None:
    async with (
        RawServer() as server,
        aiohttp.ClientSession(auth=aiohttp.BasicAuth("a", "b")) as session,
        client_of(server.url, session=session) as client,
    ):
        with pytest.raises(ConfigurationError, match="session that was lent"):
            await client.vps.reset("vps_1")
        assert client.budget.snapshot().in_flight == 0


async def test_a_lent_session_that_is_closed_is_refused() -> None:
    async with aiohttp.ClientSession() as session:
        pass
    with pytest.raises(ConfigurationError, match="is closed"):
        async with client_of("http://127.0.0.1", session=session):
            pass


async def test_a_client_serves_the_loop_it_was_opened_on() -> None:
    async with client_of("http://127.0.0.1:9") as client:

        def elsewhere() -> None:
            asyncio.run(client.vps.reset("vps_1"))

        with pytest.raises(ClientClosed, match="another event loop"):
            await asyncio.to_thread(elsewhere)


async def test_a_poll_url_with_a_password_is_not_followed() -> None:
    async with client_of("http://127.0.0.1:9") as client:
        with pytest.raises(UntrustedPollUrl):
            client.operation("http://:secret@127.0.0.1:9/api/jobs/j")


@pytest.mark.parametrize("name", [True, 5, "", " "])
async def test_a_filter_that_selects_nothing_is_refused(name: Any) -> None:
    async with client_of("http://127.0.0.1:9") as client:
        with pytest.raises(ConfigurationError, match="filter name"):
            [vps async for vps in client.vps.list(name=name)]


@pytest.mark.parametrize("token", [None, 5, b"x"])
async def test_a_token_that_is_no_text_is_refused(token: Any) -> None:
    async with client_of("http://127.0.0.1:9") as client:
        with pytest.raises(ConfigurationError, match="is a string"):
            client.operation(token)


async def test_an_id_that_cannot_be_encoded_is_refused() -> None:
    async with client_of("http://127.0.0.1:9") as client:
        with pytest.raises(ConfigurationError, match="cannot be a VPS id"):
            await client.vps.reset("\ud800")


async def test_wait_all_refuses_a_bad_timeout_before_it_waits() -> None:
    async with client_of("http://127.0.0.1:9") as client:
        with pytest.raises(ConfigurationError, match="timeout"):
            client.wait_all([], timeout=-1)


def test_an_empty_base_is_no_default() -> None:
    with pytest.raises(ConfigurationError):
        Client(KEY, base_url="")


def test_a_base_that_is_no_origin_is_told_what_is_too_much() -> None:
    with pytest.raises(ConfigurationError, match="without '/v3'"):
        Client(KEY, base_url="https://cloud.hostup.se/v3")


async def test_a_list_of_rows_without_ids_ends() -> None:
    pages = [
        said({"data": [{"name": "x"}], "nextCursor": str(page)}, "200 OK") for page in range(50)
    ]
    async with RawServer(*pages) as server, client_of(server.url) as client:
        with pytest.raises(UnreadableReply, match="circles"):
            [vps async for vps in client.vps.list()]


async def test_gates_are_looked_for_on_the_next_route() -> None:
    gates = {"canReset": {"allowed": True}}
    answers = [
        said({"actions": {}}, "200 OK"),
        said({"code": "not_found"}, "404 Not Found"),
        said({"actions": gates}, "200 OK"),
    ]
    async with RawServer(*answers) as server, client_of(server.url) as client:
        found = (await client.vps.gates("vps_1")).can_reset
    assert found is not None
    assert found.allowed


async def test_gates_of_a_vps_that_is_nowhere_are_an_error() -> None:
    answers = [said({"code": "not_found"}, "404 Not Found")] * 3
    async with RawServer(*answers) as server, client_of(server.url) as client:
        with pytest.raises(NotFound):
            await client.vps.gates("vps_1")


@pytest.mark.parametrize("body", [b"NaN", b'{"a":Infinity}', '{"a":1}'.encode("utf-16")])
def test_what_is_not_json_is_refused_with_any_parser(body: bytes) -> None:
    with pytest.raises(UnreadableReply):
        read_json(body)


def test_a_byte_order_mark_is_read_over() -> None:
    assert read_json(b'\xef\xbb\xbf{"a":1}') == {"a": 1}


async def test_an_action_accepted_under_a_cancelled_caller_is_told_and_logged(
    start_sandbox: StartSandbox, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox = await start_sandbox(latency=0.1)
    heard: list[object] = []
    client = await connect(sandbox, on_event=heard.append)
    with caplog.at_level(logging.WARNING, "hostup"):
        resets = asyncio.gather(client.vps.reset(sandbox.vps_ids[0]))
        await requests_seen(sandbox, "reset", 1)
        resets.cancel()
        with pytest.raises(asyncio.CancelledError):
            await resets
    (event,) = (event for event in heard if isinstance(event, Accepted))
    assert event.token in caplog.text
    assert (await client.operation(event.token).wait(timeout=10)).succeeded


async def test_a_doubt_under_a_cancelled_caller_is_told_and_logged(
    start_sandbox: StartSandbox, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox = await start_sandbox(Fault.STALL)
    heard: list[object] = []
    client = await connect(sandbox, on_event=heard.append)
    with caplog.at_level(logging.WARNING, "hostup"):
        reset = asyncio.create_task(client.vps.reset(sandbox.vps_ids[0]))
        await requests_seen(sandbox, "reset", 1)
        reset.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await reset
    assert "Do not send it again blindly" in caught.value.__notes__[0]
    assert caught.value.__notes__[0] in caplog.text
    assert [event.vps_id for event in heard if isinstance(event, InDoubt)] == [sandbox.vps_ids[0]]


async def test_a_send_that_is_itself_cut_off_leaves_a_doubt(
    start_sandbox: StartSandbox, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox = await start_sandbox(latency=5)
    heard: list[object] = []
    client = await connect(sandbox, on_event=heard.append)
    reset = asyncio.create_task(client.vps.reset(sandbox.vps_ids[0]))
    await requests_seen(sandbox, "reset", 1)
    with caplog.at_level(logging.WARNING, "hostup"):
        for task in asyncio.all_tasks() - {asyncio.current_task(), reset}:
            if "Requester._send_action" in repr(task):
                task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await reset
    assert "cut off before its response" in caught.value.__notes__[0]
    assert isinstance(heard[-1], InDoubt)


async def test_a_closing_client_sends_no_new_action(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(latency=0.2)
    client = await connect(sandbox)
    first = asyncio.create_task(client.vps.reset(sandbox.vps_ids[0]))
    await requests_seen(sandbox, "reset", 1)
    closing = asyncio.create_task(client.aclose())
    await asyncio.sleep(0)
    with pytest.raises(ClientClosed, match="closing"):
        await client.vps.reset(sandbox.vps_ids[1])
    await closing
    assert (await first).job_id
    assert (await sandbox.books()).resets == {sandbox.vps_ids[0]: 1}


async def test_a_server_error_on_a_read_is_an_error_with_its_status() -> None:
    bad = http(b'{"code":"rate_limited"}', "503 Busy")
    answers = [bad] * 30
    async with RawServer(*answers) as server, client_of(server.url, timeouts=QUICK) as client:
        with pytest.raises(ServerError):
            await client.vps.get("vps_1")
