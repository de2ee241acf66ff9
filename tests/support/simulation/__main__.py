"""Plays histories: `python -m simulation --seed 7`, or `--seeds 0:1000`."""

import sys
from typing import Final

from simulation.commands import Tier, main
from simulation.history import play
from simulation.setup import FAULTS

# What has to come up in a night, beside every fault.
BRANCHES: Final = (
    "429 to reset", "429 to poll", "429 to status", "cancelled_caller", "job_failure", "killed",
    "lease taken over", "outcome: ambiguous", "outcome: completed", "outcome: failed",
    "outcome: not_sent", "outcome: refused", "outcome: skipped", "outcome: timed_out",
    "own_reboot", "run: RunHeld", "slow_disk", "stopped: None", "stopped: canary",
    "stopped: deadline", "stopped: key_refused", "stopped: max_ambiguous",
    "stopped: max_failures", "stopped: stopped", "suspended beyond the lease",
)  # fmt: skip
TIER: Final = Tier("simulate", play, (*FAULTS, *BRANCHES))


if __name__ == "__main__":
    sys.exit(main(TIER))
