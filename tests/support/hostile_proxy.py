"""A proxy between a client and a server that repeats, loses and cuts some of the responses."""

import asyncio
import random
from collections import Counter
from contextlib import suppress
from typing import Self

_HEAD_END = b"\r\n\r\n"
_REPEATED_AFTER = 0.005


class HostileProxy:
    """Passes whole requests and responses on; each response meets a fate drawn from the seed.

    Args:
        url: The server's.
        seed: Of the fates.
        share: The probability of each of the three faults.

    Attributes:
        url: The proxy's own.
        fates: How often each fate was met.
    """

    def __init__(self, url: str, *, seed: int, share: float = 0.02) -> None:
        self._port = int(url.rpartition(":")[2])
        self._random = random.Random(seed)
        self._share = share
        self._tasks: set[asyncio.Task[None]] = set()
        self.fates: Counter[str] = Counter()
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=2**20)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection("127.0.0.1", self._port, limit=2**20)
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    there[1].write(await _read_message(reader))
                    if not await self._answer(await _read_message(there[0]), writer):
                        break
        finally:
            there[1].transport.abort()
            writer.transport.abort()

    async def _answer(self, response: bytes, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection lives on."""
        fate = self._draw()
        self.fates[fate] += 1
        match fate:
            case "lost":
                return True  # the client waits until its own timeout
            case "cut":
                writer.write(response[: len(response) // 2])
                await writer.drain()
                return False
            case "repeated":
                writer.write(response)
                await writer.drain()
                await asyncio.sleep(_REPEATED_AFTER)
        writer.write(response)
        await writer.drain()
        return b"connection: close" not in response.lower()

    def _draw(self) -> str:
        number = int(self._random.random() / self._share)
        return ("lost", "cut", "repeated")[number] if number < 3 else "passed"


async def _read_message(reader: asyncio.StreamReader) -> bytes:
    """One request or response, head and body."""
    head = await reader.readuntil(_HEAD_END)
    lengths = [
        int(line.partition(b":")[2])
        for line in head.lower().split(b"\r\n")
        if line.startswith(b"content-length:")
    ]
    return head + (await reader.readexactly(lengths[0]) if lengths else b"")
