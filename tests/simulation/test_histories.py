"""Whole histories from seeds; `HOSTUP_SEEDS` says how many. See `tests/support/simulation`."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from simulation.__main__ import TIER
from simulation.play import play
from simulation.scale import play_large
from simulation.shrink import shrink
from tools import THOROUGH, child_environment, examples, unmeasured

SEEDS = int(os.environ.get("HOSTUP_SEEDS", "1000"))
CHUNK = 25


@pytest.fixture(autouse=True)
def short_waits() -> None:
    """Overrides that of all tests: a history has time, and the real waits are to be proved."""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("begin", range(0, SEEDS, CHUNK))
def test_every_invariant_holds_in_every_history(begin: int) -> None:
    for seed in range(begin, min(begin + CHUNK, SEEDS)):
        result = play(seed)
        if result.broken:
            small, _ = shrink(result, play, tries=60)
            pytest.fail(f"{TIER.describe(result)}\nit is enough that: {', '.join(small.fired)}")


@pytest.mark.parametrize("seed", [23, 293, 356, 565, 799, 1201, 1562, 1668, 1903, 1947])
def test_what_a_seed_found_stays_mended(seed: int) -> None:
    assert play(seed).broken == ()


def test_a_seed_is_one_history_in_every_process() -> None:
    sample = range(0, examples(50) * 6, 6)
    environment = unmeasured({**child_environment(), "PYTHONHASHSEED": "12345"})
    seeds = f"{sample.start}:{sample.stop}:{sample.step}"
    done = subprocess.run(
        [sys.executable, "-m", "simulation", "--seeds", seeds, "--hashes"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=170,
    )
    assert done.stdout.splitlines() == [f"{seed} {play(seed).hash}" for seed in sample]


def test_a_large_fleet_keeps_every_invariant() -> None:
    size = 2000 if THOROUGH else 200
    result = play_large(size)
    assert result.broken == ()
    assert result.requests["reset"] >= size
