"""A `with` block here around an `async with` on the loop, entered and left in one task."""

import asyncio
import warnings
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from functools import partial
from types import TracebackType
from typing import Any, Generic, ParamSpec, TypeGuard, TypeVar

from hostup_sync._call import call, identity
from hostup_sync._handle import ClientScope
from hostup_sync._loop import LAST_TO_END
from hostup_sync._notes import trim_traceback
from hostup_sync._work import HASTE, LoopTask, Wake

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")


class Context(LoopTask, Generic[T]):
    """An async context manager on the loop.

    Attributes:
        manager: The manager, once it was made.
        value: What entering it gave.
    """

    __slots__ = ("_dropped", "_leaving", "_make", "_owner", "_suppressed", "manager", "value")

    task_name = LAST_TO_END
    value: T

    def __init__(
        self, home: ClientScope, make: Callable[[], AbstractAsyncContextManager[T, bool | None]]
    ) -> None:
        super().__init__(home.works)
        self.manager: object = None
        self._dropped = False
        self._leaving: asyncio.Future[BaseException | None] | None = None
        self._make = make
        self._owner = home.owner
        self._suppressed: bool | None = None

    # On the caller's thread.

    def enter(self, shape: Callable[[T], R]) -> R:
        """Enter it, and give what that gave the facade's shape."""
        try:
            self.start()
            failure = self.failure()
            if failure is not None:
                raise failure  # noqa: TRY301 - here, with few frames
            value = shape(self.value)
        except BaseException as error:
            self.settle(error)
            raise
        return value

    def leave(self, error: BaseException | None) -> bool | None:
        """Leave it, with the error of the block; true where that is to be swallowed."""
        if self._thread is None or self._thread.leaving:
            return None
        try:
            self._ask_to_leave(error)
            failure = None if isinstance(self.error, asyncio.CancelledError) else self.failure()
            if failure is not None and failure is not error:
                raise failure  # noqa: TRY301 - here, with few frames
            self.release()
        except BaseException as raised:
            self.settle(raised)
            raise
        return self._suppressed

    def release(self) -> None:
        """Give the lease back; the client's own context also gives back those that it ended."""
        super().release()
        if self._ended and self.manager is self._owner:
            for work in tuple(self._works.running):
                work.release()

    def drop(self) -> None:
        """Leave it without waiting: its `with` block can no longer do so."""
        if self._thread is not None and not self._thread.leaving:
            self._dropped = True
            self._thread.loop.call_soon_threadsafe(self._nudge)
            self.left_open()

    def left_open(self) -> None:
        """Warn that it was never left."""
        warnings.warn(
            f"unclosed {self.manager!r}: use it in a `with` block, or call its close()",
            ResourceWarning,
            stacklevel=2,
        )

    def _ask_to_leave(self, error: BaseException | None) -> None:
        leave = partial(self._leave, error)
        patience = HASTE if self._works.orphaned else None
        has_left = self.submit(leave, patience=patience)
        if not (has_left or self.submit(self.cancel, patience=HASTE)):
            self.give_up()

    # On the loop's thread.

    async def _run(self) -> None:
        manager = self.manager = self._make()
        self.value = await manager.__aenter__()
        error = await self._left()
        owns = manager is self._owner
        if owns:
            await _dismiss(filter(_is_context, self._others()))
        try:
            if error is None:
                self._suppressed = await manager.__aexit__(None, None, None)
            else:
                kind, trace = type(error), error.__traceback__
                self._suppressed = await manager.__aexit__(kind, error, trace)
        finally:
            if owns:
                await _dismiss(self._others())
        if isinstance(error, asyncio.CancelledError):
            raise error

    async def _left(self) -> BaseException | None:
        """The error that the block was left with, or our own cancellation."""
        self._leaving = asyncio.get_running_loop().create_future()
        self._wake()
        try:
            return await self._leaving
        except asyncio.CancelledError as cancellation:
            return cancellation

    def _leave(self, error: BaseException | None, wake: Wake) -> None:
        self._waiting.append(wake)
        if self._ended:
            self._wake()
        elif self._leaving is not None and not self._leaving.done():
            self._leaving.set_result(error)

    def _others(self) -> list[LoopTask]:
        return [work for work in tuple(self._works.running) if work is not self]

    def _end(self) -> None:
        super()._end()
        if self._dropped:
            self.release()


async def _dismiss(works: Iterable[LoopTask]) -> None:
    """Cancel what would not outlive the client, and wait for its end."""
    tasks = [task for task in map(LoopTask.dismiss, works) if task is not None]
    if tasks:
        await asyncio.wait(tasks)


class Managed(AbstractContextManager[R, bool | None], Generic[T, R]):
    """A `with` block around what an async context manager function makes."""

    def __init__(
        self,
        home: ClientScope,
        shape: Callable[[T], R],
        function: Callable[P, AbstractAsyncContextManager[T, bool | None]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> None:
        self._home = home
        self._shape = shape
        self._context = Context(home, lambda: function(*args, **kwargs))

    def __enter__(self) -> R:
        self._home.check()
        return self._context.enter(self._shape)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> bool | None:
        return self._context.leave(exc) if self._home.is_ours else None


def enter(home: ClientScope, manager: AbstractAsyncContextManager[T, bool | None]) -> T:
    """Begin the `with` block of a handle."""
    home.check()
    try:
        return Context(home, lambda: manager).enter(identity)
    except Exception as error:
        trim_traceback(error)
        raise


def leave(home: ClientScope, manager: object, error: BaseException | None) -> bool | None:
    """End it; nothing to do where it was never begun, and in a forked child."""
    context = _find(home, manager)
    return None if context is None else context.leave(error)


def close(
    home: ClientScope, manager: object, aclose: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    """End the `with` block, also one that another thread began; or close what has none."""
    context = _find(home, manager)
    if context is not None:
        context.leave(None)
    elif home.is_ours:
        call(home, identity, aclose)


def _find(home: ClientScope, manager: object) -> "Context[Any] | None":
    contexts = filter(_is_context, tuple(home.works.running) if home.is_ours else ())
    found = next((context for context in contexts if context.manager is manager), None)
    if found is not None:
        home.check()
    return found


def _is_context(work: LoopTask) -> "TypeGuard[Context[Any]]":
    return isinstance(work, Context)
