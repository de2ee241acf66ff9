"""What the commands do."""

import sys
from typing import Final

import anyio
import typer
from rich.console import Console

from hostup_async import Budget, Client
from hostup_async.cli._demo import A_DAY, Resets
from hostup_async.cli._loop import run, until_stopped
from hostup_async.cli._report import Report, requests_in_words
from hostup_async.cli._settings import describe, make_config
from hostup_async.cli._summary import print_summary
from hostup_async.cli._views import LiveView, PlainView, View, showing
from hostup_async.sandbox import (
    Books,
    Sandbox,
    SandboxConfig,
    SandboxError,
    SandboxHandle,
    SandboxProcess,
)

__all__ = ["make_config", "run_demo", "run_sandbox"]

_BETWEEN_LOOKS: Final = 0.1


def run_demo(config: SandboxConfig, *, plain: bool) -> None:
    """Reset every VPS of a sandbox, print the summary, and exit with its code."""
    console = Console(highlight=False)
    console.print(f"A sandbox of {config.vps} VPSes: {describe(config)}.", soft_wrap=True)
    live = console.is_terminal and not console.is_dumb_terminal and not plain
    view = LiveView(console) if live else PlainView(console)
    try:
        report = run(lambda: _demo(config, view))
    except (SandboxError, OSError) as error:
        _say(f"hostup demo: {error}")
        raise typer.Exit(1) from None
    print_summary(console, report)
    raise typer.Exit(report.exit_code)


async def _demo(config: SandboxConfig, view: View) -> Report:
    async with SandboxProcess(config, max_seconds=A_DAY) as sandbox:
        resets = Resets(sandbox.vps_ids)
        # One of its own: with the shared one, the wait for a permit would be bounded.
        budget = Budget(max_wait=A_DAY)
        async with Client(
            sandbox.api_key, base_url=sandbox.url, budget=budget, on_event=resets.count
        ) as client:
            with until_stopped() as scope, showing(view, lambda: resets.progress(client)):
                await resets.run(client)
                await _jobs_over(sandbox)
        books = await sandbox.books()
    return Report(resets.outcomes, books, resets.seconds, interrupted=scope.cancel_called)


async def _jobs_over(sandbox: SandboxHandle) -> None:
    """Nobody watches the jobs of unknown resets, and the books shall tell their end too."""
    while any(job.finished is None for job in (await sandbox.books()).jobs.values()):  # noqa: ASYNC110 - they end in another process
        await anyio.sleep(_BETWEEN_LOOKS)


def run_sandbox(config: SandboxConfig, *, port: int) -> None:
    """Serve until Ctrl-C or SIGTERM, then print what was done."""
    try:
        books = run(lambda: _serve(config, port))
    except OSError as error:
        _say(f"hostup sandbox: {error}")
        raise typer.Exit(1) from None
    _say(_in_short(books))


async def _serve(config: SandboxConfig, port: int) -> Books:
    async with Sandbox(config, port=port) as sandbox:
        with until_stopped():
            typer.echo(f"export HOSTUP_API_BASE={sandbox.url} HOSTUP_API_KEY={sandbox.api_key}")
            sys.stdout.flush()
            _say(f"Serving {config.vps} VPSes: {describe(config)}. Ctrl-C ends it.")
            await anyio.sleep_forever()
        return await sandbox.books()


def _in_short(books: Books) -> str:
    done, twice = len(books.resets), len(books.reset_twice)
    return f"{requests_in_words(books)} VPSes reset: {done}, reset twice: {twice}."


def _say(text: str) -> None:
    typer.echo(text, err=True)
