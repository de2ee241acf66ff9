"""A package of every shape that the generator knows, and of things that go wrong.

Example:
    >>> from made_up_async import Client
    >>> async def main():
    ...     async with Client() as client:
    ...         print(await client.echo("a"))
"""

from made_up_async._client import Client, open_client
from made_up_async._fleet import FleetResource, FleetRun
from made_up_async._models import Plan, Words

__all__ = ["Client", "FleetResource", "FleetRun", "Plan", "Words", "open_client"]
