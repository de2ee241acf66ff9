"""A program that resets a whole account until it is told to stop, as a user would write it."""

import asyncio
import signal
import sys

from hostup_async import Client, FleetPolicy


async def main(url: str, key: str, file: str) -> None:
    async with Client(key, base_url=url) as client:
        plan = await client.fleet.plan(all=True)
        async with client.fleet.run(plan, FleetPolicy(max_in_flight=10), store=file) as run:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, run.stop, "SIGTERM")
            report = await run.wait()
    assert report.stopped == "SIGTERM", report


asyncio.run(main(*sys.argv[1:]))
