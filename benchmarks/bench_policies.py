"""How well a budget is spent: our policy against its peers, in a model on virtual time.

    ratio       the time until every result is known, over the floor of 2N/R seconds
    requests    for each reset, the POST included
    undetected  how long a job was over before a poll found it, on average, in seconds
    unknown     the most results that were unknown at once: what a mistake can cost

The table of durations is cold, and learns from polls alone (`exact`: from the API's times), unless
it says `learnt`. Last comes the CPU time that one decision with what follows from it costs.

    python benchmarks/bench_policies.py [--json]
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterable
from functools import partial
from math import inf

from model import (
    Draw,
    World,
    bimodal,
    each_two_seconds,
    exponential,
    follow_all,
    learnt,
    lognormal,
    ours,
    workers,
)

from hostup_async._polling.scheduler import Poll, PollScheduler, Send

Policy = Callable[[World], World]
JOBS: dict[str, Draw] = {
    "8 s": lognormal(8, 0.35),
    "5 s or 40 s": bimodal,
    "20 s": lognormal(20, 0.35),
}
POLICIES: dict[str, Policy] = {
    "each 2 s, 50 workers": partial(workers, gap=each_two_seconds),
    "each 2 s, polls first": partial(follow_all, gap=each_two_seconds, polls_first=True),
    "exponential, 50 workers": partial(workers, gap=exponential),
    "gather, first come": partial(follow_all, gap=each_two_seconds),
    "ours": ours,
    "ours, exact": partial(ours, exact=True),
}
SEEDS = range(5)


def average(runs: Iterable[World]) -> dict[str, float]:
    figures = [run.figures() for run in runs]
    return {name: statistics.mean(run[name] for run in figures) for name in figures[0]}


def scarce(jobs: Draw, policy: Policy) -> dict[str, float]:
    return average(policy(World(2000, 10, jobs, seed)) for seed in SEEDS)


def plenty(resets: int, policy: Policy) -> dict[str, float]:
    return average(policy(World(resets, inf, JOBS["8 s"], seed)) for seed in SEEDS)


def cpu() -> float:
    """CPU microseconds for a decision and what it leads to: `watch`, or `polled`."""
    jobs = JOBS["8 s"]
    scheduler: PollScheduler[int] = PollScheduler(learnt(jobs))
    world = World(20_000, 50, jobs)
    ends: dict[int, float] = {}
    began, now, decisions = time.process_time(), 0.0, 0
    while decisions < 60_000:
        now += 1 / world.rate
        decision = scheduler.decide(now, rate=world.rate, tokens_idle=0, sends_waiting=1)
        decisions += 1
        if isinstance(decision, Send):
            scheduler.sent()
            scheduler.watch(decisions, now)
            ends[decisions] = now + world.durations[decisions % world.resets]
        elif isinstance(decision, Poll):
            ended = ends[decision.key] <= now
            scheduler.polled(decision.key, now, ended=ended)
    return 1e6 * (time.process_time() - began) / decisions


def measure() -> dict[str, dict[str, float]]:
    found = {
        f"{name}: {policy}": scarce(jobs, run)
        for name, jobs in JOBS.items()
        for policy, run in POLICIES.items()
    }
    gather = POLICIES["gather, first come"]
    known = learnt(JOBS["8 s"]).to_json()
    found["no limit, 1000: each 2 s"] = plenty(1000, gather)
    found["no limit, 1000: ours, learnt"] = plenty(1000, partial(ours, known=known))
    found["no limit, first 50: each 2 s"] = plenty(50, gather)
    found["no limit, first 50: ours"] = plenty(50, ours)
    found["no limit, first 50: ours, exact"] = plenty(50, partial(ours, exact=True))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found, microseconds = measure(), statistics.median(cpu() for _ in range(3))
    if options.json:
        print(json.dumps({"policies": found, "cpu_us": microseconds}))
        return
    print(f"{'':38}{'ratio':>8}{'requests':>10}{'undetected':>12}{'unknown':>9}")
    for name, figures in found.items():
        ratio = f"{figures['ratio']:.2f}" if figures["ratio"] < inf else "-"
        print(
            f"{name:38}{ratio:>8}{figures['requests']:>10.2f}"
            f"{figures['undetected']:>11.2f}s{figures['unknown']:>9.0f}"
        )
    print(f"{microseconds:.1f} us CPU for a decision and what it leads to")


if __name__ == "__main__":
    main()
