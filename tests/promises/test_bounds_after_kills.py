"""The bounds of a run come back with it, however often its process is killed."""

import asyncio
import json
import sys
from pathlib import Path

from fleet_tools import NEVER, durations_of, quick, seen
from tools import child_environment

from hostup_async._store.sql import SqliteFile, SqlStore
from hostup_async.sandbox import SandboxConfig, SandboxProcess

SCRIPT = Path(__file__).with_name("kill_and_resume.py")
CODE = f"""
import asyncio, json, sys
sys.path.insert(0, {str(SCRIPT.parent)!r})
from kill_and_resume import reset_or_resume
asyncio.run(reset_or_resume(**json.loads(sys.argv[1])))
"""


async def test_a_canary_is_sent_once_though_its_run_is_killed_and_resumed_six_times(
    tmp_path: Path,
) -> None:
    async with SandboxProcess(SandboxConfig(vps=30, jobs=NEVER)) as sandbox:
        told = {
            "url": sandbox.url,
            "key": sandbox.api_key,
            "file": str(tmp_path / "fleet.db"),
            "ids": sandbox.vps_ids,
            "policy": quick(canary=1).to_json(),
        }
        async with SqlStore(SqliteFile(tmp_path / "fleet.db")) as store:  # or polls come late
            await store.learn([durations_of(sandbox.url, sandbox.api_key)])
        polls = 0
        for _ in range(7):
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", CODE, json.dumps(told), env=child_environment()
            )
            try:
                await seen(sandbox, "poll", polls + 1)
            finally:
                process.kill()
                await process.wait()
            polls = (await sandbox.books()).requests["poll"]
        books = await sandbox.books()
    assert books.requests["reset"] == 1
    assert list(books.accepted) == [sandbox.vps_ids[0]]
