"""What it costs to record one entry, against plain sqlite3, all in one run.

The floor is sqlite3 by hand: one `executemany` and one commit, which forces the disk, for each
32 entries. Ours is `save` by 64 tasks at once, whose calls gather into groups, and by one alone.
The last line is a fleet of 1,000, three saves a VPS, 64 at once: below 400 us CPU a VPS.

    python benchmarks/bench_store.py [--vps 1000] [--rounds 5] [--folder /tmp]
"""

import argparse
import asyncio
import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from attrs import evolve

from hostup_async import Action, Entry, EntryState, RunRecord, open_store

AT_ONCE, GROUP = 64, 32
BOUND = 400.0
STEPS = (EntryState.INTENT, EntryState.ACCEPTED, EntryState.COMPLETED)
Cost = tuple[float, float]


def after(entry: Entry, state: EntryState) -> Entry:
    poll_url = f"/api/v2/vps/{entry.vps_id}/jobs/{entry.position}"
    return evolve(entry, state=state, attempts=1, sent_at=1.8e9, poll_url=poll_url)


def by_hand(file: Path, vps: int) -> Cost:
    """The floor: the same columns, written without any of our guarantees but the disk's."""
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE e (id INTEGER PRIMARY KEY, state, attempts, sent_at, url)")
    rows = [(number, "planned", 0, None, None) for number in range(vps)]
    connection.executemany("INSERT INTO e VALUES (?, ?, ?, ?, ?)", rows)
    connection.commit()
    change = "UPDATE e SET state = ?, attempts = ?, sent_at = ?, url = ? WHERE id = ?"
    began = time.perf_counter(), time.process_time()
    for state in STEPS:
        for start in range(0, vps, GROUP):
            group = range(start, min(start + GROUP, vps))
            values = [(state, 1, 1.8e9, f"/api/v2/vps/x/jobs/{number}", number) for number in group]
            connection.executemany(change, values)
            connection.commit()
    cost = time.perf_counter() - began[0], time.process_time() - began[1]
    connection.close()
    return cost


async def ours(file: Path, vps: int, at_once: int) -> Cost:
    async with open_store(file) as store:
        run = RunRecord(id="r1", action=Action.RESET, origin="https://bench.example")
        entries = [Entry(f"vps_{number:026}", number) for number in range(vps)]
        await store.create(run, entries, cooldown=0)

        async def worker(queue: Iterator[Entry]) -> None:
            for entry in queue:
                for state in STEPS:
                    await store.save("r1", [after(entry, state)])

        queue = iter(entries)
        began = time.perf_counter(), time.process_time()
        await asyncio.gather(*(worker(queue) for _ in range(at_once)))
        return time.perf_counter() - began[0], time.process_time() - began[1]


async def creating(file: Path, vps: int) -> Cost:
    async with open_store(file) as store:
        run = RunRecord(id="r1", action=Action.RESET, origin="https://bench.example")
        entries = [Entry(f"vps_{number:026}", number) for number in range(vps)]
        began = time.perf_counter(), time.process_time()
        await store.create(run, entries, cooldown=600)
        return time.perf_counter() - began[0], time.process_time() - began[1]


async def measure(vps: int, rounds: int, folder: str | None) -> dict[str, dict[str, float]]:
    async def in_thread(file: Path) -> Cost:
        return by_hand(file, vps)

    ways: dict[str, tuple[int, Callable[[Path], Awaitable[Cost]]]] = {
        "sqlite3, groups of 32": (3 * vps, in_thread),
        "save, 64 at once": (3 * vps, lambda file: ours(file, vps, AT_ONCE)),
        "save, one by one": (3 * vps // 10, lambda file: ours(file, vps // 10, 1)),
        "create": (20 * vps, lambda file: creating(file, 20 * vps)),
    }
    taken: dict[str, list[Cost]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (count, way) in ways.items():
            with tempfile.TemporaryDirectory(dir=folder) as place:
                wall, cpu = await way(Path(place) / "fleet.db")
            taken[name].append((1e6 * wall / count, 1e6 * cpu / count))
    return {
        name: {
            "wall": statistics.median(wall for wall, _ in costs),
            "cpu": statistics.median(cpu for _, cpu in costs),
        }
        for name, costs in taken.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vps", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", help="where the files are made: the disk matters")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = asyncio.run(measure(options.vps, options.rounds, options.folder))
    if options.json:
        print(json.dumps(figures))
        return
    for name, cost in figures.items():
        print(f"{name:22} {cost['wall']:7.1f} us wall {cost['cpu']:7.1f} us CPU an entry")
    floor, grouped = figures["sqlite3, groups of 32"], figures["save, 64 at once"]
    print(f"ratio to the floor     {grouped['wall'] / floor['wall']:7.2f} wall    ", end="")
    print(f"{grouped['cpu'] / floor['cpu']:7.2f} CPU")
    print(f"a VPS, three saves     {3 * grouped['cpu']:7.1f} us CPU   (bound {BOUND:.0f})")


if __name__ == "__main__":
    main()
