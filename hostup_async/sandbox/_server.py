"""The server in this process."""

import asyncio
import json
from typing import Any, Final, Self

from aiohttp import web

from ._api import Api, IncomingCall
from ._clock import Clock, loop_time
from ._config import SandboxConfig
from ._control import CONTROL, SandboxHandle, execute
from ._replies import Delivery, Reply, phrase

_HOST: Final = "127.0.0.1"
_GRACE: Final = 0.2


class Sandbox(SandboxHandle):
    """A HostUp API to try things on, served from this process on the loopback interface.

    On an event loop whose time jumps, the sandbox's time is the loop's.

    Args:
        config: Its settings; the defaults are a small account without limits or faults.
        port: Port to listen on; 0 takes a free one.

    Example:
        >>> async def main() -> int:
        ...     async with Sandbox(SandboxConfig(vps=3)) as sandbox:
        ...         print(sandbox.url)  # give it to the client as its base URL
        ...         return (await sandbox.books()).total_requests
    """

    def __init__(self, config: SandboxConfig | None = None, *, port: int = 0) -> None:
        super().__init__(config or SandboxConfig())
        self._port = port
        self._api: Api | None = None

    async def __aenter__(self) -> Self:
        config = self.config
        clock = Clock(config.clock_skew, source=loop_time(), frozen=config.frozen)
        self._api = Api(config, clock)
        self._front = _Front(self._api)
        self._url = await self._front.start(self._port)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self._url = None
        await self._front.stop()

    async def _command(self, name: str, settings: dict[str, Any]) -> dict[str, Any]:
        if self._api is None:
            raise self._not_running()
        return execute(self._api, name, settings)


class _CountingServer(web.Server):
    """Counts the connections that are opened."""

    api: Api

    def connection_made(self, handler: Any, transport: asyncio.Transport) -> None:  # noqa: ANN401 - aiohttp does not export its type
        self.api.book_keeper.connections += 1
        super().connection_made(handler, transport)


class _Front:
    """Reads requests from the network and writes replies to it."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._stopping = asyncio.Event()

    async def start(self, port: int) -> str:
        server = _CountingServer(
            self._serve,
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=self._api.config.keepalive_timeout,
            lingering_time=0,
        )
        server.api = self._api
        self._runner = web.ServerRunner(server, shutdown_timeout=_GRACE)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, _HOST, port, backlog=4096).start()
        except OSError:
            await self._runner.cleanup()
            raise
        return f"http://{_HOST}:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        self._stopping.set()
        await self._runner.cleanup()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        content = await request.read() if request.can_read_body else b""
        if request.path.startswith(CONTROL):
            return self._control(request, content)
        authorization = request.headers.get("Authorization")
        target, headers = request.rel_url.raw_path_qs, tuple(request.headers.items())
        call = IncomingCall(request.method, target, request.query, authorization, content, headers)
        reply = self._api.answer(call)
        try:
            if self._api.config.latency:
                await asyncio.sleep(self._api.config.latency)
        finally:
            if reply.held is not None:
                reply.held.release()
        return await self._deliver(request, reply)

    def _control(self, request: web.BaseRequest, content: bytes) -> web.Response:
        if not self._api.is_keyed(request.headers.get("Authorization")):
            return web.json_response({"error": "the key is required"}, status=401)
        try:
            name = request.path.removeprefix(CONTROL)
            return web.json_response(execute(self._api, name, json.loads(content or b"{}")))
        except LookupError:
            return web.json_response({"error": "no such command"}, status=404)
        except (ValueError, TypeError) as wrong:
            return web.json_response({"error": str(wrong)}, status=400)

    async def _deliver(self, request: web.BaseRequest, reply: Reply) -> web.Response:
        if reply.delivery is Delivery.WHOLE:
            return _response(reply)
        if reply.delivery is Delivery.STALLED:
            await self._stopping.wait()
        _cut_off(request, _torn(reply))
        # The connection is closed, so this is never sent; aiohttp wants a response nevertheless.
        return web.Response(status=reply.status)


def _response(reply: Reply) -> web.Response:
    media = None if reply.status == 204 else reply.media  # noqa: PLR2004 - HTTP's own number
    return web.Response(
        status=reply.status, body=reply.body or None, headers=reply.headers, content_type=media
    )


def _torn(reply: Reply) -> bytes:
    if reply.delivery not in {Delivery.PARTIAL, Delivery.TRUNCATED}:
        return b""
    body = reply.body
    headers = {
        "Content-Type": reply.media,
        "Content-Length": str(len(body)),
        **reply.headers,
    }
    lines = [f"HTTP/1.1 {reply.status} {phrase(reply.status)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join([*lines, "", ""]).encode()
    partial = reply.delivery is Delivery.PARTIAL
    return head[: len(head) // 2] if partial else head + body[: len(body) // 2]


def _cut_off(request: web.BaseRequest, sent: bytes) -> None:
    transport = request.transport
    if transport is None:
        return
    if sent:
        transport.write(sent)
    transport.close()
