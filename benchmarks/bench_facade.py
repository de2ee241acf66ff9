"""What the sync facade costs: a call that does nothing, and an item of a stream.

All on one core, in one process and taking turns; the medians are compared. A call may cost at
most 1.2 times `asyncio.run_coroutine_threadsafe(...).result()`, an item at most 15 us,
of which the loop itself takes some three.

    python benchmarks/bench_facade.py [--calls 2000] [--rounds 7]
"""

import argparse
import asyncio
import gc
import json
import os
import statistics
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager

from anyio.from_thread import start_blocking_portal
from asgiref.sync import async_to_sync
from synchronicity import Synchronizer

from hostup_sync._call import call, identity
from hostup_sync._context import close, enter
from hostup_sync._handle import ClientScope
from hostup_sync._stream import stream

BOUND, ITEM_BOUND = 1.2, 15.0
OURS, PEER = "hostup_sync", "run_coroutine_threadsafe"
Call = Callable[[], object]


async def nothing() -> None:
    pass


async def count(items: int) -> AsyncIterator[int]:
    for number in range(items):
        await asyncio.sleep(0)  # each item takes the loop a round of its own
        yield number


class Opened:
    """An async context manager that keeps the facade's loop thread, as an open client does."""

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, *_: object) -> None:
        pass

    async def aclose(self) -> None:
        pass


@contextmanager
def facade() -> Iterator[ClientScope]:
    opened = Opened()
    home = ClientScope(opened)
    enter(home, opened)
    try:
        yield home
    finally:
        close(home, opened, opened.aclose)


@contextmanager
def plain_loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def contestants(stack: ExitStack) -> dict[str, Call]:
    """The identity call of a no-op coroutine, by each way there is."""
    home = stack.enter_context(facade())
    loop = stack.enter_context(plain_loop())
    portal = stack.enter_context(start_blocking_portal())
    synchronizer = Synchronizer()
    synchronized = synchronizer.wrap(nothing, name="synchronized")
    return {
        OURS: lambda: call(home, identity, nothing),
        PEER: lambda: asyncio.run_coroutine_threadsafe(nothing(), loop).result(),
        "anyio's BlockingPortal": lambda: portal.call(nothing),
        "synchronicity": synchronized,
        "asyncio.run": lambda: asyncio.run(nothing()),
        "asgiref's async_to_sync": async_to_sync(nothing),
    }


def microseconds(function: Call, times: int) -> float:
    gc.collect()
    began = time.perf_counter()
    for _ in range(times):
        function()
    return 1e6 * (time.perf_counter() - began) / times


def measure_calls(calls: int, rounds: int) -> dict[str, float]:
    with ExitStack() as stack:
        ways = contestants(stack)
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for function in ways.values():
            microseconds(function, calls // 10)
        for _ in range(rounds):
            for name, function in ways.items():
                taken[name].append(microseconds(function, calls))
    return {name: statistics.median(times) for name, times in taken.items()}


def measure_items(items: int, rounds: int) -> dict[str, float]:
    """Microseconds for each item: in batches as the facade does, and one by one."""
    synchronized = Synchronizer().wrap(count, name="synchronized_count")
    with facade() as home:
        ways: dict[str, Callable[[], Iterator[int]]] = {
            OURS: lambda: stream(home, identity, count, items),
            "synchronicity": lambda: synchronized(items),
        }
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, make in ways.items():
                gc.collect()
                began = time.perf_counter()
                assert sum(1 for _ in make()) == items
                taken[name].append(1e6 * (time.perf_counter() - began) / items)
    return {name: statistics.median(times) for name, times in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    calls = measure_calls(options.calls, options.rounds)
    items = measure_items(options.calls, options.rounds)
    ratio = calls[OURS] / calls[PEER]
    if options.json:
        print(json.dumps({"calls": calls, "items": items, "ratio": ratio}))
        return
    for name, time_taken in calls.items():
        print(f"{name:28}{time_taken:8.1f} us a call")
    print(f"ratio to {PEER}: {ratio:.2f}   (bound {BOUND})")
    for name, time_taken in items.items():
        print(f"{name:28}{time_taken:8.1f} us an item")
    print(f"bound for {OURS}: {ITEM_BOUND} us")


if __name__ == "__main__":
    main()
