"""One request under way: what is known of it, and how its response is read.

aiohttp's tracing hooks tell an `Exchange` when its headers go out, which is the proof of "sent" and
"never sent", and over which connection.
"""

import asyncio
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Final, NamedTuple

import aiohttp
from aiohttp.connector import Connection

from hostup_async import _clock
from hostup_async._errors import NotSent
from hostup_async._http.server_clock import Moment

Session = aiohttp.ClientSession

# Bytes. The largest page of the list has a tenth of this.
MAX_BODY: Final = 4 * 1024 * 1024


class Response(NamedTuple):
    """A response as it came; `flaw` says why its body is not whole, where it is not."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    flaw: str | None = None


class Exchange:
    """What is known of one request while it is under way.

    Attributes:
        last_checks: Called before a connection is asked for, and again when it is there, just
            before the headers go out; what one raises keeps them back.
        on_sent: Called each time that they have just gone out.
        begun: A moment before that.
        attempt: Which try of its call it is, from 1.
        own_connection: Whether it must go out on a connection that carried no response before.
        is_shared: Whether its connection did carry one before.
        sends: How often its headers went out: 0 proves that it was never sent. aiohttp
            sends a GET again, once, when a kept-alive connection turns out to be dead.
        sent_at: When they last did, in seconds since the epoch.
        response: The response, once it was read.
    """

    __slots__ = (
        "_connection",
        "attempt",
        "begun",
        "is_shared",
        "last_checks",
        "on_sent",
        "own_connection",
        "response",
        "sends",
        "sent_at",
    )

    def __init__(self, *, own_connection: bool = False, attempt: int = 1) -> None:
        self.last_checks: list[Callable[[], None]] = []
        self.on_sent: Callable[[], None] | None = None
        self.begun: Moment = Moment.now()
        self.attempt: Final = attempt
        self.own_connection: bool = own_connection
        self.is_shared: bool = False
        self.sends: int = 0
        self.sent_at: float = 0.0
        self.response: Response | None = None
        self._connection: asyncio.Transport | None = None

    def check(self) -> None:
        """Raise `TooLate` where the request must not go out any more."""
        for last_check in self.last_checks:
            last_check()

    async def read(self, response: aiohttp.ClientResponse) -> None:
        """Read the response, unless that was done already."""
        if self.response is None:
            if isinstance(response, TracedResponse):
                self._connection = response.connected_by
            self.response = await _read(response)

    def drop_connection(self) -> None:
        """Close the connection: what arrives on it later answers no request of ours."""
        if self._connection is not None:
            self._connection.close()


class TracedResponse(aiohttp.ClientResponse):
    """Remembers its connection, which aiohttp forgets when the last byte has come."""

    connected_by: asyncio.Transport | None = None

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        self.connected_by = connection.transport
        return await super().start(connection)


class TooLate(NotSent):
    """The right to send had ended before it could be used; it was not sent."""


class SharedConnection(Exception):
    """A request that must have a connection of its own got one that is not; it was not sent."""


async def _on_reuse(
    _: Session, context: SimpleNamespace, __: aiohttp.TraceConnectionReuseconnParams
) -> None:
    exchange = context.trace_request_ctx
    if isinstance(exchange, Exchange):
        if exchange.own_connection:
            raise SharedConnection
        exchange.is_shared = True


async def _on_headers_sent(
    _: Session, context: SimpleNamespace, __: aiohttp.TraceRequestHeadersSentParams
) -> None:
    exchange = context.trace_request_ctx
    if isinstance(exchange, Exchange):
        exchange.check()  # aiohttp writes them only after this hook
        exchange.sends += 1
        exchange.sent_at = _clock.wall()
        if exchange.on_sent is not None:
            exchange.on_sent()


async def _on_response(
    _: Session, context: SimpleNamespace, params: aiohttp.TraceRequestEndParams
) -> None:
    exchange = context.trace_request_ctx
    if isinstance(exchange, Exchange):
        await exchange.read(params.response)


def _make_trace() -> aiohttp.TraceConfig:
    trace = aiohttp.TraceConfig()
    trace.on_connection_reuseconn.append(_on_reuse)
    trace.on_request_headers_sent.append(_on_headers_sent)
    trace.on_request_end.append(_on_response)
    trace.freeze()
    return trace


TRACE: Final = _make_trace()


async def _read(response: aiohttp.ClientResponse) -> Response:
    """The body, up to a bound. A status that came counts even if the body did not follow."""
    flaw = None
    body = b""
    try:
        while not response.content.at_eof():
            body += await response.content.readany()
            if len(body) > MAX_BODY:
                flaw = f"it is larger than {MAX_BODY} bytes"
                response.close()
                break
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        flaw = f"it broke off after {len(body)} bytes, {type(error).__name__}"
    return Response(response.status, response.headers, body, flaw)
