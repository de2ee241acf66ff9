"""CPU per reset of a whole fleet, ours against a hand-written aiohttp loop, all in one run.

One POST and one poll each, instant jobs, no rate limit, the sandbox in a process of its own. The
hand-written loop has 64 workers and keeps no books at all; a fleet decides on each request, judges
each outcome, and writes it down: in memory, or in an SQLite file that each intent must have
reached. They take turns, and the ratios of the medians are what counts.

    python benchmarks/bench_fleet.py [--resets 4000] [--rounds 5] [--folder /tmp]
"""

import argparse
import asyncio
import gc
import json
import statistics
import tempfile
import time
from pathlib import Path

from bench_cpu import safe

from hostup_async import Budget, Client, FleetPolicy
from hostup_async.sandbox import Durations, SandboxConfig, SandboxProcess

BOUNDS = {"memory": 1.4, "SQLite": 2.0}


async def fleet(sandbox: SandboxProcess, ids: list[str], store: Path | None) -> float:
    """CPU seconds of this process for a fleet, from its plan to its report."""
    async with Client(sandbox.api_key, base_url=sandbox.url, budget=Budget()) as client:
        plan = await client.fleet.plan(ids=ids, preflight="none")
        gc.collect()
        began = time.process_time()
        async with client.fleet.run(plan, FleetPolicy(cooldown=0), store=store) as run:
            report = await run.wait()
        taken = time.process_time() - began
    assert report.succeeded, report.counts
    return taken


async def one_round(sandbox: SandboxProcess, ids: list[str], folder: str | None) -> list[float]:
    with tempfile.TemporaryDirectory(dir=folder) as place:
        return [
            await safe(sandbox, ids),
            await fleet(sandbox, ids, None),
            await fleet(sandbox, ids, Path(place) / "fleet.db"),
        ]


async def measure(resets: int, rounds: int, folder: str | None) -> dict[str, float]:
    jobs = Durations(kind="constant", median=0)
    config = SandboxConfig(vps=resets, jobs=jobs, poll_shape="operation")
    async with SandboxProcess(config) as sandbox:
        ids = list(sandbox.vps_ids)
        await one_round(sandbox, ids[:200], folder)
        taken = [await one_round(sandbox, ids, folder) for _ in range(rounds)]
    medians = map(statistics.median, zip(*taken, strict=True))
    return {
        name: 1e6 * median / resets for name, median in zip(("hand", *BOUNDS), medians, strict=True)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resets", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", help="where the files are made: the disk matters")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = asyncio.run(measure(options.resets, options.rounds, options.folder))
    if options.json:
        print(json.dumps(figures))
        return
    print(f"hand-written loop {figures['hand']:7.1f} us CPU a reset")
    for name, bound in BOUNDS.items():
        ratio = figures[name] / figures["hand"]
        print(f"fleet, {name:10} {figures[name]:7.1f} us CPU a reset   ratio {ratio:.3f}", end="")
        print(f"   (bound {bound})")
    print(f"journaling        {figures['SQLite'] - figures['memory']:7.1f} us CPU a reset")


if __name__ == "__main__":
    main()
