"""Running a command on an event loop, and handling the signals that stop it."""

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
    """Run an async function on a new event loop; uvloop where installed (`hostup[speed]`)."""
    return anyio.run(work, backend_options={"use_uvloop": find_spec("uvloop") is not None})


@contextmanager
def on_signals(*actions: Callable[[], None]) -> Generator[None]:
    """Call the first action for the first signal, and so on; later signals act as by default.

    A signal that this process was told to ignore stays ignored: `nohup` does that with SIGHUP, and
    a script's shell with the SIGINT of what it runs in the background.
    """
    loop, left = asyncio.get_running_loop(), list(actions)
    heeded = [number for number in STOPS if signal.getsignal(number) is not signal.SIG_IGN]

    def restore() -> None:
        for number in heeded:
            loop.remove_signal_handler(number)

    def handle() -> None:
        if left:
            left.pop(0)()
        if not left:
            restore()

    for number in heeded:
        loop.add_signal_handler(number, handle)
    try:
        yield
    finally:
        restore()


@contextmanager
def until_stopped() -> Generator[anyio.CancelScope]:
    """A cancel scope that Ctrl-C, SIGTERM and a closed terminal cancel."""
    with anyio.CancelScope() as scope, on_signals(scope.cancel):
        yield scope
