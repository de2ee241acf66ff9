"""Resets a fleet in a process that is killed again and again, until one comes to the end.

Each process is a fork of this one, which has imported everything: a kill costs a few milliseconds.
"""

import asyncio
import json
import os
import random
import signal
import sys
import time
from typing import Any

from fleet_tools import durations_of

from hostup_async import Client, FleetPolicy, Timeouts
from hostup_async._fleet import pace
from hostup_async._store.sql import SqliteFile, SqlStore

# "Not done" after seconds instead of minutes: all jobs of this server are over by then.
pace.LEAST, pace.UNKNOWN_QUEUE = 4.0, 4.0


async def prepare(url: str, key: str, file: str) -> None:
    async with SqlStore(SqliteFile(file)) as store:
        await store.learn([durations_of(url, key)])


async def reset_or_resume(url: str, key: str, file: str, ids: list[str], policy: str) -> None:
    async with (
        Client(key, base_url=url, timeouts=Timeouts(read=2)) as client,
        SqlStore(SqliteFile(file)) as store,
    ):
        runs = await store.runs()
        if not runs:
            plan = await client.fleet.plan(ids=ids, preflight="none")
            run = client.fleet.run(plan, FleetPolicy.from_json(policy), store=store)
        elif runs[0].state.is_open:
            run = await client.fleet.resume(runs[0].id, store=store)
        else:
            return
        async with run:
            await run.wait()


def lives_to_the_end(told: dict[str, Any], seconds: float) -> bool:
    """Let one process work for so long, or to its end."""
    kill_at, pid = time.monotonic() + seconds, os.fork()
    if not pid:
        asyncio.run(reset_or_resume(**told))
        os._exit(0)
    while not (ended := os.waitpid(pid, os.WNOHANG))[0]:
        if time.monotonic() > kill_at:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return False
        time.sleep(0.002)
    assert ended[1] == 0, ended
    return True


def main(kills: int, seed: int, told: dict[str, Any]) -> None:
    rng = random.Random(seed)
    asyncio.run(prepare(told["url"], told["key"], told["file"]))
    killed = 0
    while killed < kills and not lives_to_the_end(told, rng.choice([0.05, 0.3]) * rng.random() * 2):
        killed += 1
    if killed == kills:
        assert lives_to_the_end(told, 120)
    sys.stdout.write(json.dumps(killed))


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
