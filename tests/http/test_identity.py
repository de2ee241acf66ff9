"""A response belongs to its request only if that is proved; over real sockets."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
from tools import QUICK, RawServer, client_of, http

from hostup_async import Client, Conflict, OutcomeUnknown, UnreadableReply
from hostup_async._ratelimit.limits import RequestClass
from hostup_async._vps import read_status

# Seconds between a response and its late repetition: the client has read the first by then.
LATE = 0.01
Act = Callable[[Client], Awaitable[object]]


def body(value: object, status: str = "200 OK", *headers: str) -> bytes:
    return http(json.dumps(value).encode(), status, *headers)


def job(job_id: str | None, status: str = "completed") -> bytes:
    named = {} if job_id is None else {"jobId": job_id}
    return body({"operation": {**named, "status": status, "pollUrl": f"/api/jobs/{job_id}"}})


def accepted(job_id: str) -> bytes:
    operation = {"jobId": job_id, "status": "queued", "pollUrl": f"/api/jobs/{job_id}"}
    return body({"operation": operation}, "202 Accepted")


class Repeating(RawServer):
    """Answers by route, and repeats some of its responses late, on the same connection.

    Attributes:
        routes: What answers a request line's beginning; a list is used up, its last one stays.
        repeats: The numbers of the requests, from 1, whose response comes twice.
        connections: Which connection each request came on.
    """

    def __init__(self, routes: dict[str, list[bytes]], *repeats: int) -> None:
        super().__init__()
        self.routes = routes
        self.repeats = repeats
        self.connections: list[int] = []
        self._count = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._count += 1
        connection = self._count
        while head := await reader.readuntil(b"\r\n\r\n"):
            line = head.split(b"\r\n")[0].decode()
            self.requests.append(line)
            self.connections.append(connection)
            found = max((route for route in self.routes if line.startswith(route)), key=len)
            answers = self.routes[found]
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            writer.write(answer)
            if len(self.requests) in self.repeats:
                await writer.drain()
                await asyncio.sleep(LATE)
                writer.write(answer)
            await writer.drain()

    def sent(self, route: str) -> int:
        """How many requests began so."""
        return sum(line.startswith(route) for line in self.requests)


async def later() -> None:
    """Let a late repetition arrive."""
    await asyncio.sleep(3 * LATE)


@pytest.fixture(params=["own", "lent", "made"])
def options(request: pytest.FixtureRequest) -> Callable[[], dict[str, object]]:
    kinds: dict[str, Callable[[], dict[str, object]]] = {
        "own": dict,
        "lent": lambda: {"session": aiohttp.ClientSession()},
        "made": lambda: {"session": aiohttp.ClientSession},
    }
    return kinds[request.param]


async def close_lent(settings: dict[str, object]) -> None:
    session = settings.get("session")
    if isinstance(session, aiohttp.ClientSession):
        await session.close()


async def test_a_429_that_comes_twice_is_one_429(
    options: Callable[[], dict[str, object]],
) -> None:
    limited = body({"code": "rate_limited"}, "429 Too Many", "Retry-After: 0.1")
    settings = options()
    async with Repeating({"POST": [limited, accepted("j1")]}, 1) as server:
        async with client_of(server.url, **settings) as client:
            assert (await client.vps.reset("vps_1")).job_id == "j1"
            await later()
        await close_lent(settings)
        assert server.sent("POST") == 2


async def test_a_202_that_comes_twice_accepts_one_vps(
    options: Callable[[], dict[str, object]],
) -> None:
    refusal = body({"code": "vps_not_ready"}, "409 Conflict")
    settings = options()
    async with Repeating({"POST": [accepted("j1"), refusal]}, 1) as server:
        async with client_of(server.url, **settings) as client:
            await client.vps.reset("vps_1")
            await later()
            with pytest.raises(Conflict):
                await client.vps.reset("vps_2")
        await close_lent(settings)


async def test_every_action_has_a_connection_of_its_own(
    options: Callable[[], dict[str, object]],
) -> None:
    routes = {"POST": [accepted(f"j{n}") for n in range(9)], "GET": [body({"id": "vps_1"})]}
    settings = options()
    async with Repeating(routes) as server:
        async with client_of(server.url, **settings) as client:
            for number in range(3):
                await client.vps.get("vps_1")
                await client.vps.reset(f"vps_{number}")
        await close_lent(settings)
        used: set[int] = set()
        for line, connection in zip(server.requests, server.connections, strict=True):
            assert connection not in used or line.startswith("GET")
            used.add(connection)
        assert server.sent("POST") == 3


async def test_a_lent_sessions_used_connection_carries_no_action() -> None:
    routes = {"POST": [accepted("j1")], "GET": [body({"id": "vps_1"})]}
    async with Repeating(routes) as server, aiohttp.ClientSession() as session:
        async with session.get(server.url):
            pass  # the user's own request leaves a connection in the pool
        async with client_of(server.url, session=session) as client:
            await client.vps.reset("vps_1")
        assert server.connections == [1, 2]


async def test_polls_whose_jobs_name_themselves_share_a_connection() -> None:
    routes = {"POST": [accepted("j1")], "GET": [job("j1", "queued")]}
    async with Repeating(routes) as server, client_of(server.url) as client:
        operation = await client.vps.reset("vps_1")
        for _ in range(3):
            await operation.poll()
        assert server.connections == [1, 2, 2, 2]


async def test_a_poll_of_another_jobs_end_is_no_end() -> None:
    routes = {"POST": [accepted("j1")], "GET": [job("j_other"), job("j1", "queued")]}
    async with Repeating(routes) as server, client_of(server.url, timeouts=QUICK) as client:
        operation = await client.vps.reset("vps_1")
        assert not (await operation.poll()).is_final
        assert server.connections == [1, 2, 3]


async def test_a_job_that_is_always_another_is_never_believed() -> None:
    routes = {"POST": [accepted("j1")], "GET": [job("j_other")]}
    async with Repeating(routes) as server, client_of(server.url) as client:
        operation = await client.vps.reset("vps_1")
        with pytest.raises(UnreadableReply, match="'j_other', and not about 'j1'"):
            await operation.poll()
        assert not operation.job.is_final


async def test_a_late_repetition_of_one_jobs_end_does_not_end_another() -> None:
    routes = {
        "POST": [accepted("j1"), accepted("j2")],
        "GET /api/jobs/j1": [job("j1")],
        "GET /api/jobs/j2": [job("j2", "queued")],
    }
    async with Repeating(routes, 3) as server, client_of(server.url, timeouts=QUICK) as client:
        first, second = await client.vps.reset("vps_1"), await client.vps.reset("vps_2")
        assert (await first.poll()).succeeded
        await later()
        assert not (await second.poll()).is_final


async def test_a_404_on_a_used_connection_is_asked_again_before_a_job_is_given_up() -> None:
    routes = {
        "POST": [accepted("j1")],
        "GET": [job("j1", "queued"), body({"code": "not_found"}, "404 X"), job("j1")],
    }
    async with Repeating(routes) as server, client_of(server.url) as client:
        operation = await client.vps.reset("vps_1")
        await operation.poll()
        assert (await operation.poll()).succeeded
        assert server.connections == [1, 2, 2, 3]


async def test_a_job_without_an_id_is_believed_from_a_connection_of_its_own() -> None:
    routes = {"POST": [accepted("j1")], "GET": [job("j1", "queued"), job(None, "queued")]}
    async with Repeating(routes) as server, client_of(server.url) as client:
        operation = await client.vps.reset("vps_1")
        for _ in range(4):
            await operation.poll()
        assert server.connections == [1, 2, 2, 3, 4, 5]


@pytest.mark.parametrize("read", ["get", "details"])
async def test_another_vps_is_not_the_one_that_was_asked_for(read: str) -> None:
    routes = {"GET": [body({"id": "vps_2"}), body({"id": "vps_1"})]}
    async with Repeating(routes) as server, client_of(server.url, timeouts=QUICK) as client:
        assert (await getattr(client.vps, read)("vps_1")).id == "vps_1"
        assert server.connections == [1, 2]


async def test_a_status_of_another_vps_is_no_evidence() -> None:
    routes = {"GET": [body({"id": "vps_2", "uptimeSeconds": 1})]}
    async with Repeating(routes) as server, client_of(server.url) as client:
        with pytest.raises(UnreadableReply, match="'vps_2', and not about 'vps_1'"):
            await client.vps.status("vps_1")


async def test_a_status_that_is_read_for_evidence_is_that_of_the_vps() -> None:
    routes = {"GET": [body({"id": "vps_2", "uptimeSeconds": 1}), body({"id": "vps_1"})]}
    async with Repeating(routes) as server, client_of(server.url, timeouts=QUICK) as client:
        status = await read_status(client._requester, "vps_1", RequestClass.POLL)
        assert (status.id, status.uptime_seconds) == ("vps_1", None)
        assert server.sent("GET /api/v2/vps/vps_1/status") == 2


async def test_each_status_has_a_connection_of_its_own() -> None:
    async with Repeating({"GET": [body({"uptimeSeconds": 1})]}) as server:
        async with client_of(server.url) as client:
            assert (await client.vps.status("vps_1")).id == "vps_1"
            await client.vps.status("vps_1")
        assert server.connections == [1, 2]


async def test_a_page_that_comes_twice_ends_no_list() -> None:
    pages = [
        body({"data": [{"id": "a"}], "nextCursor": "1"}),
        body({"data": [{"id": "b"}], "nextCursor": "2"}),
        body({"data": [{"id": "c"}]}),
    ]
    async with Repeating({"GET": pages}, 1, 2) as server, client_of(server.url) as client:
        ids = []
        async for vps in client.vps.list():
            ids.append(vps.id)
            await later()
    assert ids == ["a", "b", "c"]


async def test_one_job_for_two_vpses_settles_neither() -> None:
    routes = {"POST": [accepted("j1")], "GET": [job("j1")]}
    async with Repeating(routes) as server, client_of(server.url) as client:
        first = await client.vps.reset("vps_1")
        with pytest.raises(OutcomeUnknown, match="another VPS as well") as caught:
            await client.vps.reset("vps_2")
        assert caught.value.vps_id == "vps_2"
        with pytest.raises(OutcomeUnknown, match="another VPS as well") as caught:
            await first.wait(timeout=5)
        assert caught.value.vps_id == "vps_1"
        assert client._requester.jobs.is_disputed("j1")


async def test_one_job_for_two_tokens_settles_neither() -> None:
    routes = {"POST": [accepted("j1")], "GET": [job("j1")]}
    async with Repeating(routes) as server:
        async with client_of(server.url) as client:
            tokens = [(await client.vps.reset("vps_1")).token()]
        async with client_of(server.url) as client:
            tokens.append((await client.vps.reset("vps_2")).token())
        async with client_of(server.url) as client:
            for operation in [client.operation(token) for token in tokens]:
                with pytest.raises(OutcomeUnknown, match="another VPS as well"):
                    await operation.poll()


async def test_one_job_for_two_actions_on_one_vps_settles_both() -> None:
    routes = {"POST": [accepted("j1")], "GET": [job("j1")]}
    async with Repeating(routes) as server, client_of(server.url) as client:
        for _ in range(2):
            operation = await client.vps.reset("vps_1")
            assert (await operation.poll()).succeeded


@pytest.mark.parametrize("status", [302, 400, 403, 404, 408, 409, 421, 425, 499, 500])
async def test_one_stray_response_costs_one_poll(status: int) -> None:
    stray = http(b"<html>no</html>", f"{status} X", "Location: /login")
    routes = {"POST": [accepted("j1")], "GET": [job("j1", "queued"), stray, job("j1")]}
    async with Repeating(routes) as server, client_of(server.url, timeouts=QUICK) as client:
        operation = await client.vps.reset("vps_1")
        assert (await operation.wait(timeout=10)).succeeded
