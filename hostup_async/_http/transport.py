"""Sends requests, and knows of each whether it left this machine, and on which connection.

A response that is repeated on a kept-alive connection looks like the response to the request that
comes next. So an action, and any request whose response does not name what was asked for, goes out
on a connection of its own, which carried nothing before. The others share connections, and
`Exchange.drop_connection` ends one that delivered a response of another request.
"""

import asyncio
import errno
import logging
import os
import platform
from collections.abc import Callable, Mapping
from typing import Final, cast

import aiohttp
from yarl import URL

from hostup_async._config import Config
from hostup_async._errors import (
    ClientClosed,
    ConfigurationError,
    HostUpError,
    NetworkError,
    NotSent,
    UntrustedPollUrl,
)
from hostup_async._http.exchange import (
    TRACE,
    Exchange,
    Response,
    SharedConnection,
    TooLate,
    TracedResponse,
)
from hostup_async._http.server_clock import shared_clock
from hostup_async._text import clean
from hostup_async._version import __version__

Session = aiohttp.ClientSession
Url = URL

# Seconds. Node servers close an idle connection after 5 s; a request sent into that moment is
# in doubt.
KEEPALIVE: Final = 4.0
# Open at once, for each of the two kinds of connections.
CONNECTIONS: Final = 100
USER_AGENT: Final = f"hostup-python/{__version__} (Python {platform.python_version()})"
_JSON: Final = {"Content-Type": "application/json"}
_CLOSE: Final = {"Connection": "close"}
_SKIPPED: Final = ("Content-Type",)
_LOGGER: Final = logging.getLogger("hostup.http")


