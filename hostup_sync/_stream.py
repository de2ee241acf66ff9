"""An iterator here over an async iterator on the loop, all of which runs in one task."""

import asyncio
from collections.abc import AsyncIterator, Callable, Generator
from functools import partial
from typing import Final, Generic, ParamSpec, TypeVar

from hostup_sync._handle import ClientScope
from hostup_sync._work import LoopTask, RunningTasks, Wake

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")

# Items cross the threads in batches, of one item at first: a caller that wants a single item
# causes no more work than that. This bounds a batch, and so the items fetched too early.
LARGEST_BATCH: Final = 64


class Pump(LoopTask, Generic[T]):
    """Takes items off the iterator as they are wanted, and hands over what is there at once."""

    __slots__ = ("_items", "_make", "_parked", "_receiver", "_wanted", "batch")

    def __init__(self, works: RunningTasks, make: Callable[[], AsyncIterator[T]]) -> None:
        super().__init__(works)
        self.batch: list[T] = []
        self._items: list[T] = []
        self._make = make
        self._parked: asyncio.Future[None] | None = None
        self._receiver: Wake | None = None
        self._wanted = 1

    # On the caller's thread.

    def refill(self, wanted: int) -> BaseException | None:
        """Wait for a batch of at most `wanted` items: an empty one, or an error, is the end."""
        self.batch = []
        if self._thread is None:
            self.start()
        else:
            self.submit(partial(self._want, wanted))
        return None if self.batch else self.failure()

    # On the loop's thread.

    def _begin(self, wake: Wake) -> None:
        self._receiver = wake
        super()._begin(_nothing)

    def _want(self, wanted: int, wake: Wake) -> None:
        self._receiver, self._wanted = wake, wanted
        if self._parked is not None and not self._parked.done():
            self._parked.set_result(None)
        if self._ended:
            self._hand_over()
        elif self._items:  # after the step that was just made possible
            asyncio.get_running_loop().call_soon(self._flush, 0)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        items = self._make()
        try:
            async for item in items:
                self._items.append(item)
                if self._receiver is None or len(self._items) >= self._wanted:
                    await self._park(loop)
                elif len(self._items) == 1:
                    loop.call_soon(self._flush, 0)
        finally:
            aclose = getattr(items, "aclose", None)
            if aclose is not None:
                await aclose()

    async def _park(self, loop: asyncio.AbstractEventLoop) -> None:
        self._parked = loop.create_future()
        if self._receiver is not None:
            self._hand_over()
        await self._parked

    def _flush(self, counted: int) -> None:
        """Hand over what is there, once a round of the loop has brought nothing more."""
        if self._receiver is None or not self._items:
            return
        if len(self._items) > counted:
            asyncio.get_running_loop().call_soon(self._flush, len(self._items))
        else:
            self._hand_over()

    def _hand_over(self) -> None:
        wake, self._receiver = self._receiver, None
        self.batch, self._items = self._items, []
        if wake is not None and not (self._thread is not None and self._thread.leaving):
            wake()

    def _end(self) -> None:
        super()._end()
        if self._receiver is not None:
            self._hand_over()


def _nothing() -> None:
    pass


def stream(
    home: ClientScope,
    shape: Callable[[T], R],
    function: Callable[P, AsyncIterator[T]],
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> Generator[R, None, None]:
    """The items of an async iterator, as they come; leaving early ends it."""
    home.check()
    pump = Pump(home.works, lambda: function(*args, **kwargs))
    wanted = 1
    try:
        while True:
            error = pump.refill(wanted)
            if error is not None:
                raise error  # noqa: TRY301 - here, so that this is the only frame of ours
            if not pump.batch:
                break
            for item in pump.batch:
                yield shape(item)
            wanted = min(2 * wanted, LARGEST_BATCH)
        pump.release()
    except BaseException as error:
        pump.settle(error)
        raise
