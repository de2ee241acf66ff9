"""Fleets behind limiters of every style, on virtual time: how near to the floor, what is refused.

The first table has the rows of `CASES`, each with its bounds: the time over the floor (two requests
for each VPS, all windows used up) or in seconds, and the share of refused requests.

With `--all` a second one follows, of all limits, jobs and sizes, cold and warm, for each style.

    python benchmarks/bench_limit_matrix.py [--only TEXT] [--seeds 3] [--all] [--json]
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))
from fleet_model import Figures, Fleet, floor_of, run

from hostup_async.sandbox import Limit
from hostup_async.sandbox._limiters import LimitKind


@frozen(kw_only=True)
class Case:
    """A fleet, and what it must reach."""

    fleet: Fleet
    ratio: float | None = None
    seconds: float | None = None
    requests: float | None = None
    refused: float = 0.03
    undetected: float | None = None


def fast(kind: LimitKind = "fixed", **more: Any) -> Limit:  # noqa: ANN401 - as `Limit` has them
    return Limit(requests=100, seconds=5, kind=kind, **more)


def minute(kind: LimitKind = "fixed", **more: Any) -> Limit:  # noqa: ANN401 - as `Limit` has them
    return Limit(requests=60, seconds=60, kind=kind, **more)


NONE: dict[str, Any] = {"headers": "never", "retry_after": False}
COMMAND_LINE = Fleet(limit=minute(), vps=90, job=10, canary=1)
CASES: dict[str, Case] = {
    "90 at 60/60, command line, cold": Case(fleet=COMMAND_LINE, seconds=215, requests=2.3),
    "90 at 60/60, command line, warm": Case(
        fleet=evolve(COMMAND_LINE, known=True), seconds=195, requests=2.1
    ),
    "60 at 60/60, headers on all": Case(
        fleet=Fleet(limit=minute(), vps=60, headers="always"), ratio=1.05
    ),
    "60 at 60/60, headers on 429": Case(fleet=Fleet(limit=minute(), vps=60), ratio=1.05),
    "290 at 100/5, headers on 429": Case(
        fleet=Fleet(limit=fast(), vps=290), ratio=1.10, undetected=3
    ),
    "300 at 100/5, headers on 429": Case(fleet=Fleet(limit=fast()), ratio=1.25),
    "no headers, 100/5 fixed": Case(fleet=Fleet(limit=fast(), **NONE), ratio=1.3),
    "no headers, 100/5 clock": Case(fleet=Fleet(limit=fast("clock"), phase=1.7, **NONE), ratio=1.3),
    "no headers, 100/5 sliding": Case(fleet=Fleet(limit=fast("sliding"), **NONE), ratio=1.3),
    "no headers, 20/s bucket, burst 20": Case(
        fleet=Fleet(limit=Limit(requests=20, seconds=1, kind="bucket"), **NONE), ratio=1.3
    ),
    "no headers, 20/s fixed": Case(
        fleet=Fleet(limit=Limit(requests=20, seconds=1), **NONE), ratio=1.3
    ),
    "no headers, 60/60 fixed": Case(fleet=Fleet(limit=minute(), vps=90, **NONE), ratio=1.3),
    "spacing 50 ms, no headers": Case(
        fleet=Fleet(limit=fast("bucket", burst=1), **NONE), ratio=1.2
    ),
    "spacing 50 ms, Retry-After 1": Case(
        fleet=Fleet(limit=fast("bucket", burst=1), headers="never", retry_after=1), ratio=1.2
    ),
    "at most 4 at once, no headers": Case(
        fleet=Fleet(limit=Limit(requests=4, seconds=1, kind="concurrent"), latency=0.2, **NONE),
        ratio=1.5,
    ),
    "Retry-After 0, 60/60": Case(
        fleet=Fleet(limit=minute(), vps=60, headers="never", retry_after=0), ratio=1.15
    ),
    "Retry-After 1 always, 100/5": Case(
        fleet=Fleet(limit=fast(), headers="never", retry_after=1), ratio=1.3
    ),
    "Retry-After true alone, 100/5": Case(fleet=Fleet(limit=fast(), headers="never"), ratio=1.15),
    "sliding counter, headers on 429": Case(fleet=Fleet(limit=fast("counter")), ratio=1.15),
    "sliding counter, no headers": Case(fleet=Fleet(limit=fast("counter"), **NONE), ratio=1.15),
    "HAProxy-like, no headers": Case(
        fleet=Fleet(limit=fast("counter", counts_refused=True), **NONE), ratio=1.15
    ),
    "two processes, fixed, headers on 429": Case(
        fleet=Fleet(limit=fast(), processes=2, vps=250), ratio=1.25
    ),
    "two processes, sliding": Case(
        fleet=Fleet(limit=fast("sliding"), processes=2, vps=250), ratio=1.25
    ),
    "40 to 200 per 5 s at 30 s": Case(
        fleet=Fleet(
            limit=Limit(requests=40, seconds=5),
            vps=600,
            changes=((30.0, Limit(requests=200, seconds=5)),),
        ),
        ratio=1.15,
    ),
    "40 to 200 at 30 s, no headers": Case(
        fleet=Fleet(
            limit=Limit(requests=40, seconds=5),
            vps=600,
            changes=((30.0, Limit(requests=200, seconds=5)),),
            **NONE,
        ),
        ratio=1.3,
    ),
    "epoch seconds on all, 100/5": Case(
        fleet=Fleet(limit=fast(), headers="always", reset="epoch"), ratio=1.05
    ),
    "epoch seconds on all, 100/5, phase": Case(
        fleet=Fleet(limit=fast("clock"), headers="always", reset="epoch", phase=2.3), ratio=1.25
    ),
    "epoch seconds on 429, 100/5": Case(fleet=Fleet(limit=fast(), reset="epoch"), ratio=1.25),
    "delta seconds on all, 100/5": Case(
        fleet=Fleet(limit=fast(), headers="always", reset="delta"), ratio=1.05
    ),
    "POSTs 30/10, polls 300/10": Case(
        fleet=Fleet(
            limit=Limit(requests=30, seconds=10), read_limit=Limit(requests=300, seconds=10)
        ),
        ratio=1.15,
    ),
    "POSTs 30/10, polls 300/10, on all": Case(
        fleet=Fleet(
            limit=Limit(requests=30, seconds=10),
            read_limit=Limit(requests=300, seconds=10),
            headers="always",
        ),
        ratio=1.15,
    ),
    "bucket 60/60, 40, reset is full": Case(
        fleet=Fleet(limit=minute(kind="bucket", resets_full=True), vps=40, headers="always"),
        ratio=1.15,
        refused=0.06,
    ),
    "bucket 60/60, burst 10, headers on 429": Case(
        fleet=Fleet(limit=minute(kind="bucket", burst=10), vps=60), ratio=1.1, refused=0.06
    ),
    "bucket 60/60, burst 10, none": Case(
        fleet=Fleet(limit=minute(kind="bucket", burst=10), vps=60, **NONE), ratio=1.1, refused=0.06
    ),
    "bucket 60/60, burst 60, on 429": Case(
        fleet=Fleet(limit=minute(kind="bucket"), vps=60), ratio=1.1, refused=0.06
    ),
    "counter 60/60, headers on 429": Case(
        fleet=Fleet(limit=minute(kind="counter"), vps=60), ratio=1.15, refused=0.06
    ),
    "neighbour at 30 %, 100/5": Case(fleet=Fleet(limit=fast(), others=6.0), ratio=2.0, refused=0.1),
    "Retry-After on successes, 60/60": Case(
        fleet=Fleet(limit=minute(), vps=60, headers="always", on_success=True), ratio=1.05
    ),
    "1000/3600, 600": Case(
        fleet=Fleet(limit=Limit(requests=1000, seconds=3600), vps=600, job=40), ratio=1.1
    ),
    "3,000 instant jobs, 64 in flight": Case(
        fleet=Fleet(limit=None, vps=3000, job=0.001, max_in_flight=64, latency=0.005), seconds=3.0
    ),
    "no limit, 1,000 jobs of 10 s": Case(fleet=Fleet(limit=None, vps=1000, job=10), requests=5.0),
}


LIMITS = ((20, 60), (60, 60), (100, 5), (600, 60), (1000, 3600))
JOBS = (2, 10, 40, 120)
SIZES = (10, 90, 600, 5000)
STYLES: dict[str, dict[str, Any]] = {
    "fixed": {"kind": "fixed"},
    "clock": {"kind": "clock"},
    "sliding": {"kind": "sliding"},
    "counter": {"kind": "counter"},
    "bucket": {"kind": "bucket"},
}


def matrix() -> dict[str, Case]:
    """Every limit with every kind of job and size of fleet, cold and warm, in every style."""
    return {
        f"{style} {requests}/{seconds}, {vps} of {job} s, {'warm' if known else 'cold'}": Case(
            fleet=Fleet(
                limit=Limit(requests=requests, seconds=seconds, **kind),
                vps=vps,
                job=job,
                known=known,
                longest=1e6,
            )
        )
        for style, kind in STYLES.items()
        for requests, seconds in LIMITS
        for job in JOBS
        for vps in SIZES
        for known in (False, True)
    }


def measure(case: Case, seeds: int) -> dict[str, float]:
    began = time.process_time()
    runs = [run(evolve(case.fleet, seed=seed)) for seed in range(seeds)]
    return {**average(case.fleet, runs), "cpu": (time.process_time() - began) / seeds}


def average(fleet: Fleet, runs: list[Figures]) -> dict[str, float]:
    floor = max(floor_of(fleet), 1e-9)
    mean = statistics.mean
    return {
        "seconds": mean(one.seconds for one in runs),
        "worst": max(one.seconds for one in runs) / floor,
        "ratio": mean(one.seconds for one in runs) / floor,
        "requests": mean(one.requests for one in runs),
        "refused": mean(one.refused_share for one in runs),
        "undetected": mean(mean(one.undetected or [0]) for one in runs),
    }


def misses(case: Case, found: dict[str, float]) -> list[str]:
    """The bounds that a case does not keep."""
    bounds = ("ratio", "seconds", "requests", "refused", "undetected")
    wanted = {name: getattr(case, name) for name in bounds}
    return [
        f"{name} {bound:g}"
        for name, bound in wanted.items()
        if bound is not None and found[name] > bound * 1.0001
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--all", action="store_true")
    options = parser.parse_args()
    cases = CASES | matrix() if options.all else CASES
    chosen = {name: case for name, case in cases.items() if options.only in name}
    if options.json:
        print(json.dumps({name: measure(case, options.seeds) for name, case in chosen.items()}))
        return
    print(
        f"{'':40}{'seconds':>9}{'ratio':>7}{'worst':>7}{'req':>6}{'refused':>9}{'undet':>7}{'cpu':>6}"
    )
    for name, case in chosen.items():
        one = measure(case, options.seeds)
        print(
            f"{name:40}{one['seconds']:9.1f}{one['ratio']:7.2f}{one['worst']:7.2f}"
            f"{one['requests']:6.2f}{100 * one['refused']:8.1f}%{one['undetected']:7.2f}"
            f"{one['cpu']:6.2f}  {', '.join(misses(case, one))}",
            flush=True,
        )


if __name__ == "__main__":
    main()
