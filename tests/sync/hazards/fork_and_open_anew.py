"""A forked child opens a client of its own, while its parent's works are under way.

Server: plain
Lines:
    child: 3, 1 loop
    0
    3 of 3
    0
"""

import threading

from hazard_tools import child, loop_threads, say

from hostup_sync import Client


def open_anew() -> None:
    with Client() as mine:
        count = len(list(mine.vps.list()))
        say(f"child: {count}, {loop_threads()} loop")


with Client() as client:
    counts: list[int] = []
    busy = [
        threading.Thread(target=lambda: counts.append(len(list(client.vps.list()))))
        for _ in range(3)
    ]
    for thread in busy:
        thread.start()
    code = child(open_anew, hard=True)
    for thread in busy:
        thread.join()
    say(str(code))
    say(f"{counts.count(3)} of 3")
say(str(loop_threads()))
