"""A runner that ends by an error cancels all tasks of its loop at once: a run's end is recorded."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from fleet_tools import NEVER, quick
from tools import client_of

from hostup_async import AuditEvent, EntryState, RunState
from hostup_async._store.sql import SqliteFile, SqlStore, queries
from hostup_async.sandbox import SandboxConfig, ThreadedSandbox


@pytest.mark.parametrize("saves", [1, 2])
def test_a_runs_end_is_recorded_though_a_transaction_was_under_way(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    saves: int,
) -> None:
    """All tasks are cancelled in the midst of this transaction."""
    file, saved, under_way = tmp_path / "fleet.db", 0, asyncio.Event()
    save_entries = queries.save_entries

    async def save_and_tell(*args: Any) -> None:
        nonlocal saved
        saved += 1
        if saved == saves:
            under_way.set()
            await asyncio.sleep(0)
        await save_entries(*args)

    async def reset_all(sandbox: ThreadedSandbox) -> None:
        async with client_of(sandbox.url) as client:
            plan = await client.fleet.plan(ids=sandbox.vps_ids, preflight="none")
            async with client.fleet.run(plan, quick(max_in_flight=2), store=file) as run:
                await run.wait()

    async def fail_soon(sandbox: ThreadedSandbox) -> None:
        task = asyncio.create_task(reset_all(sandbox))
        await asyncio.wait(
            [task, asyncio.create_task(under_way.wait())],
            return_when=asyncio.FIRST_COMPLETED,
        )
        raise ZeroDivisionError

    async def look() -> None:
        async with SqlStore(SqliteFile(file)) as store:
            [run] = await store.runs()
            assert run.state is RunState.STOPPED
            assert run.counts[EntryState.PLANNED] >= 4
            assert [line.what for line in await store.audit(run.id)][-1] is AuditEvent.STOPPED

    monkeypatch.setattr(queries, "save_entries", save_and_tell)
    with ThreadedSandbox(SandboxConfig(vps=6, jobs=NEVER)) as sandbox:
        with pytest.raises(ZeroDivisionError):
            asyncio.run(fail_soon(sandbox))
        assert "could not be closed" not in caplog.text
        asyncio.run(look())
