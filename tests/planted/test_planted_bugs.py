import os
import subprocess
import sys
from pathlib import Path

import pytest
from planted_bugs import BUGS, PACKAGE, Bug
from tools import unmeasured

ROOT = PACKAGE.parent
SEEDS = "0:200"
# In the everyday suite a few; all of them in `nox -s planted`.
FEW = 2
CHOSEN = BUGS if os.environ.get("HOSTUP_PLANTED") else BUGS[:FEW]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_each_bug_can_still_be_planted(bug: Bug) -> None:
    for module in bug.edits:
        assert bug.planted(module) != (PACKAGE / module).read_text()


def test_there_is_a_bug_for_each_invariant() -> None:
    broken = {invariant for bug in BUGS for invariant in bug.breaks}
    assert broken >= {
        "reset twice",
        "an outcome is missing",
        "untrue completed",
        "untrue refused",
        "untrue not_sent",
        "above the known limit",
        "sent in a pause",
        "more failures than k + W",
        "sent without an intent",
        "sent without the lease",
        "left behind",
        "permits",
        "untrue not_done",
        "untrue timed_out",
        "more in flight than W",
        "more than the canaries",
        "sent after the stop",
        "refused by a wrong key",
        "stopped for no reason",
        "never ends",
    }


@pytest.mark.parametrize("bug", CHOSEN, ids=lambda bug: bug.name)
def test_a_planted_bug_is_found(bug: Bug, tmp_path: Path) -> None:
    bug.plant(tmp_path)
    path = os.pathsep.join([str(tmp_path), str(ROOT / "tests/support")])
    done = subprocess.run(
        [sys.executable, "-m", "simulation", "--seeds", SEEDS, "--find", *bug.breaks],
        env=unmeasured({**os.environ, "PYTHONPATH": path}),  # a copy owes no coverage
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, f"not found within seeds {SEEDS}:\n{done.stdout}{done.stderr}"
    found = done.stdout.strip().splitlines()
    assert found
    print(f"{bug.name}: {found[0]}")  # `-rP` shows the seed and the invariant
