"""The budget against aiolimiter, pyrate-limiter and throttled-py, all in one run.

Uncontended: a permit taken and given back, against the peers' acquire alone (they give nothing
back). Contended: 10,000 tasks at 1000 a second, ours also on a virtual clock with 50 in 50 ms,
which is ideally 9.95 s. Growth: the CPU for each of 100 to 100,000 tasks that wait at once and are
let go in ten parts.

    python benchmarks/bench_budget.py [--rounds 5] [--json]
"""

import argparse
import asyncio
import gc
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiolimiter import AsyncLimiter
from pyrate_limiter import Duration, InMemoryBucket, Limiter, Rate
from throttled.asyncio import RateLimiterType, Throttled, rate_limiter

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))
from virtual_time import VirtualLoop

from hostup_async import Budget, RateLimit
from hostup_async._ratelimit.limiter import RateLimiter

ONCE = 20_000
ENDLESS = 10**6
WAITERS = 10_000
SECOND, SHORT = (1000, 1.0), (50, 0.05)
SIZES = (100, 1000, 10_000, 100_000)
Take = Callable[[], Awaitable[None]]
Make = Callable[[int, float], Take]


def ours(requests: int, window: float) -> Take:
    limiter = Budget(RateLimit(requests, window), clock=asyncio.get_running_loop().time)._limiter

    async def take() -> None:
        (await limiter.acquire(max_wait=100_000)).spend()

    return take


async def uncontended() -> dict[str, float]:
    """Microseconds for each, one after the other."""
    pyrate = Limiter(InMemoryBucket([Rate(ENDLESS, Duration.SECOND)]))
    quota = rate_limiter.per_sec(ENDLESS)
    throttled = Throttled(key="k", using=RateLimiterType.TOKEN_BUCKET.value, quota=quota)
    runs: dict[str, Take] = {
        "hostup": lambda: hostup_once(Budget(RateLimit(ENDLESS, 1))._limiter),
        "hostup, learning": lambda: hostup_once(Budget()._limiter),
        "aiolimiter": lambda: aiolimiter_once(AsyncLimiter(ENDLESS, 1)),
        "pyrate-limiter": lambda: pyrate_once(pyrate),
        "throttled-py": lambda: throttled_once(throttled),
    }
    taken: dict[str, float] = {}
    for name, run in runs.items():
        gc.collect()
        began = time.perf_counter()
        await run()
        taken[name] = 1e6 * (time.perf_counter() - began) / ONCE
    return taken


async def hostup_once(limiter: RateLimiter) -> None:
    for _ in range(ONCE):
        (await limiter.acquire()).spend()


async def aiolimiter_once(limiter: AsyncLimiter) -> None:
    for _ in range(ONCE):
        await limiter.acquire()


async def pyrate_once(limiter: Limiter) -> None:
    for _ in range(ONCE):
        limiter.try_acquire("k")


async def throttled_once(throttled: Throttled) -> None:
    for _ in range(ONCE):
        await throttled.limit()


async def contended(make: Make, limit: tuple[int, float], count: int) -> dict[str, float]:
    """Seconds, CPU microseconds each, how many were served out of order, the longest stall."""
    loop, order = asyncio.get_running_loop(), list[int]()
    take, stalls = make(*limit), [0.0]

    async def one(number: int) -> None:
        await take()
        order.append(number)

    async def watch() -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0.01)
            now = time.perf_counter()
            stalls.append(now - last - (0.0 if isinstance(loop, VirtualLoop) else 0.01))
            last = now

    tasks = [asyncio.create_task(one(number)) for number in range(count)]
    gc.collect()
    cpu, began = time.process_time(), loop.time()
    await asyncio.sleep(0)
    watcher = asyncio.create_task(watch())
    await asyncio.gather(*tasks)
    watcher.cancel()
    best, late = -1, 0
    for number in order:
        best, late = max(best, number), late + (number < best)
    return {
        "seconds": loop.time() - began,
        "cpu": 1e6 * (time.process_time() - cpu) / count,
        "out of order": late,
        "stall": 1e3 * max(stalls),
    }


def theirs(requests: int, window: float) -> Take:
    return AsyncLimiter(requests, window).acquire


def run_contended(
    make: Make, limit: tuple[int, float], count: int, *, virtual: bool = False
) -> dict[str, float]:
    factory = VirtualLoop if virtual else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        figures = runner.run(contended(make, limit, count))
    requests, window = limit
    return {
        **figures,
        "time to ideal": figures["seconds"] / ((count - requests) * window / requests),
    }


def measure(rounds: int) -> dict[str, dict[str, float]]:
    once = [asyncio.run(uncontended()) for _ in range(rounds)]
    figures = {
        "uncontended, us": {name: statistics.median(o[name] for o in once) for name in once[0]},
        "10,000 at 50 in 50 ms, hostup, virtual": run_contended(ours, SHORT, WAITERS, virtual=True),
    }
    for name, make in MAKERS.items():
        figures[f"10,000 at 1000 in 1 s, {name}"] = run_contended(make, SECOND, WAITERS)
    for name, make in MAKERS.items():
        figures[f"growth, us CPU each, {name}"] = {
            str(size): run_contended(make, (size // 10, 0.1), size)["cpu"] for size in SIZES
        }
    return figures


MAKERS: dict[str, Make] = {"hostup": ours, "aiolimiter": theirs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = measure(options.rounds)
    once = figures["uncontended, us"]
    a, b = (figures[f"10,000 at 1000 in 1 s, {name}"] for name in MAKERS)
    figures["ratios"] = {
        "uncontended (bound 1.0)": once["hostup"] / once["aiolimiter"],
        "time to ideal (bound 1.02)": a["time to ideal"],
        "CPU of 10,000 (bound 0.6)": a["cpu"] / b["cpu"],
    }
    if options.json:
        print(json.dumps(figures))
        return
    for title, values in figures.items():
        print(title)
        for name, value in values.items():
            print(f"    {name:30}{value:12.3f}")


if __name__ == "__main__":
    main()