class Transport:
    """Sends requests on sessions of its own, or on a lent one that it never closes.

    On its own sessions, requests that may share a connection keep it alive, and the others open
    and close one each. On a lent session, or one that a user's function makes, the connections
    are not ours to divide: each request asks the server to close its connection afterwards, and
    one that needs its own is not sent on another. What that leaves open: a server that ignores
    `Connection: close` costs a connection, left idle until the server closes it, each time.

    Args:
        config: The key, the origin and the timeouts.
        session: A session to borrow, or a function that makes one when the client opens.
    """

    def __init__(
        self, config: Config, session: Session | Callable[[], Session] | None = None
    ) -> None:
        self.base: Final = config.base
        self._given = session
        self._sharing: Session | None = None
        self._fresh: Session | None = None
        self.server_clock: Final = shared_clock(config.base)
        self._key = config.key
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing = False
        self._origin = URL(config.base)
        self._headers = {
            "Authorization": config.key.authorization(),
            "Accept": "application/json",
            "User-Agent": USER_AGENT,
            **({} if session is None else _CLOSE),
        }
        limits = config.timeouts
        self._timeout = aiohttp.ClientTimeout(
            total=limits.request,
            connect=limits.pool,
            sock_connect=limits.connect,
            sock_read=limits.read,
        )

    @property
    def is_open(self) -> bool:
        """Whether it has sessions to send on, and is not about to close them."""
        return self._sharing is not None and not self._closing

    async def open(self) -> None:
        """Make the sessions, here and not earlier: they belong to the running loop.

        Raises:
            ConfigurationError: It is open already, or the session that was given is closed,
                another loop's, or not a session.
        """
        if self._loop is not None and not self._loop.is_closed():
            msg = "This client is open already: make one client for each block."
            raise ConfigurationError(msg)
        if self._given is None:
            self._sharing, self._fresh = _make_session(), _make_session(force_close=True)
        else:
            self._sharing = self._fresh = _checked_session(self._given)
            if TRACE not in self._sharing.trace_configs:
                # First: no other hook can then come between a response and its reading.
                self._sharing.trace_configs.insert(0, TRACE)
        self._loop, self._closing = asyncio.get_running_loop(), False

    def refuse(self) -> None:
        """Send nothing more: what is under way may end, what has not begun never does."""
        self._closing = True

    async def close(self) -> None:
        """Close the sessions, except a lent one."""
        sessions = self._sharing, self._fresh  # in this order: that of a set is left to chance
        self._sharing = self._fresh = self._loop = None
        for session in sessions:
            if session is not None and session is not self._given:
                await session.close()

    def api_url(self, path: str, query: Mapping[str, str] | None = None) -> URL:
        """The URL of a route under `/api/v2`; the path is quoted already, the query is not.

        Raises:
            ConfigurationError: The key stands in it: servers, proxies and our log write URLs down.
        """
        url = URL(f"{self.base}/api/v2{path}", encoded=True)
        url = url.with_query(query) if query else url
        self._refuse_key_in(url)
        return url

    def trusted_url(self, poll_url: str) -> URL:
        """The URL that a `pollUrl` means: host-relative or absolute, on the API's origin only.

        Raises:
            UntrustedPollUrl: It leads elsewhere; following it would hand over the key.
            ConfigurationError: The key stands in it.
        """
        try:
            # As it came: quoting it anew would make another URL of `%2F` or `%7E`.
            is_quoted = poll_url.isascii() and poll_url.isprintable() and " " not in poll_url
            url = self._origin.join(URL(poll_url, encoded=is_quoted))
            is_ours = _origin_of(url) == _origin_of(self._origin)
        except ValueError:  # not a URL at all
            url, is_ours = self._origin, False
        if is_ours and not (url.user or url.password):
            self._refuse_key_in(url)
            return url
        msg = (
            f"The poll URL {clean(poll_url, 200)!r} is not on {self.base}, so it was not followed "
            "and the key was not sent there. The action itself was accepted: check the "
            "VPS's status, and report this to HostUp."
        )
        raise UntrustedPollUrl(msg)

    def _refuse_key_in(self, url: URL) -> None:
        for text in (str(url), url.path, *url.query.values()):
            if self._key.redact(text) != text:
                msg = "The API key stands where an id, a name or a URL belongs. Nothing was sent."
                raise ConfigurationError(msg)

    async def send(
        self, method: str, url: URL, exchange: Exchange, *, body: bytes | None = None
    ) -> Response:
        """Send one request; its response, whatever the status. No redirect is followed.

        Raises:
            ClientClosed: The client is not open here, or is closing; nothing was sent.
            ConfigurationError: The lent session could not send it; nothing was sent.
            NotSent: It never left this machine; `TooLate` where its last check kept it back.
            NetworkError: It left, or may have, and no response came.
        """
        error: Exception | None = SharedConnection()
        tries = 0
        while isinstance(error, SharedConnection) and tries <= CONNECTIONS:
            error = await self._try(self._session_for(exchange), method, url, exchange, body)
            tries += 1
        response = exchange.response
        if isinstance(error, TooLate):
            raise error
        if response is None:
            error = error or NetworkError("the session gave no response")
            raise self._failure(error, exchange) from self._bare(error)
        if error is not None:
            why = clean(self._key.redact(repr(error)))
            _LOGGER.warning("A hook of the lent session failed after the response: %s", why)
        return response._replace(body=self._key.redact_bytes(response.body))

    async def _try(
        self, session: Session, method: str, url: URL, exchange: Exchange, body: bytes | None
    ) -> Exception | None:
        """Send on a session; the response is in the exchange, although an error may follow it."""
        try:
            async with session.request(
                method,
                url,
                data=body,
                headers=self._headers if body is None else {**self._headers, **_JSON},
                skip_auto_headers=_SKIPPED,
                allow_redirects=False,
                raise_for_status=False,
                auto_decompress=True,
                timeout=self._timeout,
                trace_request_ctx=exchange,
                middlewares=(),  # a lent session's own could send an action twice
            ) as response:
                await exchange.read(response)
        except Exception as error:  # noqa: BLE001 - a lent session's hooks may raise anything
            return error
        return None

    def _session_for(self, exchange: Exchange) -> Session:
        session = self._fresh if exchange.own_connection else self._sharing
        if session is None or session.closed:
            msg = (
                "The client is not open yet, or was closed: use it inside the block of its `with` "
                "(or `async with`)."
            )
        elif self._closing:
            msg = "The client is closing, so this was not sent: make another client for it."
        elif self._loop is not asyncio.get_running_loop():
            msg = "The client was opened on another event loop: make one client for each loop."
        else:
            return session
        raise ClientClosed(msg)

    def _failure(self, error: Exception, exchange: Exchange) -> HostUpError:
        detail = clean(self._key.redact(str(error)))
        why = ": ".join(filter(None, (type(error).__name__, detail)))
        number = error.errno if isinstance(error, OSError) else None
        if number is not None and number in errno.errorcode:
            why = f"{os.strerror(number).lower()}; {why}"  # the first words say the cause
        if exchange.sends:
            return NetworkError(f"{self.base} gave no response that could be read ({why}).")
        if not isinstance(error, (aiohttp.ClientError, TimeoutError, OSError, SharedConnection)):
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


def _make_session(*, force_close: bool = False) -> Session:
    keepalive = None if force_close else KEEPALIVE
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=CONNECTIONS, force_close=force_close, keepalive_timeout=keepalive
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        response_class=TracedResponse,
        trace_configs=[TRACE],
    )


def _checked_session(given: Session | Callable[[], Session]) -> Session:
    session = cast("object", given if isinstance(given, Session) else given())
    if not isinstance(session, Session):
        msg = (
            "The session function returned "
            f"{type(session).__name__}: it must be a plain function that returns an "
            "aiohttp.ClientSession, such as Client(session=lambda: aiohttp.ClientSession(...))."
        )
        raise ConfigurationError(msg)
    if session.closed:
        msg = "The session that was lent is closed: lend an open one."
        raise ConfigurationError(msg)
    loop = getattr(session, "_loop", None)  # the public attribute warns that it will go
    if loop is not None and loop is not asyncio.get_running_loop():
        msg = (
            "The session belongs to another event loop, and cannot be used on this one: pass a "
            "function that makes it, such as Client(session=lambda: aiohttp.ClientSession(...))."
        )
        raise ConfigurationError(msg)
    return session


def _origin_of(url: URL) -> tuple[str, str | None, int | None]:
    return url.scheme, url.host, url.port  # a port that is left out is the scheme's own
