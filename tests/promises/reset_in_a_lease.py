"""Resets a fleet as another machine, under a short lease; stopped and continued from outside.

Prints the run's stop cause at its end.
"""

import asyncio
import json
import sys

from fleet_tools import durations_of, quick
from store_tools import elsewhere

from hostup_async import Budget, Client, RateLimit, Timeouts
from hostup_async._store.sql import SqliteFile, SqlStore


async def main(url: str, key: str, file: str, ids: list[str], lease: float) -> None:
    store = SqlStore(SqliteFile(file), lease=lease, owner=elsewhere())
    client = Client(
        key,
        base_url=url,
        timeouts=Timeouts(read=2, call=60),
        budget=Budget(read_limit=RateLimit.UNLIMITED),
    )
    async with client, store:
        await store.learn([durations_of(url, key)])
        plan = await client.fleet.plan(ids=ids, preflight="none")
        async with client.fleet.run(plan, quick(max_in_flight=20), store=store) as run:
            report = await run.wait()
    sys.stdout.write(json.dumps({"cause": report.stop_cause, "why": report.stopped}))


if __name__ == "__main__":
    asyncio.run(main(**json.loads(sys.argv[1])))
