"""CPU per reset, ours against a hand-written aiohttp loop, in one run.

One POST and one poll each, instant jobs, 64 at once, no rate limit, the sandbox in a process of
its own. The loops take turns. We send each POST on a connection of its own, so that a response
which is repeated on a kept-alive connection is not taken for the next one's: what counts is the
ratio of our median to that of a hand-written loop that does so too, at most 1.25. A loop that
pools all connections shows what that safety costs.

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


async def pooled(sandbox: SandboxProcess, ids: list[str]) -> float:
    return await by_hand(sandbox, ids, force_close=False)


async def safe(sandbox: SandboxProcess, ids: list[str]) -> float:
    return await by_hand(sandbox, ids, force_close=True)


async def by_hand(sandbox: SandboxProcess, ids: list[str], *, force_close: bool) -> float:
    headers = {"Authorization": f"Bearer {sandbox.api_key}", "Accept": "application/json"}
    connector = aiohttp.TCPConnector(force_close=force_close)
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        aiohttp.ClientSession(headers=headers, connector=connector) as posts,
    ):

        async def reset(vps_id: str) -> None:
            url = f"{sandbox.url}/api/v2/vps/{vps_id}/actions/reset"
            async with posts.post(url) as response:
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
    loops = {"pooled": pooled, "safe": safe, "ours": ours}
    times: dict[str, list[float]] = {name: [] for name in loops}
    async with SandboxProcess(config) as sandbox:
        ids = list(sandbox.vps_ids)
        for loop in loops.values():
            await loop(sandbox, ids[:200])
        for _ in range(rounds):
            for name, loop in loops.items():
                times[name].append(await loop(sandbox, ids))
    per_reset = {name: 1e6 * statistics.median(taken) / resets for name, taken in times.items()}
    return {
        **per_reset,
        "ratio": per_reset["ours"] / per_reset["safe"],
        "price": per_reset["safe"] / per_reset["pooled"],
    }


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
    print(f"hand-written, all pooled             {figures['pooled']:7.1f} us CPU a reset")
    print(f"hand-written, a connection each POST {figures['safe']:7.1f} us CPU a reset")
    print(f"hostup                               {figures['ours']:7.1f} us CPU a reset")
    print(f"a connection for each POST costs     {figures['price']:7.3f}")
    print(f"hostup to the second                 {figures['ratio']:7.3f}   ", end="")
    print(f"(bound {BOUND}, goal {GOAL})")


if __name__ == "__main__":
    main()
