"""Servers that lie: whatever comes back, only our own errors come out, and never the key."""

import asyncio
import io
import traceback

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tools import RawServer, client_of, examples, free_port, http

from hostup_async import Client, HostUpError, Operation, OutcomeUnknown, Timeouts

KEY = "sk_test_sandbox"
STATUS_LINES = st.sampled_from([b"HTTP/1.1 200 OK", b"HTTP/1.1 202 Accepted", b"HTTP/1.1 500 E"])
HEADER_BYTES = st.binary(max_size=60).map(lambda text: text.replace(b"\r\n\r\n", b""))
ANSWERS = st.one_of(
    st.binary(max_size=200),
    st.builds(
        lambda *parts: b"\r\n".join(parts), STATUS_LINES, HEADER_BYTES, st.just(b""), st.binary()
    ),
    st.builds(http, st.binary(max_size=100), st.sampled_from(["200 OK", "202 A", "404 N", "1 X"])),
).map(lambda answer: answer + b"\r\nConnection: close")


@given(answer=ANSWERS)
@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_bytes_of_any_kind_give_our_errors_and_send_an_action_once(answer: bytes) -> None:
    async def ask() -> None:
        timeouts = Timeouts(read=0.2, call=0.01)
        async with RawServer(answer) as server, client_of(server.url, timeouts=timeouts) as client:
            [result] = await asyncio.gather(client.vps.reset("vps_1"), return_exceptions=True)
            assert isinstance(result, Operation | HostUpError)
            assert isinstance(result, Operation) or KEY not in shown(result)
            assert len(server.requests) == 1
            assert client.budget.snapshot().in_flight == 0

    asyncio.run(ask())


def shown(error: BaseException) -> str:
    """All that a crash reporter would show: the frames with their locals, and the causes."""
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    out = io.StringIO()
    report.print(file=out)
    return out.getvalue() + repr(error) + str(error) + repr(error.__dict__)


async def errors_of(client: Client) -> list[HostUpError]:
    errors = []
    for call in (client.vps.reset, client.vps.get, client.vps.gates):
        with pytest.raises(HostUpError) as caught:
            await call("vps_1")
        errors.append(caught.value)
    return errors


@pytest.mark.parametrize(
    "answer",
    [None, http(b"no", "500 E"), http(b"<html>"), b"junk\r\n\r\n", http(b"{}", "401 No")],
)
async def test_no_error_shows_the_key(answer: bytes | None) -> None:
    async with RawServer(*[answer] * 30) as server, client_of(server.url) as client:
        for error in await errors_of(client):
            assert KEY not in shown(error)


async def test_no_error_of_an_unreachable_server_shows_the_key() -> None:
    async with client_of(f"http://127.0.0.1:{free_port()}") as client:
        for error in await errors_of(client):
            assert KEY not in shown(error)


async def test_a_cancelled_request_does_not_show_the_key_either() -> None:
    async with RawServer(b"HTTP/1.1 200") as server, client_of(server.url) as client:
        task = asyncio.create_task(client.vps.get("vps_1"))
        while not server.requests:
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert KEY not in shown(caught.value)


async def test_a_body_that_drips_for_ever_is_cut_off_by_the_request_timeout() -> None:
    class Dripping(RawServer):
        async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 100000\r\n\r\n")
            while not writer.is_closing():
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.02)

    timeouts = Timeouts(read=5, request=0.3)
    async with Dripping() as server, client_of(server.url, timeouts=timeouts) as client:
        async with asyncio.timeout(20):
            with pytest.raises(OutcomeUnknown, match="broke off"):
                await client.vps.reset("vps_1")
