"""300 resets on the sandbox with a limit of 100 in 5 s: how many 429s, and how long to the floor.

Against a fixed window, a sliding window and a token bucket, over real sockets; each POST is
followed by one poll when its job has ended, so that 600 requests make a floor of 25 s. About
half a minute each.

    python benchmarks/bench_limits.py [--kinds fixed sliding bucket] [--json]
"""

import argparse
import asyncio
import json
import time
from typing import Any, get_args

from hostup_async import Budget, Client
from hostup_async.sandbox import Durations, Limit, SandboxConfig, SandboxProcess
from hostup_async.sandbox._limiters import LimitKind

VPS, REQUESTS, WINDOW = 300, 100, 5.0
FLOOR = (2 * VPS - REQUESTS) * WINDOW / REQUESTS
MOST_LIMITED, BOUND = 40, 1.15
LONGEST_JOB = 2.0


async def run(kind: LimitKind) -> dict[str, float]:
    config = SandboxConfig(
        vps=VPS,
        limit=Limit(requests=REQUESTS, seconds=WINDOW, kind=kind),
        jobs=Durations(kind="constant", median=LONGEST_JOB),
    )
    async with SandboxProcess(config) as sandbox:
        client = Client(sandbox.api_key, base_url=sandbox.url, budget=Budget())
        async with client, asyncio.timeout(120):

            async def reset(vps_id: str) -> None:
                operation = await client.vps.reset(vps_id)
                await asyncio.sleep(1.05 * LONGEST_JOB)
                assert (await operation.poll()).succeeded

            began = time.monotonic()
            await asyncio.gather(*map(reset, sandbox.vps_ids))
            taken = time.monotonic() - began
            limited = client.budget.snapshot().limited
    return {"limited": limited, "seconds": taken, "to the floor": taken / FLOOR}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", nargs="+", choices=get_args(LimitKind), default=DEFAULT)
    parser.add_argument("--json", action="store_true")
    options: Any = parser.parse_args()
    figures = {kind: asyncio.run(run(kind)) for kind in options.kinds}
    if options.json:
        print(json.dumps(figures))
        return
    for kind, found in figures.items():
        print(
            f"{kind:10}{found['limited']:4.0f} limited (bound {MOST_LIMITED}), "
            f"{found['seconds']:6.2f} s, {found['to the floor']:.3f} of the floor (bound {BOUND})"
        )


DEFAULT = ["fixed", "sliding", "bucket"]

if __name__ == "__main__":
    main()
