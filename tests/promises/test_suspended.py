"""A process suspended for longer than its lease, while another machine takes its run.

Its actions wait behind 429s, so that it is stopped before, between and after the moments at which
they are sent. What it sends when it goes on is what another run, with no cooldown, sends as well.
"""

import asyncio
import json
import os
import random
import signal
import sqlite3
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fleet_tools import check_truth, quick
from store_tools import in_file
from tools import child_environment

from hostup_async import Budget, Client, RunHeld
from hostup_async._store.sql import SqlStore
from hostup_async.sandbox import Books, Durations, Limit, SandboxConfig, SandboxProcess

SCRIPT = Path(__file__).with_name("reset_in_a_lease.py")
# `nox -s nightly` asks for 40.
SUSPENSIONS = int(os.environ.get("HOSTUP_SUSPENSIONS", "4"))
AT_ONCE = 6
LEASE = 0.6  # seconds


@asynccontextmanager
async def begun(sandbox: SandboxProcess, file: Path) -> AsyncIterator[Process]:
    told = {
        "url": sandbox.url,
        "key": sandbox.api_key,
        "file": str(file),
        "ids": sandbox.vps_ids,
        "lease": LEASE,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        SCRIPT,
        json.dumps(told),
        stdout=asyncio.subprocess.PIPE,
        env=child_environment(),
    )
    try:
        yield process
    finally:
        if process.returncode is None:  # this test failed
            process.kill()
            await process.communicate()


async def suspend(process: Process, file: Path, *, after: float) -> None:
    """Stop it some time after its run was recorded, but not amid a commit, which locks the file."""
    async with in_file(file) as store:
        while process.returncode is None and not await store.runs():
            await asyncio.sleep(0.01)
    await asyncio.sleep(after)
    process.send_signal(signal.SIGSTOP)
    while is_locked(file):
        process.send_signal(signal.SIGCONT)
        await asyncio.sleep(0.002)
        process.send_signal(signal.SIGSTOP)


def is_locked(file: Path) -> bool:
    """Whether another process is amid a commit."""
    connection = sqlite3.connect(file, timeout=0.1, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return True
    finally:
        connection.close()
    return False


async def take(store: SqlStore, client: Client, *, resumes: bool) -> str:
    """Take the run over, by abandoning it, or by resuming and leaving it; its id."""
    while True:
        [record] = await store.runs()
        try:
            if not resumes:
                await store.abandon(record.id)
                return record.id
            run = await client.fleet.resume(record.id, store=store)
            async with run:
                await run.wait()
        except RunHeld:
            await asyncio.sleep(0.05)
        else:
            return record.id


async def reset_again(client: Client, store: SqlStore, sandbox: SandboxProcess) -> None:
    """A new run of what was never reset, as its operator sees by the uptimes, with no cooldown."""
    books = await sandbox.books()
    ids = [vps_id for vps_id in sandbox.vps_ids if vps_id not in books.accepted]
    if ids:
        plan = await client.fleet.plan(ids=ids, preflight="none")
        async with client.fleet.run(plan, quick(cooldown=0), store=store) as run:
            report = await run.wait()
        check_truth(report.outcomes, await sandbox.books())


async def one_suspension(file: Path, seed: int) -> tuple[Books, dict[str, Any]]:
    rng = random.Random(seed)
    config = SandboxConfig(
        vps=16,
        seed=seed,
        uptime_step=0.01,
        jobs=Durations(median=0.3),
        action_limit=Limit(requests=4, seconds=0.5),
    )
    async with SandboxProcess(config) as sandbox, begun(sandbox, file) as process:
        await suspend(process, file, after=rng.uniform(0.0, 1.2))
        budget = Budget()
        async with (
            Client(sandbox.api_key, base_url=sandbox.url, budget=budget) as client,
            in_file(file) as store,
        ):
            await take(store, client, resumes=rng.random() < 0.5)
            again = asyncio.create_task(reset_again(client, store, sandbox))
            await asyncio.sleep(rng.uniform(0.0, 0.3))
            process.send_signal(signal.SIGCONT)
            await again
            output, _ = await asyncio.wait_for(process.communicate(), 60)
        return await sandbox.books(), json.loads(output)


@pytest.mark.timeout(60 + 30 * SUSPENSIONS)  # a hang; measured under coverage as well
async def test_a_suspended_process_sends_nothing_that_another_may_have_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The run that resumes waits so many seconds for a reset that may have been queued.
    monkeypatch.setattr("hostup_async._fleet.evidence._SAME_QUEUE", 2.0)
    places = asyncio.Semaphore(AT_ONCE)  # most of each is waiting

    async def in_turn(seed: int) -> tuple[Books, dict[str, Any]]:
        async with places:
            return await one_suspension(tmp_path / f"{seed}.db", seed)

    lost = 0
    results = await asyncio.gather(*map(in_turn, range(SUSPENSIONS)))
    for seed, (books, ended) in enumerate(results):
        assert books.reset_twice == (), seed
        if ended["cause"] is not None:
            assert ended["cause"] == "store_lost", ended
            assert "is held by" in ended["why"] or "not held by this client" in ended["why"]
            lost += 1
    assert lost >= SUSPENSIONS // 2
