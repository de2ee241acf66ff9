import asyncio
import threading
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Final, Literal, Self, overload

from hostup_async._part import part
from made_up_async._fleet import DEFAULT, FleetResource
from made_up_async._models import Words

COLOUR: ContextVar[str] = ContextVar("COLOUR", default="none")


class Client:
    """A client of nothing.

    Args:
        say: Told what happens.
        slow: Seconds that entering takes.

    Example:
        >>> async def use(client):
        ...     async with client:
        ...         return [one async for one in client.count(3)]
    """

    def __init__(self, *, say: Words = print, slow: float = 0) -> None:
        self.fleet: Final = FleetResource(say)
        self._other = FleetResource(say)
        self._say = say
        self._slow = slow

    async def __aenter__(self) -> Self:
        try:
            if self._slow:
                self._say("entering")
            if self._slow < 0:
                raise ValueError(self._slow)
            await asyncio.sleep(self._slow)
        finally:
            if self._slow:
                self._say("entered or not")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def open(self) -> Self:
        """Open it without a block."""
        return await self.__aenter__()

    @part
    def other(self) -> FleetResource:
        """Another fleet, which the class shows too."""
        return self._other

    async def aclose(self) -> None:
        """Close it."""
        self._say("closed")

    async def echo(self, text: str, /, times: int = 1, *, end: str = "") -> str:
        """The same again."""
        return text * times + end

    async def nothing(self) -> None:
        """Nothing."""

    async def colour(self) -> str:
        """What the context says."""
        return COLOUR.get()

    async def work(self, seconds: float) -> str:
        """Take long, and then clean up."""
        try:
            self._say("working")
            await asyncio.sleep(seconds)
        except asyncio.CancelledError as cancellation:
            self._say("cleaning up")
            await asyncio.sleep(0.1)
            cancellation.add_note("job_1 was accepted: client.operation('token')")
            self._say("cleaned up")
            raise
        return "worked"

    async def stick(self) -> None:
        """Take long, and still longer to clean up."""
        try:
            self._say("working")
            await asyncio.sleep(60)
        finally:
            self._say("stuck")
            await asyncio.sleep(60)

    async def fail(self, error: BaseException) -> None:
        """Raise it."""
        await asyncio.sleep(0)
        raise error

    async def fail_within(self, error: BaseException) -> None:
        """Raise it in a task."""
        await asyncio.create_task(self.fail(error))

    async def slow_down(self) -> None:
        """Raise a timeout of its own."""
        async with asyncio.timeout(0.01):
            await asyncio.sleep(60)

    async def call_back(self, words: Words) -> None:
        """Call on the loop's thread."""
        words(threading.current_thread().name)

    async def count(self, limit: int = DEFAULT, *, pause: float = 0) -> AsyncIterator[int]:
        """Count, in batches of 100."""
        try:
            for number in range(limit):
                if number % 100 == 0:
                    await asyncio.sleep(pause)
                yield number
        finally:
            await asyncio.sleep(0)
            self._say("counted")

    @overload
    async def either(self, text: str, *, doubled: Literal[True]) -> list[str]: ...
    @overload
    async def either(self, text: str, *, doubled: bool = False) -> list[str] | str: ...
    async def either(self, text: str, *, doubled: bool = False) -> list[str] | str:
        """One or two."""
        return [text, text] if doubled else text


async def open_client() -> Client:
    """A client from a function."""
    return Client()
