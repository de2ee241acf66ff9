"""What several tests share: short timeouts, and a server that says exactly what it is told."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

from hostup_async import Budget, Client, Timeouts
from hostup_async.sandbox import Books, Sandbox

# `nox -s nightly` asks for all examples; every day fewer will do.
THOROUGH = bool(os.environ.get("HOSTUP_THOROUGH"))
QUICK = Timeouts(connect=2, read=0.4, request=5, call=3)

StartSandbox = Callable[..., Awaitable[Sandbox]]
Connect = Callable[..., Awaitable[Client]]


def examples(count: int) -> int:
    """How many examples of a property to try: all at night, a third every day."""
    return count if THOROUGH else max(10, count // 3)


def repeats(count: int) -> int:
    """How often to repeat a test whose outcome depends on chance: all at night, a third by day."""
    return count if THOROUGH else -(-count // 3)


def child_environment() -> dict[str, str]:
    """The environment of a subprocess that imports these helpers."""
    path = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))}


def unmeasured(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for a subprocess without its coverage: measured, it would cost double."""
    return {name: value for name, value in environment.items() if "COVERAGE" not in name}


@asynccontextmanager
async def client_of(base_url: str, **options: Any) -> AsyncIterator[Client]:
    """A client that gives up soon, with a budget of its own."""
    settings: dict[str, Any] = {
        "api_key": "sk_test_sandbox",
        "timeouts": Timeouts(call=0.3),
        "budget": Budget(),
        **options,
    }
    async with Client(base_url=base_url, **settings) as client:
        yield client


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def requests_seen(sandbox: Sandbox, kind: str, count: int) -> None:
    """Wait until the server has this many requests of a kind in its books."""
    while (await sandbox.books()).requests.get(kind, 0) < count:
        await asyncio.sleep(0.005)


def accepted(books: Books, action: str = "reset") -> dict[str, int]:
    """How often the server took an action on, by VPS."""
    return {vps_id: counts[action] for vps_id, counts in books.accepted.items() if action in counts}


class RawServer:
    """Answers each request with the next of its scripts; None closes the connection instead.

    Attributes:
        requests: The first line of each request that came.
    """

    def __init__(self, *answers: bytes | None) -> None:
        self.answers = list(answers)
        self.requests: list[str] = []
        self.url = ""

    async def __aenter__(self) -> Self:
        self._serving: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve_and_close(reader, writer))
        self._serving.add(task)

    async def _serve_and_close(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            await self.serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until it is to be closed."""
        while head := await reader.readuntil(b"\r\n\r\n"):
            self.requests.append(head.split(b"\r\n")[0].decode())
            answer = self.answers.pop(0) if self.answers else None
            if answer is None:
                break
            writer.write(answer)
            await writer.drain()
            if b"Connection: close" in answer:
                writer.close()
                await writer.wait_closed()


def http(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """An HTTP answer as bytes."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
