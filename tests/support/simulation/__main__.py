"""Plays histories: `python -m simulation --seed 7`, `--seeds 0:1000` or `--vps 1000000`.

One seed is one history. A failing one is shrunk, and shown with its trace; many are spread over
the processors, and their faults and branches counted: with `--all-fire`, one that never came is a
failure too, because it proves nothing.
"""

import argparse
import logging
import os
import resource
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from typing import Final

from simulation.history import Result, play
from simulation.limits import LIMIT_KINDS
from simulation.scale import play_large
from simulation.setup import FAULTS
from simulation.shrink import shrink

# What has to come up in a night, beside every fault.
BRANCHES: Final = (
    "429 to reset", "429 to poll", "429 to status", "cancelled_caller", "job_failure", "killed",
    "lease taken over", "outcome: ambiguous", "outcome: completed", "outcome: failed",
    "outcome: not_followed", "outcome: not_sent", "outcome: refused", "outcome: skipped",
    "outcome: timed_out", "hollow_job", "own_reboot", "untrue_job", "run: RunHeld", "slow_disk",
    "stopped: None",
    "stopped: canary", "stopped: deadline", "stopped: key_refused", "stopped: max_ambiguous",
    "stopped: max_failures", "stopped: stopped", "suspended beyond the lease",
)  # fmt: skip


def command(seed: int) -> str:
    """The command that replays a history."""
    return f"nox -s simulate -- --seed {seed}"


def describe(result: Result) -> str:
    """A history that failed, for people."""
    broken = result.broken[0] if result.broken else "all invariants hold"
    lines = [f"seed {result.seed}: {broken}", f"  {result.setup}", f"  {command(result.seed)}"]
    return "\n".join(lines)


def never_fired(counts: Counter[str]) -> list[str]:
    """The faults, kinds of limits and branches that proved nothing."""
    limited = (f"limited by {kind}" for kind in LIMIT_KINDS)
    return sorted(name for name in (*FAULTS, *BRANCHES, *limited) if not counts[name])


def show(seed: int, *, trace: bool) -> int:
    """Play one history, and shrink it if it fails."""
    result = play(seed)
    print(describe(result))
    if result.broken:
        result, without = shrink(result)
        print(f"shrunk to {len(result.fired)} deviations: {', '.join(result.fired) or 'none'}")
        print(f"left out: {len(without)}; {result.broken[0]}")
    if trace or result.broken:
        print("\n".join(result.trace[-60:] if not trace else result.trace))
    print(f"trace {result.hash}, {result.steps} steps, {result.seconds:.1f} virtual seconds")
    return 1 if result.broken else 0


def play_many(seeds: range, jobs: int, *, all_fire: bool) -> int:
    """Play many histories; the number of those that failed, and of what never fired."""
    counts, failed = Counter[str](), 0
    with ProcessPoolExecutor(jobs) as pool:
        for result in pool.map(_play_quietly, seeds, chunksize=10):
            counts += result.counts
            if result.broken:
                failed += 1
                print(describe(result), flush=True)
    print(f"{len(seeds)} histories, {failed} failed")
    print(", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
    missing = never_fired(counts) if all_fire else []
    if missing:
        print(f"never fired, so nothing is proved of: {', '.join(missing)}")
    return failed + len(missing)


def show_large(vps: int) -> int:
    """Play one history of very many VPSes, and show what it took."""
    logging.disable(logging.CRITICAL)
    result = play_large(vps)
    print(describe(result) if result.broken else f"{vps} VPSes: all invariants hold")
    sent = ", ".join(f"{count} {kind}" for kind, count in sorted(result.requests.items()))
    branches = ", ".join(f"{name} {count}" for name, count in sorted(result.counts.items()))
    print(f"{sent}; {result.steps} steps, {result.seconds:.0f} virtual seconds\n{branches}")
    usage = resource.getrusage(resource.RUSAGE_SELF)
    seconds = usage.ru_utime + usage.ru_stime
    print(f"{seconds:.0f} s of CPU time, {usage.ru_maxrss / 1024:.0f} MB at most")
    return 1 if result.broken else 0


def show_hashes(seeds: range) -> int:
    """The hash of each history's trace, one a line: another process has to find the same."""
    for seed in seeds:
        print(seed, _play_quietly(seed).hash)
    return 0


def find(seeds: range, invariants: list[str]) -> int:
    """Play histories until one of these invariants breaks; 0 if one does, which is shown."""
    for seed in seeds:
        result = _play_quietly(seed)
        names = [one.invariant for one in result.broken[:1]]
        if names and names[0] in invariants:
            print(describe(result))
            return 0
        if names:
            print(f"seed {seed}: another one, {result.broken[0]}")
    return 1


def _play_quietly(seed: int) -> Result:
    logging.disable(logging.CRITICAL)
    return play(seed)


def main() -> int:
    parser = argparse.ArgumentParser(prog="simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="play this one history")
    parser.add_argument("--seeds", default="0:300", help="play these, as FROM:TO:STEP")
    parser.add_argument("--vps", type=int, help="play one history of this many VPSes instead")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--trace", action="store_true", help="show the whole trace")
    parser.add_argument("--all-fire", action="store_true", help="fail if a fault never came")
    parser.add_argument("--hashes", action="store_true", help="show the hash of each trace")
    parser.add_argument("--find", nargs="*", help="stop as soon as one of these breaks")
    options = parser.parse_args()
    if options.seed is not None:
        return show(options.seed, trace=options.trace)
    if options.vps is not None:
        return show_large(options.vps)
    seeds = range(*map(int, options.seeds.split(":")))
    if options.hashes:
        return show_hashes(seeds)
    if options.find:
        return find(seeds, options.find)
    return min(1, play_many(seeds, options.jobs, all_fire=options.all_fire))


if __name__ == "__main__":
    sys.exit(main())
