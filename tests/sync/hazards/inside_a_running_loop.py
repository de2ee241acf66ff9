"""Inside a running loop a call works, and warns once for each line that calls.

Server: plain
Lines:
    3 3
    3 warnings for 3 lines
    none in IPython: True
"""

import asyncio
import sys
import warnings
from types import ModuleType

from hazard_tools import say

from hostup_sync import Client

LINES: list[int] = []


def show(message: object, category: type[Warning], file: str, line: int, *_: object) -> None:
    assert file == __file__
    assert "running event loop" in str(message)
    assert category is RuntimeWarning
    LINES.append(line)


async def main() -> None:
    with Client() as client:
        for _ in range(3):
            ids = [vps.id for vps in client.vps.list()]
        found = [client.vps.get(vps_id) for vps_id in ids]
        say(f"{len(ids)} {len(found)}")


warnings.showwarning = show  # type: ignore[assignment]
asyncio.run(main())
say(f"{len(LINES)} warnings for {len(set(LINES))} lines")

LINES.clear()
shell = ModuleType("IPython")
shell.get_ipython = lambda: shell  # type: ignore[attr-defined]
sys.modules["IPython"] = shell


async def cell() -> None:
    Client().close()


asyncio.run(cell())
say(f"none in IPython: {not LINES}")
