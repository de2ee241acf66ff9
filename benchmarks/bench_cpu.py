"""CPU per reset, ours against a hand-written aiohttp loop, both in one run.

One POST and one look each, instant jobs, 64 at once, no rate limit, the sandbox in a process of
its own. The two take turns, and the ratio of their medians is what counts: at most 1.25.

    python benchmarks/bench_cpu.py [--resets 4000] [--rounds 5]
"""

import argparse
import asyncio
import gc
import json
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator

import aiohttp

from hostup_async import Budget, Client
from hostup_async.sandbox import Durations, SandboxConfig, SandboxProcess

AT_ONCE = 64
GOAL, BOUND = 1.0, 1.25
Reset = Callable[[str], Awaitable[None]]


async def by_hand(sandbox: SandboxProcess, ids: list[str]) -> float:
    headers = {"Authorization": f"Bearer {sandbox.api_key}", "Accept": "application/json"}
    async with aiohttp.ClientSession(headers=headers) as session:

        async def reset(vps_id: str) -> None:
            url = f"{sandbox.url}/api/v2/vps/{vps_id}/actions/reset"
            async with session.post(url) as response:
                response.raise_for_status()
                operation = (await response.json())["operation"]
            async with session.get(sandbox.url + operation["pollUrl"]) as response:
                response.raise_for_status()
                assert (await response.json())["operation"]["status"] == "completed"

        return await cpu_of(reset, ids)


async def ours(sandbox: SandboxProcess, ids: list[str]) -> float:
    async with Client(sandbox.api_key, base_url=sandbox.url, budget=Budget()) as client:

        async def reset(vps_id: str) -> None:
            operation = await client.vps.reset(vps_id)
            assert (await operation.poll()).succeeded

        return await cpu_of(reset, ids)


async def cpu_of(reset: Reset, ids: list[str]) -> float:
    """CPU seconds of this process for all resets, 64 at once."""
    queue = iter(ids)

    async def worker(queue: Iterator[str]) -> None:
        for vps_id in queue:
            await reset(vps_id)

    gc.collect()
    began = time.process_time()
    await asyncio.gather(*(worker(queue) for _ in range(AT_ONCE)))
    return time.process_time() - began


async def measure(resets: int, rounds: int) -> dict[str, float]:
    jobs = Durations(kind="constant", median=0)
    config = SandboxConfig(vps=resets, jobs=jobs, poll_shape="operation")
    times: dict[str, list[float]] = {"hand": [], "ours": []}
    async with SandboxProcess(config) as sandbox:
        ids = list(sandbox.vps_ids)
        await by_hand(sandbox, ids[:200])
        await ours(sandbox, ids[:200])
        for _ in range(rounds):
            times["hand"].append(await by_hand(sandbox, ids))
            times["ours"].append(await ours(sandbox, ids))
    per_reset = {name: 1e6 * statistics.median(taken) / resets for name, taken in times.items()}
    return {**per_reset, "ratio": per_reset["ours"] / per_reset["hand"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resets", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = asyncio.run(measure(options.resets, options.rounds))
    if options.json:
        print(json.dumps(figures))
        return
    print(f"hand-written {figures['hand']:7.1f} us CPU a reset")
    print(f"hostup       {figures['ours']:7.1f} us CPU a reset")
    print(f"ratio        {figures['ratio']:7.3f}   (bound {BOUND}, goal {GOAL})")


if __name__ == "__main__":
    main()
