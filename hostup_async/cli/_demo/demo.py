"""`hostup demo`: a fleet run on a sandbox, and its outcomes compared with the sandbox's books."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import typer
from attrs import evolve

from hostup_async import Budget, Client, FleetRun
from hostup_async.cli._demo.comparison import Report
from hostup_async.cli._demo.config import describe
from hostup_async.cli._demo.home import A_DAY, DemoHome, new_home
from hostup_async.cli._demo.summary import print_summary
from hostup_async.cli._exits import CommandFailed, ExitCode
from hostup_async.cli._inputs.account import RUNNING, command_line
from hostup_async.cli._inputs.policy import make_policy
from hostup_async.cli._options import Output, PolicyOptions
from hostup_async.cli._output.screen import Screen, screen
from hostup_async.cli._output.views import View, make_view
from hostup_async.cli._output.waits import Waits
from hostup_async.cli._signals import run as run_loop
from hostup_async.cli._work.fleet import is_open
from hostup_async.cli._work.run import FinishedRun, execute
from hostup_async.sandbox import Books, SandboxConfig, SandboxError, SandboxHandle

_POLL_INTERVAL: Final = 0.1  # seconds
# The command line's own bounds, but for the cooldown: every VPS of a new sandbox booted just now.
# Two reads of a VPS's uptime prove that a reset did not take place. On a sandbox, whose clock is
# exact, 2 seconds between them are enough.
_POLICY: Final = evolve(
    make_policy(PolicyOptions(cooldown="0", reason="hostup demo")), evidence_interval=2
)


def run_demo(config: SandboxConfig, output: Output, *, plain: bool, linger: float) -> None:
    """Reset every VPS of a new sandbox, print the summary, and exit with its code."""
    console = screen()
    console.print(f"A sandbox of {config.vps} VPSes: {describe(config)}.", soft_wrap=True)
    with new_home(config, linger) as home:
        code = _demonstrate(home, console, output, plain=plain)
    raise typer.Exit(code)


def resume_demo(path: Path, output: Output, *, plain: bool) -> None:
    """Resume a demo that was killed or stopped."""
    home, console = DemoHome.load(path), screen()
    try:
        code = _demonstrate(home, console, output, plain=plain)
    except SandboxError:
        message = f"the sandbox at {home.url} has ended: start a new demo with hostup demo"
        raise CommandFailed(message) from None
    raise typer.Exit(code)


def _demonstrate(home: DemoHome, console: Screen, output: Output, *, plain: bool) -> ExitCode:
    began = time.monotonic()
    waits = Waits(RUNNING)
    make = partial(make_view, console, output, plain=plain, wait=waits.in_words)
    finished, books, can_resume = run_loop(lambda: _run(home, make, waits))
    seconds = time.monotonic() - began
    report = Report(finished.report.outcomes, books, seconds, finished.interrupted)
    print_summary(console, report)
    if can_resume:
        console.print(f"Resume it within a minute: {_resume(home)}", soft_wrap=True)
    else:
        shown = command_line("fleet", "status", home.run_id, "--store", home.store)
        console.print(f"This run was recorded, as every run is: {shown}", soft_wrap=True)
        home.run_id = ""  # nothing is left to resume
    return report.exit_code


def _resume(home: DemoHome) -> str:
    return command_line("demo", "--resume", str(home.path))


async def _run(
    home: DemoHome, make: Callable[[str], View], waits: Waits
) -> tuple[FinishedRun, Books, bool]:
    async with home.sandbox() as sandbox:
        await sandbox.books()  # raises SandboxError when the sandbox is gone
        # A budget of its own: with the shared one, the wait for a permit would be bounded.
        budget = Budget(max_wait=A_DAY)
        async with Client(
            sandbox.api_key, base_url=sandbox.url, budget=budget, on_event=waits.listen
        ) as client:
            run = await _make_run(home, client, sandbox)
            view = make(run.id)
            finished = await execute(run, view, lambda: _save(home, run, view))
        can_resume = await is_open(home.store, home.run_id)
        if not can_resume:
            await _wait_for_jobs(sandbox)
        return finished, await sandbox.books(), can_resume


async def _make_run(home: DemoHome, client: Client, sandbox: SandboxHandle) -> FleetRun:
    if home.run_id:
        return await client.fleet.resume(home.run_id, store=home.store)
    plan = await client.fleet.plan(ids=sandbox.vps_ids, preflight="none")
    return client.fleet.run(plan, _POLICY, store=home.store)


def _save(home: DemoHome, run: FleetRun, view: View) -> None:
    """Save what another process needs to resume the demo, and say how."""
    home.run_id = run.id
    home.save()
    view.show_message(
        f"You can kill this demo at any moment, also with kill -9. Resume it with: {_resume(home)}"
    )


async def _wait_for_jobs(sandbox: SandboxHandle) -> None:
    """Wait for the jobs that the run did not follow, so that the books have their end too."""
    while any(job.finished is None for job in (await sandbox.books()).jobs.values()):  # noqa: ASYNC110 - they end in another process
        await anyio.sleep(_POLL_INTERVAL)
