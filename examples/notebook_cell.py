"""A notebook's cell: blocking calls work there, although the notebook runs an event loop.

In Jupyter paste what is between the two lines. Here the loop is made by hand, as Jupyter does it.
"""

import asyncio


async def cell() -> None:
    """Run as Jupyter runs a cell: inside its running loop."""
    # ------------------------------------------------------------------
    from hostup_sync import Client  # noqa: PLC0415 - a cell imports what it needs

    with Client() as client:
        for vps in client.vps.list():
            status = client.vps.status(vps.id)
            print(vps.id, status.power_state, status.uptime_seconds)
    # ------------------------------------------------------------------


asyncio.run(cell())
