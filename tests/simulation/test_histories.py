"""Whole histories from seeds; `HOSTUP_SEEDS` says how many. See `tests/support/simulation`."""

import logging
import os
from collections.abc import Iterator

import pytest
from simulation.__main__ import TIER
from simulation.history import play
from simulation.shrink import shrink

SEEDS = int(os.environ.get("HOSTUP_SEEDS", "300"))
CHUNK = 25
# A sample is played twice.
SAMPLE = range(0, SEEDS, max(1, SEEDS // 25))


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


@pytest.mark.parametrize("seed", SAMPLE)
def test_a_seed_is_one_history(seed: int) -> None:
    assert play(seed).hash == play(seed).hash
