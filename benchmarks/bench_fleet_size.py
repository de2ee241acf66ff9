"""How a fleet's cost grows with its size: CPU and memory per reset, the API's answers made up.

Every request is answered in this process at the next turn of the event loop, instant jobs and no
rate limit, so all that is measured is ours. Memory is the peak of what Python allocates during the
run and its report, beyond the ids and the plan; it is taken in a run of its own, since tracing
costs time. At most 500 are in flight at once, at some 4 KiB each, so that sizes can be compared.

    python benchmarks/bench_fleet_size.py [--most 10000] [--rounds 3] [--sqlite]
"""

import argparse
import asyncio
import gc
import json
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path

from hostup_async import Budget, Client, FleetPolicy
from hostup_async._http.exchange import Exchange, Response
from hostup_async._http.transport import Url

SIZES = (100, 1_000, 10_000, 100_000)
GROWTH_FROM, GROWTH_BOUND = 1_000, 1.15
MEMORY_FROM, MEMORY_BOUND = 1_000, 3.0
IN_FLIGHT = 500
ACCEPTED = '{"success": true, "operation": {"jobId": "%s", "status": "pending", "pollUrl": "%s"}}'
COMPLETED = '{"success": true, "operation": {"jobId": "%s", "status": "completed"}}'


async def answer(
    method: str, url: Url, exchange: Exchange, *, body: bytes | None = None
) -> Response:
    """What the API says: a reset is accepted, and a job has ended."""
    del body
    await asyncio.sleep(0)
    exchange.sends += 1
    exchange.sent_at = time.time()
    path = url.raw_path
    job = path.rsplit("/", 1)[-1] if method == "GET" else path.split("/")[4]
    if method == "GET":
        return Response(200, {}, (COMPLETED % job).encode())
    return Response(200, {}, (ACCEPTED % (job, f"/api/v2/jobs/{job}")).encode())


async def fleet(size: int, store: Path | None, meter: Callable[[], float]) -> float:
    """What the meter gains during a run of this many resets, for each of them."""
    ids = [f"vps_{number:026}" for number in range(size)]
    async with Client("key-of-no-one", base_url="http://127.0.0.1:9", budget=Budget()) as client:
        client._requester.transport.send = answer  # type: ignore[method-assign]
        plan = await client.fleet.plan(ids=ids, preflight="none")
        gc.collect()
        began = meter()
        async with client.fleet.run(
            plan, FleetPolicy(cooldown=0, max_in_flight=IN_FLIGHT), store=store
        ) as run:
            report = await run.wait()
        gained = meter() - began
        assert report.succeeded, report.counts
    return gained / size


def peak() -> float:
    """The most bytes since the last call, if the present ones are more than that."""
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    return float(most)


def run_one(size: int, meter: Callable[[], float], *, sqlite: bool) -> float:
    with tempfile.TemporaryDirectory() as place:
        return asyncio.run(fleet(size, Path(place) / "fleet.db" if sqlite else None, meter))


def memory(size: int, *, sqlite: bool) -> float:
    tracemalloc.start()
    try:
        return run_one(size, peak, sqlite=sqlite)
    finally:
        tracemalloc.stop()


def measure(most: int, rounds: int, *, sqlite: bool) -> dict[int, dict[str, float]]:
    sizes = list(takewhile(lambda size: size <= most, SIZES))
    run_one(1_000, time.process_time, sqlite=sqlite)
    taken: dict[int, list[float]] = {size: [] for size in sizes}
    for _ in range(rounds):
        for size in sizes:
            repeats = max(1, 1_000 // size)
            runs = [run_one(size, time.process_time, sqlite=sqlite) for _ in range(repeats)]
            taken[size].append(1e6 * statistics.fmean(runs))
    return {
        size: {"cpu": statistics.median(taken[size]), "memory": memory(size, sqlite=sqlite) / 1024}
        for size in sizes
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sqlite", action="store_true", help="with a store")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = measure(options.most, options.rounds, sqlite=options.sqlite)
    if options.json:
        print(json.dumps(figures))
        return
    for size, costs in figures.items():
        print(f"{size:7} resets {costs['cpu']:7.1f} us CPU {costs['memory']:6.2f} KiB each", end="")
        growth = costs["cpu"] / figures[GROWTH_FROM]["cpu"] if size >= GROWTH_FROM else 1.0
        print(f"   growth {growth:.2f}" if size > GROWTH_FROM else "")
    print(f"bounds: growth {GROWTH_BOUND} from {GROWTH_FROM} on, ", end="")
    print(f"{MEMORY_BOUND} KiB from {MEMORY_FROM} on")


if __name__ == "__main__":
    main()
