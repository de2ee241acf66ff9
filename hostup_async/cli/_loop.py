"""How a command runs: on an event loop, to its end or until it is told to stop."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Final, TypeVar

import anyio

T = TypeVar("T")

_STOPS: Final = (signal.SIGINT, signal.SIGTERM)


def run(work: Callable[[], Awaitable[T]]) -> T:
    """Run to the end, on uvloop where it is installed (`hostup[speed]`)."""
    return anyio.run(work, backend_options={"use_uvloop": find_spec("uvloop") is not None})


@contextmanager
def until_stopped() -> Generator[anyio.CancelScope]:
    """A scope that Ctrl-C and SIGTERM cancel; after it they do what they always do."""
    loop = asyncio.get_running_loop()
    with anyio.CancelScope() as scope:
        for number in _STOPS:
            loop.add_signal_handler(number, scope.cancel)
        try:
            yield scope
        finally:
            for number in _STOPS:
                loop.remove_signal_handler(number)
