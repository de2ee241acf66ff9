"""How well a fleet spends a rate limit, on the sandbox and in real time.

300 resets, jobs of 2 s at the median, a fixed window of 100 requests in 5 s: the floor is 600
requests, which take 30 s at an even rate. One run learns the limit, and what that costs counts; the
other is told it. The table of durations is cold. Both take about 35 s, and go on side by side.

    python benchmarks/bench_fleet_limit.py [--rounds 1] [--kind fixed|clock|sliding|bucket]
"""

import argparse
import asyncio
import json
import statistics

from hostup_async import Budget, Client, RateLimit
from hostup_async.sandbox import Durations, Limit, SandboxConfig, SandboxProcess
from hostup_async.sandbox._limiters import LimitKind

RESETS, REQUESTS, WINDOW = 300, 100, 5.0
BOUNDS = {"ratio": 1.15, "requests": 2.2}
Figures = dict[str, float]


async def fleet(kind: LimitKind, *, known: bool, seed: int) -> Figures:
    jobs = Durations(kind="lognormal", median=2.0)
    limit = Limit(requests=REQUESTS, seconds=WINDOW, kind=kind)
    config = SandboxConfig(vps=RESETS, jobs=jobs, limit=limit, seed=seed)
    budget = Budget(RateLimit(REQUESTS, WINDOW) if known else None)
    async with (
        SandboxProcess(config) as sandbox,
        Client(sandbox.api_key, base_url=sandbox.url, budget=budget) as client,
    ):
        report = await client.fleet.reset(config.vps_ids)
        books = await sandbox.books()
    assert report.succeeded, report.counts
    return {
        "ratio": report.seconds / (2 * RESETS / REQUESTS * WINDOW),
        "requests": sum(books.statuses.values()) / RESETS,
        "limited": float(report.limited),
    }


async def measure(rounds: int, kind: LimitKind) -> dict[str, Figures]:
    taken: dict[str, list[Figures]] = {"learnt": [], "known": []}
    for seed in range(rounds):
        runs = (fleet(kind, known=name == "known", seed=seed) for name in taken)
        for name, figures in zip(taken, await asyncio.gather(*runs), strict=True):
            taken[name].append(figures)
    return {
        name: {key: statistics.median(one[key] for one in runs) for key in runs[0]}
        for name, runs in taken.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--kind", default="fixed", choices=("fixed", "clock", "sliding", "bucket"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = asyncio.run(measure(options.rounds, options.kind))
    if options.json:
        print(json.dumps(figures))
        return
    for name, run in figures.items():
        print(f"limit {name:7} {run['ratio']:6.3f} x the floor {run['requests']:6.3f}", end="")
        print(f" requests a reset {run['limited']:4.0f} of them refused")
    print(f"bounds        {BOUNDS['ratio']:6} x the floor {BOUNDS['requests']:6} requests a reset")


if __name__ == "__main__":
    main()
