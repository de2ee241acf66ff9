"""Plays histories of the whole stack: `python -m whole_stack --seed 7`, or `--seeds 0:1000`."""

import sys
from typing import Final

from simulation.commands import Tier, main

from hostup_async.sandbox import Fault
from whole_stack.history import play
from whole_stack.network import why_not
from whole_stack.setup import PLOTS, TROUBLES

# What has to come up in a night, beside every fault of the sandbox and trouble of the network.
BRANCHES: Final = (
    "accident at accepted", "accident at intent", "cancelled_caller", "direct: completed",
    "killed", "lease taken over", "outcome: ambiguous", "outcome: completed", "outcome: failed",
    "outcome: not_done", "outcome: not_sent", "outcome: refused", "outcome: skipped",
    "outcome: timed_out", "slow_disk", "status 429", "stopped: None", "stopped: canary",
    "stopped: deadline", "stopped: max_ambiguous", "stopped: max_failures", "stopped: stopped",
)  # fmt: skip
_PLOTS: Final = (f"plot: {plot}" for plot in sorted(set(PLOTS)))
TIER: Final = Tier("whole_stack", play, (*map(str, Fault), *TROUBLES, *_PLOTS, *BRANCHES))


if __name__ == "__main__":
    sys.exit(why_not() or main(TIER))
