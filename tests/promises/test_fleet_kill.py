"""`kill -9` at any point of a run, and again while it is resumed."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from fleet_tools import check_truth, quick
from tools import child_environment, unmeasured

from hostup_async import Entry, OnAmbiguous, RunState
from hostup_async._store.sql import SqliteFile, SqlStore
from hostup_async.sandbox import Durations, Fault, FaultRule, SandboxConfig, SandboxProcess

SCRIPT = Path(__file__).with_name("kill_and_resume.py")
# `nox -s nightly` asks for hundreds.
KILLS = int(os.environ.get("HOSTUP_KILLS", "20"))
AT_ONCE, EACH = 5, 4
SIZE = 200


async def killed_and_resumed(**told: Any) -> int:
    """A run whose process is killed so often; returns how often it really was."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        SCRIPT,
        json.dumps(told),
        stdout=asyncio.subprocess.PIPE,
        env=unmeasured(child_environment()),
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0
    return int(output)


async def stored(file: Path) -> list[Entry]:
    async with SqlStore(SqliteFile(file)) as store:
        [record] = await store.runs()
        assert record.state is RunState.FINISHED
        return [entry async for entry in store.entries(record.id)]


async def a_batch(folder: Path, seed: int) -> int:
    """Runs side by side on one server, which survives them all."""
    config = SandboxConfig(
        vps=AT_ONCE * SIZE,
        seed=seed,
        uptime_step=0.05,
        jobs=Durations(kind="lognormal", median=0.25, sigma=0.3),
        faults=[FaultRule(Fault.LOST_REPLY, rate=0.01), FaultRule(Fault.HTML_502, rate=0.01)],
    )
    files = [folder / f"{seed}-{n}.db" for n in range(AT_ONCE)]
    async with SandboxProcess(config) as sandbox, asyncio.TaskGroup() as group:
        policies = [
            quick(
                evidence_interval=1, max_in_flight=25, max_ambiguous=SIZE, on_ambiguous=one
            ).to_json()
            for one in OnAmbiguous
        ]
        tasks = [
            group.create_task(
                killed_and_resumed(
                    kills=EACH,
                    seed=seed + n,
                    told={
                        "url": sandbox.url,
                        "key": sandbox.api_key,
                        "file": str(file),
                        "ids": sandbox.vps_ids[SIZE * n : SIZE * n + SIZE],
                        "policy": policies[n % 2],
                    },
                )
            )
            for n, file in enumerate(files)
        ]
        kills = sum([await task for task in tasks])
        books = await sandbox.books()
    entries = [entry for file in files for entry in await stored(file)]
    assert [entry.vps_id for entry in entries] == list(sandbox.vps_ids)
    assert all(entry.state.is_terminal for entry in entries)
    check_truth((entry.outcome() for entry in entries), books)
    assert {entry.state.value for entry in entries} <= {"completed", "ambiguous", "not_done"}
    done = sum(entry.state == "completed" for entry in entries)
    assert done > 0.9 * len(entries)
    return kills


@pytest.mark.timeout(180 + 2 * KILLS)
async def test_kills_at_any_point_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    killed = batch = 0
    while killed < KILLS * 5 // 6:
        killed += await a_batch(tmp_path, seed=100 * batch)
        batch += 1
    assert killed >= KILLS * 5 // 6
