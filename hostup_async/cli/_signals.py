"""How a command runs: on an event loop, and what signals do to it."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Final, TypeVar

import anyio

T = TypeVar("T")

STOPS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(work: Callable[[], Awaitable[T]]) -> T:
    """Run to the end, on uvloop where it is installed (`hostup[speed]`)."""
    return anyio.run(work, backend_options={"use_uvloop": find_spec("uvloop") is not None})


@contextmanager
def answering(*answers: Callable[[], None]) -> Generator[None]:
    """Answer the first signal, the second, ...; after the last they do what they always do."""
    loop, left = asyncio.get_running_loop(), list(answers)

    def restore() -> None:
        for number in STOPS:
            loop.remove_signal_handler(number)

    def answer() -> None:
        if left:
            left.pop(0)()
        if not left:
            restore()

    for number in STOPS:
        loop.add_signal_handler(number, answer)
    try:
        yield
    finally:
        restore()


@contextmanager
def until_stopped() -> Generator[anyio.CancelScope]:
    """A scope that Ctrl-C, SIGTERM and a closed terminal cancel."""
    with anyio.CancelScope() as scope, answering(scope.cancel):
        yield scope
