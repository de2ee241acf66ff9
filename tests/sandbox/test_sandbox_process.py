import asyncio
import json
import os
import signal
import sys
import textwrap

import pytest
from cli_tools import lives
from sandbox_tools import calling, eventually, struck

from hostup_async.sandbox import (
    Fault,
    FaultRule,
    Limit,
    RemoteSandbox,
    SandboxConfig,
    SandboxError,
    SandboxProcess,
    _process,
)
from hostup_async.sandbox.__main__ import main


async def gone(pid: int) -> bool:
    async def dead() -> bool:
        return not lives(pid)

    return await eventually(dead)


async def test_a_process_has_the_same_members() -> None:
    rule = FaultRule(Fault.CONFLICT, vps_ids=SandboxConfig(vps=5000).vps_ids[1:])
    async with SandboxProcess(SandboxConfig(vps=5000, faults=[rule])) as sandbox:
        pid = sandbox.pid
        async with calling(sandbox) as caller:
            assert (await caller.reset()).status == 202
            await sandbox.add_fault(FaultRule(Fault.ERROR_500, on="list"))
            assert (await caller("GET", "/api/v2/vps")).status == 500
            await sandbox.clear_faults()
            await sandbox.set_limit(Limit(requests=1, seconds=60))
            assert [(await caller("GET", "/api/v2/vps")).status for _ in "12"] == [200, 429]
        books = await sandbox.books()
        await sandbox.reset_books()
        assert (await sandbox.books()).total_requests == 0
    assert books.accepted == {sandbox.vps_ids[0]: {"reset": 1}}
    assert books.statuses == {202: 1, 500: 1, 200: 1, 429: 1}
    assert await gone(pid)
    with pytest.raises(RuntimeError, match="not running"):
        await sandbox.books()


async def test_it_ends_although_requests_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_process, "_GRACE", 30)
    config = SandboxConfig(faults=[FaultRule(Fault.STALL, on="list")])
    async with SandboxProcess(config) as sandbox, calling(sandbox) as caller:
        stalled = asyncio.ensure_future(caller("GET", "/api/v2/vps"))
        assert await struck(sandbox, Fault.STALL)
        process = sandbox._process
        await sandbox.__aexit__(None, None, None)
        assert process.returncode == 0  # it ended by itself and was not killed
        await asyncio.gather(stalled, return_exceptions=True)


async def test_it_does_not_outlive_a_cancelled_task() -> None:
    async def use(ready: asyncio.Future[int]) -> None:
        async with SandboxProcess() as sandbox:
            ready.set_result(sandbox.pid)
            await asyncio.Event().wait()

    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(use(ready))
    pid = await ready
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await gone(pid)


async def test_one_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_process, "_GRACE", 0.05)
    async with SandboxProcess() as sandbox:
        pid = sandbox.pid
        os.kill(pid, signal.SIGSTOP)
    assert await gone(pid)


async def test_one_that_hangs_is_killed_when_the_end_is_cancelled() -> None:
    sandbox = await SandboxProcess().__aenter__()
    pid = sandbox.pid
    os.kill(pid, signal.SIGSTOP)
    ending = asyncio.create_task(sandbox.__aexit__(None, None, None))
    await asyncio.sleep(0.05)
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending
    assert await gone(pid)
    with pytest.raises(RuntimeError, match="not running"):
        _ = sandbox.pid


async def test_it_does_not_outlive_a_killed_parent() -> None:
    program = textwrap.dedent("""
        import asyncio
        from hostup_async.sandbox import SandboxProcess

        async def main():
            async with SandboxProcess() as sandbox:
                print(sandbox.pid, flush=True)
                await asyncio.Event().wait()

        asyncio.run(main())
    """)
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    assert lives(pid)
    parent.send_signal(signal.SIGKILL)
    await parent.communicate()
    assert await gone(pid)


async def test_it_ends_by_itself() -> None:
    async with SandboxProcess(max_seconds=0.05) as sandbox:
        assert await gone(sandbox.pid)


async def test_a_process_that_does_not_start_says_why() -> None:
    async with SandboxProcess() as sandbox:
        port = int(sandbox.url.rpartition(":")[2])
        with pytest.raises(SandboxError, match="address already in use"):
            await SandboxProcess(port=port).__aenter__()


async def test_a_process_that_is_too_slow_to_start() -> None:
    with pytest.raises(SandboxError, match="did not start"):
        await SandboxProcess(start_timeout=0).__aenter__()


async def test_a_process_that_is_gone_is_an_error_of_the_sandbox() -> None:
    async with SandboxProcess() as sandbox:
        os.kill(sandbox.pid, signal.SIGKILL)
        with pytest.raises(SandboxError, match="no longer answers"):
            await sandbox.books()


async def test_a_refused_command_says_why() -> None:
    async with SandboxProcess() as sandbox:
        with pytest.raises(SandboxError, match="refused melt: no such command"):
            await sandbox._command("melt", {})


def test_the_program_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--config-json", '{"api_key": "sk_mine"}', "--max-seconds", "0.01"])
    told = json.loads(capsys.readouterr().out)
    assert told["url"].startswith("http://127.0.0.1:")
    assert told["api_key"] == "sk_mine"


@pytest.mark.parametrize("source", ["{", '{"vps": -1}', '{"moons": 3}'])
def test_the_program_refuses_wrong_settings(source: str) -> None:
    with pytest.raises(SystemExit, match="--config-json: "):
        main(["--config-json", source])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_program_ends_on_signals(number: signal.Signals) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hostup_async.sandbox"), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert json.loads(await process.stdout.readline())["api_key"] == "sk_test_sandbox"
    os.kill(process.pid, number)
    await process.communicate()
    assert process.returncode == 0


async def test_another_process_asks_a_sandbox_by_its_url() -> None:
    async with SandboxProcess(SandboxConfig(vps=2)) as started:
        async with RemoteSandbox(started.url, started.config) as remote:
            assert remote.vps_ids == started.vps_ids
            assert (await remote.books()).total_requests == 0
        with pytest.raises(RuntimeError, match="not running"):
            await remote.books()
        gone = RemoteSandbox(started.url, started.config)
    async with gone:
        with pytest.raises(SandboxError, match="no longer answers"):
            await gone.books()
