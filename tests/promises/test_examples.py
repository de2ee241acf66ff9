"""The programs in `examples/` do what they say, on a sandbox."""

import os
import subprocess
import sys
from pathlib import Path

from hostup_async.sandbox import Durations, Fault, FaultRule, SandboxConfig, ThreadedSandbox

FOLDER = Path(__file__).parents[2] / "examples"
QUICK = Durations(kind="constant", median=0.1)
WARNINGS = ["-W", "error", "-W", "ignore:A blocking call inside:RuntimeWarning"]


def run(name: str, sandbox: ThreadedSandbox, *arguments: str) -> subprocess.CompletedProcess[str]:
    names = {"HOSTUP_API_KEY": sandbox.api_key, "HOSTUP_API_BASE": sandbox.url}
    return subprocess.run(
        [sys.executable, *WARNINGS, str(FOLDER / name), *arguments],
        env={**os.environ, **names},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_each_example_is_run() -> None:
    names = {path.name for path in FOLDER.glob("*.py")}
    assert names == {"reset_by_cron.py", "notebook_cell.py", "thread_pool.py"}


def test_cron_resets_each_vps_once_and_exits_with_0() -> None:
    with ThreadedSandbox(SandboxConfig(vps=3, jobs=QUICK)) as sandbox:
        done = run("reset_by_cron.py", sandbox, *sandbox.vps_ids)
        books = sandbox.books()
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.splitlines()) == sorted(f"{i}: completed" for i in sandbox.vps_ids)
    assert set(books.resets) == set(sandbox.vps_ids)
    assert books.reset_twice == ()


def test_cron_tells_failures_from_outcomes_that_nobody_knows() -> None:
    with ThreadedSandbox(SandboxConfig(vps=2, jobs=QUICK)) as sandbox:
        assert run("reset_by_cron.py", sandbox, "vps_unknown").returncode == 1
    lost = FaultRule(Fault.LOST_REPLY, on="reset", times=1)
    with ThreadedSandbox(SandboxConfig(vps=2, jobs=QUICK, faults=[lost])) as sandbox:
        assert run("reset_by_cron.py", sandbox, *sandbox.vps_ids).returncode == 4
        assert sandbox.books().reset_twice == ()


def test_a_notebooks_cell_works_inside_a_running_loop() -> None:
    with ThreadedSandbox(SandboxConfig(vps=3)) as sandbox:
        done = run("notebook_cell.py", sandbox)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(sandbox.vps_ids)


def test_32_threads_share_one_client() -> None:
    with ThreadedSandbox(SandboxConfig(vps=64, jobs=QUICK)) as sandbox:
        done = run("thread_pool.py", sandbox)
        books = sandbox.books()
    assert (done.returncode, done.stderr) == (0, "")
    lines = sorted(done.stdout.splitlines())
    assert lines == sorted(f"{vps_id} completed" for vps_id in sandbox.vps_ids)
    assert set(books.resets) == set(sandbox.vps_ids)
    assert books.reset_twice == ()
