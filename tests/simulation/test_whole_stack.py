"""Whole histories of the whole stack from seeds. See `tests/support/whole_stack`."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from planted_bugs import BUGS, Bug
from simulation.chance import Chance
from tools import THOROUGH, child_environment, unmeasured
from whole_stack.__main__ import TIER
from whole_stack.history import play
from whole_stack.network import Main, Network, run, why_not
from whole_stack.setup import make_setup

from hostup_async.sandbox import Fault

NEEDS_LIBRARY = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")
SUPPORT = Path(__file__).parents[1] / "support"
SAMPLE = "0:50" if THOROUGH else "0:3"


def test_some_seed_has_each_fault_of_the_sandbox() -> None:
    setups = [make_setup(seed, Chance(seed)) for seed in range(100)]
    assert {rule.fault for setup in setups for rule in setup.config.faults} == set(Fault)


@NEEDS_LIBRARY
@pytest.mark.parametrize("seed", range(5))
def test_every_invariant_holds_in_the_whole_stack(seed: int) -> None:
    result = play(seed)
    assert not result.broken, TIER.describe(result)


@NEEDS_LIBRARY
def test_a_seed_is_one_history_in_every_process() -> None:
    first, second = _hashes(), _hashes()
    assert first == second
    assert len(set(first)) == len(first) == int(SAMPLE.split(":")[1])


def _hashes() -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", "whole_stack", "--seeds", SAMPLE, "--hashes"],
        env=unmeasured({**child_environment(), "PYTHONHASHSEED": "0"}),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


# Those that the sandbox and its faults can bring to light soon.
NAMES = {
    "an action in doubt is sent again",
    "the intent is recorded in memory alone",
    "an intent of a crashed process is taken for planned",
}
FOUND = [bug for bug in BUGS if bug.name in NAMES]


@NEEDS_LIBRARY
@pytest.mark.skipif(not THOROUGH, reason="plays many histories; `nox -s whole_stack` does")
@pytest.mark.parametrize("bug", FOUND, ids=lambda bug: bug.name)
def test_a_planted_bug_is_found_in_the_whole_stack(bug: Bug, tmp_path: Path) -> None:
    bug.plant(tmp_path)
    path = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(SUPPORT)]), "PYTHONHASHSEED": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "whole_stack", "--seeds", "0:100", "--find", *bug.breaks],
        env=unmeasured({**os.environ, **path}),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"not found:\n{done.stdout}{done.stderr}"


@NEEDS_LIBRARY
def test_nothing_runs_on_a_machine_without_power() -> None:
    seen = list[str]()

    async def work() -> None:
        try:
            await asyncio.sleep(10.0)
            seen.append("went on")
        finally:
            seen.append("cleaned up")

    async def main(network: Network) -> None:
        network.start("one", work)
        await asyncio.sleep(1.0)
        network.cut_power("one")
        await asyncio.sleep(100.0)
        assert seen == []

    _check(main)


@NEEDS_LIBRARY
def test_what_is_cut_arrives_when_it_heals() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        writer.close()

    async def serve() -> None:
        async with await asyncio.start_server(echo, "127.0.0.1", 80) as server:
            await server.serve_forever()

    async def ask() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", 80)
        await asyncio.sleep(1.0)
        writer.write(b"hello\n")
        answer = await reader.readline()
        writer.close()
        return answer

    async def main(network: Network) -> None:
        network.start("server", serve)
        await asyncio.sleep(0.1)
        asked = network.start("client", ask)
        await asyncio.sleep(0.5)
        network.cut([("client", "server")])
        await asyncio.sleep(50.0)
        assert not asked.done()
        network.heal()
        assert await asked == b"hello\n"
        await asyncio.sleep(1.0)
        assert network.connections("client") == 0

    _check(main)


def _check(main: Main) -> None:
    ended = run(main, seed=1, epoch=0.0, in_order=False)
    if ended.error is not None:
        raise ended.error
