"""A pool of forked workers, each with a client of its own, beside an open client.

Server: plain
Lines:
    [3, 3, 3, 3]
    parent: 3
    0
"""

import multiprocessing

from hazard_tools import loop_threads, say

from hostup_sync import Client


def work(_: int) -> int:
    with Client() as mine:
        return len(list(mine.vps.list()))


with Client() as client:
    client.vps.get(next(iter(client.vps.list())).id)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        say(str(pool.map(work, range(4))))
    say(f"parent: {len(list(client.vps.list()))}")
say(str(loop_threads()))
