import asyncio
import json
import socket
import time
from contextlib import suppress
from urllib.parse import urlsplit

import aiohttp
import pytest
from sandbox_tools import Caller, calling, eventually, served, struck

from hostup_async.sandbox import Fault, FaultRule, Limit, Sandbox, SandboxConfig

# Seconds; far above what a busy machine takes, far below the 60 s of what it guards against.
HANG = 20
BRIEF = aiohttp.ClientTimeout(total=0.2)
WHOLE = {
    Fault.TRUNCATED_JSON: 202,
    Fault.ERROR_500: 500,
    Fault.HTML_502: 502,
    Fault.ERROR_503: 503,
    Fault.ERROR_504: 504,
    Fault.FORGOTTEN_JOB: 202,
    Fault.EMPTY_BODY: 202,
    Fault.NO_CONTENT: 204,
    Fault.HTML_BODY: 202,
    Fault.HUGE_BODY: 202,
    Fault.NO_OPERATION: 202,
    Fault.NULL_OPERATION: 202,
    Fault.FOREIGN_POLL_URL: 202,
    Fault.REDIRECT: 307,
    Fault.HTML_403: 403,
    Fault.SUCCESS_FALSE: 200,
    Fault.CONFLICT: 409,
}
TORN = [fault for fault in Fault if fault not in WHOLE]
CLOSING = [
    fault for fault in TORN if fault not in {Fault.TRUNCATED_BODY, Fault.STALL, Fault.STALL_BEFORE}
]


async def resets_under(caller: Caller, rule: FaultRule) -> int:
    """How many resets the books have after one request under the fault."""
    await caller.sandbox.add_fault(rule)
    request = asyncio.ensure_future(caller.reset())
    assert await struck(caller.sandbox, rule.fault)
    if rule.fault in {Fault.STALL, Fault.STALL_BEFORE}:
        request.cancel()
    with suppress(aiohttp.ClientError, asyncio.CancelledError):
        await request
    books = await caller.sandbox.books()
    assert books.faults == {rule.fault.value: 1}
    return books.accepted.get(caller.sandbox.vps_ids[0], {}).get("reset", 0)


async def accepted(caller: Caller) -> bool:
    """Wait until an action is accepted."""

    async def is_in_the_books() -> bool:
        return bool((await caller.sandbox.books()).accepted)

    return await eventually(is_in_the_books)


@pytest.mark.parametrize("fault", Fault)
async def test_a_fault_does_the_work_or_not(fault: Fault) -> None:
    async with served() as caller:
        assert await resets_under(caller, FaultRule(fault)) == FaultRule(fault).does_work


@pytest.mark.parametrize("fault", [Fault.ERROR_500, Fault.HTML_502, Fault.ERROR_504])
async def test_an_error_may_have_done_the_work(fault: Fault) -> None:
    async with served() as caller:
        assert await resets_under(caller, FaultRule(fault, acts=True)) == 1


@pytest.mark.parametrize(("fault", "status"), WHOLE.items())
async def test_faults_that_answer(fault: Fault, status: int) -> None:
    async with served(faults=[FaultRule(fault)]) as caller:
        assert (await caller.reset()).status == status
        assert (await caller.sandbox.books()).statuses == {status: 1}


@pytest.mark.parametrize("fault", CLOSING)
async def test_faults_that_close_the_connection(fault: Fault) -> None:
    async with served(faults=[FaultRule(fault)]) as caller:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await caller.reset()
        assert (await caller.sandbox.books()).statuses == {0: 1}


async def test_a_truncated_body() -> None:
    async with served(faults=[FaultRule(Fault.TRUNCATED_BODY)]) as caller:
        with pytest.raises(aiohttp.ClientPayloadError):
            await caller.reset()


async def test_what_is_in_the_bodies() -> None:
    async with served(foreign_origin="http://elsewhere.example") as caller:

        async def under(fault: Fault) -> bytes:
            await caller.sandbox.clear_faults()
            await caller.sandbox.add_fault(FaultRule(fault))
            return (await caller.reset()).content

        with pytest.raises(ValueError, match="Unterminated"):
            json.loads(await under(Fault.TRUNCATED_JSON))
        assert json.loads(await under(Fault.NO_OPERATION)) == {}
        assert json.loads(await under(Fault.NULL_OPERATION)) == {"operation": None}
        assert json.loads(await under(Fault.SUCCESS_FALSE))["success"] is False
        assert len(await under(Fault.HUGE_BODY)) >= 10_000_000
        assert await under(Fault.EMPTY_BODY) == b""
        assert (await under(Fault.HTML_BODY)).startswith(b"<!doctype html>")
        foreign = json.loads(await under(Fault.FOREIGN_POLL_URL))["operation"]
        assert foreign["pollUrl"] == f"http://elsewhere.example/api/jobs/{foreign['jobId']}"


async def test_a_redirect_and_a_filter() -> None:
    rules = [FaultRule(Fault.REDIRECT, times=1), FaultRule(Fault.HTML_403)]
    async with served(faults=rules, foreign_origin="http://elsewhere.example") as caller:
        redirect, refusal = await caller.reset(), await caller.reset()
    assert redirect.headers["Location"].startswith("http://elsewhere.example/api/v2/vps/")
    assert refusal.headers["Content-Type"].startswith("text/html")


