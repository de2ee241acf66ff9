"""What `hostup demo` does: a fleet run on a sandbox, its outcomes beside the sandbox's books."""

import time
from pathlib import Path
from typing import Final

import anyio
import typer
from rich.console import Console

from hostup_async import Budget, Client, FleetPolicy, FleetRun
from hostup_async.cli._demo.comparison import Report
from hostup_async.cli._demo.config import describe
from hostup_async.cli._demo.home import A_DAY, DemoHome, new_home
from hostup_async.cli._demo.summary import print_summary
from hostup_async.cli._exits import CommandFailed, ExitCode
from hostup_async.cli._inputs.account import command_line
from hostup_async.cli._options import Output
from hostup_async.cli._output.screen import screen
from hostup_async.cli._output.views import LiveView, PlainView, View
from hostup_async.cli._signals import run as run_loop
from hostup_async.cli._work.fleet import is_open
from hostup_async.cli._work.run import FinishedRun, carry_out
from hostup_async.sandbox import Books, SandboxConfig, SandboxError, SandboxHandle

_BETWEEN_LOOKS: Final = 0.1
# What is not done is proved by two looks at a VPS; a sandbox's clock needs no more than this.
_POLICY: Final = FleetPolicy(cooldown=0, evidence_interval=2, reason="hostup demo")


def run_demo(config: SandboxConfig, output: Output, *, plain: bool, linger: float) -> None:
    """Reset every VPS of a new sandbox, print the summary, and exit with its code."""
    console = screen()
    console.print(f"A sandbox of {config.vps} VPSes: {describe(config)}.", soft_wrap=True)
    with new_home(config, linger) as home:
        code = _demonstrate(home, _view(console, output, plain=plain), console)
    raise typer.Exit(code)


def resume_demo(path: Path, output: Output, *, plain: bool) -> None:
    """Go on with a demo that was killed or stopped."""
    home, console = DemoHome.load(path), screen()
    try:
        code = _demonstrate(home, _view(console, output, plain=plain), console)
    except SandboxError:
        message = f"the sandbox at {home.url} is gone: it does not wait for ever. Begin anew."
        raise CommandFailed(message) from None
    raise typer.Exit(code)


def _view(console: Console, output: Output, *, plain: bool) -> View:
    live = console.is_terminal and not console.is_dumb_terminal and not plain
    if live:
        return LiveView(console, verbose=output.verbose)
    return PlainView(console, verbose=output.verbose, quiet=output.quiet)


def _demonstrate(home: DemoHome, view: View, console: Console) -> ExitCode:
    began = time.monotonic()
    ended, books, unfinished = run_loop(lambda: _run(home, view))
    report = Report(ended.report.outcomes, books, time.monotonic() - began, ended.interrupted)
    print_summary(console, report)
    if unfinished:
        console.print(f"Go on within a minute: {_resume(home)}", soft_wrap=True)
    else:
        shown = command_line("fleet", "status", home.run_id, "--store", home.store)
        console.print(f"Recorded, as every run is: {shown}", soft_wrap=True)
        home.run_id = ""  # nothing to come back for
    return report.exit_code


def _resume(home: DemoHome) -> str:
    return command_line("demo", "--resume", str(home.path))


async def _run(home: DemoHome, view: View) -> tuple[FinishedRun, Books, bool]:
    async with home.sandbox() as sandbox:
        await sandbox.books()  # where it is gone, this says so
        # A budget of its own: with the shared one, the wait for a permit would be bounded.
        budget = Budget(max_wait=A_DAY)
        async with Client(sandbox.api_key, base_url=sandbox.url, budget=budget) as client:
            run = await _make_run(home, client, sandbox)
            ended = await carry_out(run, view, lambda: _note(home, run, view))
        unfinished = await is_open(home.store, home.run_id)
        if not unfinished:
            await _jobs_over(sandbox)
        return ended, await sandbox.books(), unfinished


async def _make_run(home: DemoHome, client: Client, sandbox: SandboxHandle) -> FleetRun:
    if home.run_id:
        return await client.fleet.resume(home.run_id, store=home.store)
    plan = await client.fleet.plan(ids=sandbox.vps_ids, preflight="none")
    return client.fleet.run(plan, _POLICY, store=home.store)


def _note(home: DemoHome, run: FleetRun, view: View) -> None:
    """From now on there is something to come back for."""
    home.run_id = run.id
    home.save()
    view.say(f"Kill it whenever you like (kill -9, too), and go on with: {_resume(home)}")


async def _jobs_over(sandbox: SandboxHandle) -> None:
    """Nobody watches the jobs of ambiguous resets, and the books shall tell their end too."""
    while any(job.finished is None for job in (await sandbox.books()).jobs.values()):  # noqa: ASYNC110 - they end in another process
        await anyio.sleep(_BETWEEN_LOOKS)
