"""Sends requests on one aiohttp session, and knows of each whether it left this machine."""

import asyncio
import platform
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Final, NamedTuple

import aiohttp
from yarl import URL

from hostup_async import _clock
from hostup_async._config import Config
from hostup_async._errors import (
    ClientClosed,
    ConfigurationError,
    HostUpError,
    NetworkError,
    NotSent,
    UntrustedPollUrl,
)
from hostup_async._text import clean
from hostup_async._version import __version__

Session = aiohttp.ClientSession
Url = URL

MAX_BODY: Final = 4 * 1024 * 1024
# Node servers close an idle connection after 5 s; a request sent into that moment is in doubt.
KEEPALIVE: Final = 4.0
CONNECTIONS: Final = 100
USER_AGENT: Final = f"hostup-python/{__version__} (Python {platform.python_version()})"


class Exchange:
    """What is known of one request while it is under way.

    Attributes:
        sends: How often its headers went out: 0 proves that it was never sent. aiohttp
            sends a GET again, once, when a kept-alive connection turns out to be dead.
        sent_at: When they last did, in seconds since the epoch.
    """

    __slots__ = ("sends", "sent_at")

    def __init__(self) -> None:
        self.sends: int = 0
        self.sent_at: float = 0.0


class Response(NamedTuple):
    """A response as it came; `flaw` says why its body is not whole, where it is not."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    flaw: str | None = None


async def _on_headers_sent(
    _: aiohttp.ClientSession,
    context: SimpleNamespace,
    __: aiohttp.TraceRequestHeadersSentParams,
) -> None:
    exchange = context.trace_request_ctx
    if isinstance(exchange, Exchange):
        exchange.sends += 1
        exchange.sent_at = _clock.wall()


def _make_trace() -> aiohttp.TraceConfig:
    trace = aiohttp.TraceConfig()
    trace.on_request_headers_sent.append(_on_headers_sent)
    trace.freeze()
    return trace


_TRACE: Final = _make_trace()


class Transport:
    """Sends requests on its own session, or on a lent one that it never closes.

    `session` is a session to borrow, or a function that makes one when the client opens.
    """

    def __init__(
        self, config: Config, session: Session | Callable[[], Session] | None = None
    ) -> None:
        self.base: Final = config.base
        self._lent: Session | None = None
        self._make: Callable[[], Session] = _make_session
        if isinstance(session, Session):
            self._lent = session
        elif session is not None:
            self._make = session
        self._session: Session | None = None
        self._key = config.key
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing = False
        self._origin = URL(config.base)
        self._headers = {
            "Authorization": config.key.authorization(),
            "Accept": "application/json",
            "User-Agent": USER_AGENT,
        }
        limits = config.timeouts
        self._timeout = aiohttp.ClientTimeout(
            total=limits.request,
            connect=limits.pool,
            sock_connect=limits.connect,
            sock_read=limits.read,
        )

    async def open(self) -> None:
        """Make the session, here and not earlier: it belongs to the running loop.

        Raises:
            ConfigurationError: It is open already, or the lent session is closed or another
                loop's.
        """
        if self._session is not None:
            msg = "This client is open already: make one client for each block."
            raise ConfigurationError(msg)
        if self._lent is not None and self._lent.closed:
            msg = "The session that was lent is closed: lend an open one."
            raise ConfigurationError(msg)
        session = self._lent or self._make()
        _check_loop(session)
        if _TRACE not in session.trace_configs:
            session.trace_configs.append(_TRACE)
        self._loop, self._closing = asyncio.get_running_loop(), False
        self._session = session

    def refuse(self) -> None:
        """Send nothing more: what is under way may end, what has not begun never does."""
        self._closing = True

    async def close(self) -> None:
        """Close the session if it is ours."""
        session, self._session = self._session, None
        if session is not None and session is not self._lent:
            await session.close()

    def api_url(self, path: str, query: Mapping[str, str] | None = None) -> URL:
        """The URL of a route under `/api/v2`; the path is quoted already, the query is not."""
        url = URL(f"{self.base}/api/v2{path}", encoded=True)
        return url.with_query(query) if query else url

    def trusted_url(self, poll_url: str) -> URL:
        """The URL that a `pollUrl` means: host-relative or absolute, on the API's origin only.

        Raises:
            UntrustedPollUrl: It leads elsewhere; following it would hand over the key.
        """
        try:
            url = self._origin.join(URL(poll_url))
            if _origin_of(url) == _origin_of(self._origin) and not (url.user or url.password):
                return url
        except ValueError:
            pass  # not a URL at all
        msg = (
            f"The poll URL {clean(poll_url, 200)!r} is not on {self.base}, so it was not followed "
            "and the key was not sent there. The action itself was accepted: check the "
            "VPS's status, and report this to HostUp."
        )
        raise UntrustedPollUrl(msg)

    async def send(
        self, method: str, url: URL, exchange: Exchange, *, body: bytes | None = None
    ) -> Response:
        """Send one request; its response, whatever the status. No redirect is followed.

        Raises:
            ClientClosed: The client is not open here, or is closing; nothing was sent.
            ConfigurationError: The lent session could not send it; nothing was sent.
            NotSent: It never left this machine.
            NetworkError: It left, or may have, and no response came.
        """
        session = self._opened()
        try:
            response = await session.request(
                method,
                url,
                data=body,
                headers=self._headers if body is None else {**self._headers, **_JSON},
                skip_auto_headers=_SKIPPED,
                allow_redirects=False,
                raise_for_status=False,
                timeout=self._timeout,
                trace_request_ctx=exchange,
                middlewares=(),  # a lent session's own could send an action twice
            )
        except Exception as error:  # noqa: BLE001 - a lent session's hooks may raise anything
            raise self._failure(error, exchange) from self._bare(error)
        async with response:
            status, headers, body, flaw = await _read(response)
        return Response(status, headers, self._key.redact_bytes(body), flaw)

    def _opened(self) -> Session:
        if self._session is None or self._session.closed:
            msg = "The client is not open: use it inside the block of its `with` (or `async with`)."
        elif self._closing:
            msg = "The client is closing, so this was not sent: make another client for it."
        elif self._loop is not asyncio.get_running_loop():
            msg = "The client was opened on another event loop: make one client for each loop."
        else:
            return self._session
        raise ClientClosed(msg)

    def _failure(self, error: Exception, exchange: Exchange) -> HostUpError:
        detail = clean(self._key.redact(str(error)))
        why = ": ".join(filter(None, (type(error).__name__, detail)))
        if exchange.sends:
            return NetworkError(f"{self.base} gave no response that could be read ({why}).")
        if not isinstance(error, (aiohttp.ClientError, TimeoutError, OSError)):
            return ConfigurationError(f"The session that was lent could not send ({why}).")
        return NotSent(
            f"{self.base} could not be reached ({why}). Nothing was sent: check the "
            "network and the base URL, then call again."
        )

    def _bare(self, error: Exception) -> BaseException | None:
        """The error without its frames, whose locals hold the request; None if it shows the key."""
        if self._key.redact(text := str(error)) != text:
            return None
        error.__cause__ = error.__context__ = None
        return error.with_traceback(None)


_JSON: Final = {"Content-Type": "application/json"}
_SKIPPED: Final = ("Content-Type",)


def _make_session() -> Session:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=KEEPALIVE),
        cookie_jar=aiohttp.DummyCookieJar(),
    )


def _check_loop(session: Session) -> None:
    loop = getattr(session, "_loop", None)  # the public attribute warns that it will go
    if loop is not None and loop is not asyncio.get_running_loop():
        msg = (
            "The session belongs to another event loop, and cannot be used on this one: pass a "
            "function that makes it, such as Client(session=lambda: aiohttp.ClientSession(...))."
        )
        raise ConfigurationError(msg)


def _origin_of(url: URL) -> tuple[str, str | None, int | None]:
    return url.scheme, url.host, url.port  # a port that is left out is the scheme's own


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
