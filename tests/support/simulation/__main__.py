"""Plays histories: `python -m simulation --seed 7`, `--seeds 0:1000` or `--vps 1000000`."""

import sys
from typing import Final

from simulation.commands import Tier, main
from simulation.limits import LIMIT_KINDS
from simulation.play import play
from simulation.scale import play_large
from simulation.setup import FAULTS

# What has to come up in a night, beside every fault and kind of limit.
BRANCHES: Final = (
    "429 to reset", "429 to poll", "429 to status", "cancelled_caller", "job_failure", "killed",
    "lease taken over", "outcome: ambiguous", "outcome: completed", "outcome: failed",
    "outcome: not_sent", "outcome: refused", "outcome: skipped", "outcome: timed_out",
    "hollow_job", "own_reboot", "untrue_job", "run: RunHeld", "slow_disk", "stopped: None",
    "stopped: canary", "stopped: deadline", "stopped: key_refused", "stopped: max_ambiguous",
    "stopped: max_failures", "stopped: stopped", "suspended beyond the lease",
)  # fmt: skip
_LIMITED: Final = (f"limited by {kind}" for kind in LIMIT_KINDS)
TIER: Final = Tier("simulate", play, (*FAULTS, *BRANCHES, *_LIMITED), play_large)


if __name__ == "__main__":
    sys.exit(main(TIER))
