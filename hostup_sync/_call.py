"""One call: a coroutine on the loop, while a thread waits for what it returns."""

from collections.abc import Callable, Coroutine
from typing import Any, Generic, ParamSpec, TypeVar

from hostup_sync._handle import ClientScope
from hostup_sync._notes import trim_traceback
from hostup_sync._work import LoopTask, RunningTasks

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")


def identity(value: T) -> T:
    """Leave a result as it is: both packages share its class."""
    return value


class Call(LoopTask, Generic[T]):
    """A coroutine function with its arguments, and then its result."""

    __slots__ = ("_make", "value")

    value: T

    def __init__(self, works: RunningTasks, make: Callable[[], Coroutine[Any, Any, T]]) -> None:
        super().__init__(works)
        self._make = make

    async def _run(self) -> None:
        self.value = await self._make()

    def _lost(self) -> object:
        return getattr(self, "value", None)


def call(
    home: ClientScope,
    shape: Callable[[T], R],
    function: Callable[P, Coroutine[Any, Any, T]],
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> R:
    """Run a coroutine function on the loop, and give its result the facade's shape.

    What interrupts the wait (Ctrl-C, a signal handler's error) cancels the coroutine, and leaves
    here when its clean-up has ended.
    """
    home.check()
    work = Call(home.works, lambda: function(*args, **kwargs))
    try:
        work.start()
        error = work.failure()
        if error is not None:
            raise error  # noqa: TRY301 - here, so that this is the only frame of ours
        value = shape(work.value)
        work.release()
    except BaseException as error:
        work.settle(error)
        raise
    return value


def forward(
    home: ClientScope,
    shape: Callable[[T], R],
    function: Callable[P, T],
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> R:
    """Call a plain method on the loop's thread, whose state it may touch; here if none runs."""
    if not home.is_elsewhere():
        return shape(function(*args, **kwargs))

    async def on_loop() -> T:
        return function(*args, **kwargs)

    try:
        return call(home, shape, on_loop)
    except Exception as error:
        trim_traceback(error)
        raise
