"""The first store of a process does not hold up the loop while its library is imported."""

import subprocess
import sys
from pathlib import Path

from tools import child_environment

SCRIPT = """
import asyncio, sys, threading
from hostup_async import open_store

threads = set()

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"sqlalchemy", "aiosqlite"}:
            threads.add(threading.current_thread())

sys.meta_path.insert(0, Watch())

async def main():
    for _ in range(2):
        async with open_store(sys.argv[1]) as store:
            print(await store.runs(), len(threads), threading.main_thread() in threads)

asyncio.run(main())
"""


def test_the_library_is_imported_in_a_thread(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "fleet.db")],
        capture_output=True,
        text=True,
        check=True,
        env=child_environment(),
    )
    assert done.stdout == "[] 1 False\n" * 2
