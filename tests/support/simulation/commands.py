"""Plays histories at the command line: one with its trace, or many, and says what broke.

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
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any, Protocol

from attrs import frozen

from simulation.checks import Broken
from simulation.shrink import shrink


class Result(Protocol):
    """What a history came to."""

    @property
    def seed(self) -> int: ...
    @property
    def setup(self) -> Any: ...
    @property
    def trace(self) -> tuple[str, ...]: ...
    @property
    def broken(self) -> tuple[Broken, ...]: ...
    @property
    def counts(self) -> Counter[str]: ...
    @property
    def fired(self) -> tuple[str, ...]: ...
    @property
    def steps(self) -> int: ...
    @property
    def seconds(self) -> float: ...
    @property
    def hash(self) -> str: ...


class LargeResult(Result, Protocol):
    """What the history of a large fleet came to."""

    @property
    def requests(self) -> dict[str, int]: ...


@frozen
class Tier:
    """A way to play the history of a seed.

    Attributes:
        session: The nox session that does it.
        play: Plays a seed, without the deviations that are left out.
        must_fire: The faults and branches that have to come up in a night.
        play_large: Plays a fleet of this many VPSes, where that is offered.
    """

    session: str
    play: Callable[[int, frozenset[str]], Result]
    must_fire: tuple[str, ...]
    play_large: Callable[[int], LargeResult] | None = None

    def describe(self, result: Result) -> str:
        """A history for people, and the command that replays it."""
        broken = result.broken[0] if result.broken else "all invariants hold"
        again = f"nox -s {self.session} -- --seed {result.seed}"
        return "\n".join([f"seed {result.seed}: {broken}", f"  {result.setup}", f"  {again}"])

    def never_fired(self, counts: Counter[str]) -> list[str]:
        """The faults and branches that proved nothing."""
        return sorted(name for name in self.must_fire if not counts[name])


def show(tier: Tier, seed: int, *, trace: bool) -> int:
    """Play one history, and shrink it if it fails."""
    result = _play_quietly(tier, seed)
    print(tier.describe(result))
    if result.broken:
        result, without = shrink(result, tier.play)
        print(f"shrunk to {len(result.fired)} deviations: {', '.join(result.fired) or 'none'}")
        print(f"left out: {len(without)}; {result.broken[0]}")
    if trace or result.broken:
        print("\n".join(result.trace[-60:] if not trace else result.trace))
    print(f"trace {result.hash}, {result.steps} steps, {result.seconds:.1f} virtual seconds")
    return 1 if result.broken else 0


def play_many(tier: Tier, seeds: range, jobs: int, *, all_fire: bool) -> int:
    """Play many histories; the number of those that failed, and of what never fired."""
    counts, failed = Counter[str](), 0
    with ProcessPoolExecutor(jobs) as pool:
        for result in pool.map(partial(_play_quietly, tier), seeds, chunksize=10):
            counts += result.counts
            if result.broken:
                failed += 1
                print(tier.describe(result), flush=True)
    print(f"{len(seeds)} histories, {failed} failed")
    print(", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
    missing = tier.never_fired(counts) if all_fire else []
    if missing:
        print(f"never fired, so nothing is proved of: {', '.join(missing)}")
    return failed + len(missing)


def show_large(tier: Tier, vps: int) -> int:
    """Play one history of very many VPSes, and show what it took."""
    assert tier.play_large is not None, "only `python -m simulation` plays large fleets"
    logging.disable(logging.CRITICAL)
    result = tier.play_large(vps)
    print(tier.describe(result) if result.broken else f"{vps} VPSes: all invariants hold")
    sent = ", ".join(f"{count} {kind}" for kind, count in sorted(result.requests.items()))
    branches = ", ".join(f"{name} {count}" for name, count in sorted(result.counts.items()))
    print(f"{sent}; {result.steps} steps, {result.seconds:.0f} virtual seconds\n{branches}")
    usage = resource.getrusage(resource.RUSAGE_SELF)
    seconds = usage.ru_utime + usage.ru_stime
    print(f"{seconds:.0f} s of CPU time, {usage.ru_maxrss / 1024:.0f} MB at most")
    return 1 if result.broken else 0


def show_hashes(tier: Tier, seeds: range) -> int:
    """The hash of each history's trace, one a line: another process has to find the same."""
    for seed in seeds:
        print(seed, _play_quietly(tier, seed).hash)
    return 0


def find(tier: Tier, seeds: range, invariants: list[str]) -> int:
    """Play histories until one of these invariants breaks; 0 if one does, which is shown."""
    for seed in seeds:
        result = _play_quietly(tier, seed)
        names = {one.invariant for one in result.broken}
        if not names.isdisjoint(invariants):
            print(tier.describe(result))
            return 0
        if names:
            print(f"seed {seed}: another one, {result.broken[0]}", file=sys.stderr)
    return 1


def _play_quietly(tier: Tier, seed: int) -> Result:
    logging.disable(logging.CRITICAL)
    return tier.play(seed, frozenset())


def main(tier: Tier) -> int:
    """Do what the command line says; the exit code."""
    parser = argparse.ArgumentParser(prog=tier.session, description=__doc__)
    parser.add_argument("--seed", type=int, help="play this one history")
    parser.add_argument("--seeds", default="0:300", help="play these, as FROM:TO:STEP")
    parser.add_argument("--vps", type=int, help="play one history of this many VPSes instead")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--trace", action="store_true", help="show the whole trace")
    parser.add_argument("--hashes", action="store_true", help="show the hash of each trace")
    parser.add_argument("--all-fire", action="store_true", help="fail if a fault never came")
    parser.add_argument("--find", nargs="*", help="stop as soon as one of these breaks")
    options = parser.parse_args()
    if options.seed is not None:
        return show(tier, options.seed, trace=options.trace)
    if options.vps is not None:
        return show_large(tier, options.vps)
    seeds = range(*map(int, options.seeds.split(":")))
    if options.hashes:
        return show_hashes(tier, seeds)
    if options.find:
        return find(tier, seeds, options.find)
    return min(1, play_many(tier, seeds, options.jobs, all_fire=options.all_fire))