async def test_a_forgotten_job_runs_and_is_not_found() -> None:
    async with served(jobs={"kind": "instant"}, faults=[FaultRule(Fault.FORGOTTEN_JOB)]) as caller:
        operation = (await caller.reset()).json["operation"]
        assert (await caller("GET", operation["pollUrl"])).status == 404
        assert (await caller.sandbox.books()).resets == {caller.sandbox.vps_ids[0]: 1}


async def test_a_job_forgotten_while_it_is_polled() -> None:
    rule = FaultRule(Fault.FORGOTTEN_JOB, on="poll", times=1)
    async with served(faults=[rule]) as caller:
        url = (await caller.reset()).json["operation"]["pollUrl"]
        assert [(await caller("GET", url)).status for _ in range(2)] == [404, 404]


@pytest.mark.parametrize("fault", [Fault.STALL, Fault.STALL_BEFORE])
async def test_the_server_stops_at_once_while_requests_stall(fault: Fault) -> None:
    async with served(faults=[FaultRule(fault)]) as caller:
        stalled = [asyncio.ensure_future(caller.reset(n)) for n in range(5)]
        assert await struck(caller.sandbox, fault, 5)
        started = time.monotonic()
    assert time.monotonic() - started < HANG
    results = await asyncio.gather(*stalled, return_exceptions=True)
    assert all(isinstance(result, Exception) for result in results)


async def test_the_server_stops_at_once_while_it_is_slow() -> None:
    async with served(latency=60) as caller:
        slow = asyncio.ensure_future(caller.reset())
        assert await accepted(caller)
        started = time.monotonic()
    assert time.monotonic() - started < HANG
    await asyncio.gather(slow, return_exceptions=True)


async def test_a_stalled_request_ends_when_its_client_leaves() -> None:
    async with served(faults=[FaultRule(Fault.STALL)]) as caller:
        before = len(asyncio.all_tasks())
        with pytest.raises(TimeoutError):
            await caller.reset(timeout=BRIEF)

        async def back() -> bool:
            return len(asyncio.all_tasks()) <= before

        assert await eventually(back)


async def test_latency_comes_after_the_work() -> None:
    async with served(latency=60) as caller:
        slow = asyncio.ensure_future(caller.reset())
        assert await accepted(caller)
        assert not slow.done()
        slow.cancel()
        await asyncio.gather(slow, return_exceptions=True)


async def test_idle_connections_are_closed_as_node_does() -> None:
    async with served(keepalive_timeout=0.05) as caller:
        parts = urlsplit(caller.sandbox.url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: sandbox\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), HANG)
        assert answer.startswith(b"HTTP/1.1 401 ")
        writer.close()
        await writer.wait_closed()
        assert (await caller.sandbox.books()).connections == 1


async def test_a_limit_that_changes_while_running() -> None:
    async with served() as caller:
        assert (await caller.reset()).status == 202
        await caller.sandbox.set_limit(Limit(requests=1, seconds=60))
        assert [(await caller.reset(n)).status for n in (1, 2)] == [202, 429]
        await caller.sandbox.set_limit(None)
        assert (await caller.reset(3)).status == 202


async def test_polls_count_and_actions_can_be_apart() -> None:
    limits = {"limit": Limit(requests=1, seconds=60), "action_limit": Limit(requests=2, seconds=60)}
    async with served(**limits) as caller:
        url = (await caller.reset()).json["operation"]["pollUrl"]
        assert [(await caller("GET", url)).status for _ in range(2)] == [200, 429]
        assert [(await caller.reset(n)).status for n in (1, 2)] == [202, 429]


async def test_control_routes_want_the_key_and_are_not_limited() -> None:
    async with served(limit=Limit(requests=1, seconds=60)) as caller:
        for _ in range(3):
            assert (await caller("POST", "/_sandbox/books")).status == 200
        bad = {"Authorization": "Bearer other"}
        assert (await caller("POST", "/_sandbox/books", headers=bad)).status == 401
        assert (await caller("POST", "/_sandbox/nothing")).status == 404
        wrong = await caller("POST", "/_sandbox/add_fault", json={"fault": "nothing"})
        assert wrong.status == 400
        assert "nothing" in wrong.json["error"]
        none = {"limit": {"requests": 0, "seconds": 1}}
        assert (await caller("POST", "/_sandbox/set_limit", json=none)).status == 400
        assert (await caller.sandbox.books()).total_requests == 0


async def test_paths_are_decoded() -> None:
    async with served() as caller:
        quoted = caller.sandbox.vps_ids[0].replace("_", "%5F")
        assert (await caller("GET", f"/api/v2/vps/{quoted}")).status == 200


async def test_a_sandbox_that_is_not_running_says_so() -> None:
    sandbox = Sandbox(SandboxConfig(vps=2))
    assert len(sandbox.vps_ids) == 2
    with pytest.raises(RuntimeError, match="not running"):
        _ = sandbox.url
    async with sandbox:
        assert sandbox.url.startswith("http://127.0.0.1:")
    with pytest.raises(RuntimeError, match="not running"):
        _ = sandbox.url


async def test_a_port_that_is_taken() -> None:
    async with Sandbox() as first:
        port = int(first.url.rpartition(":")[2])
        with pytest.raises(OSError, match="address already in use"):
            await Sandbox(port=port).__aenter__()


async def test_a_port_can_be_chosen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with Sandbox(port=port) as sandbox, calling(sandbox) as caller:
        assert sandbox.url.endswith(f":{port}")
        assert (await caller("GET", "/api/v2/vps")).status == 200
