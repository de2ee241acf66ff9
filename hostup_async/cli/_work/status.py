"""`hostup fleet status`: one run as it stands, watched until its process is done with it."""

from collections.abc import Callable
from functools import partial
from typing import Final

import anyio
import typer
from attrs import frozen
from rich.live import Live

from hostup_async import RunRecord, Store
from hostup_async.cli._exits import CommandFailed, ExitCode
from hostup_async.cli._inputs.account import open_to_read, recorded_store
from hostup_async.cli._options import AccountOptions, Output, StoreOptions
from hostup_async.cli._output import json_lines
from hostup_async.cli._output.screen import Screen, emit, screen
from hostup_async.cli._run_options import Watching
from hostup_async.cli._signals import run as run_loop
from hostup_async.cli._signals import until_stopped
from hostup_async.cli._work.recorded import (
    RecordedRun,
    counts_in_words,
    find_id,
    read_run,
    resume_command,
    state_in_words,
)
from hostup_async.cli._work.status_text import status_text
from hostup_async.cli._work.verdict import exit_code, recorded_run

# Seconds between two reads of the store: a person sees no more, and 10,000 entries take 0.2 s.
_INTERVAL: Final = 2.0


@frozen
class StatusCommand:
    """`fleet status` with all of its options."""

    run_id: str
    watching: Watching
    store: StoreOptions
    output: Output
    account: AccountOptions


def show_run(command: StatusCommand) -> None:
    """Print one run; with --watch and --wait until no process works on it, then exit.

    The exit code is then the one that the run itself ended with, and 0 otherwise.

    Raises:
        CommandFailed: A signal ended the wait.
    """
    store = recorded_store(command.store, command.account)
    waits = command.watching.watch or command.watching.wait
    console = screen()
    read = partial(_follow if waits else _read, command, store, console)
    run, was_stopped = run_loop(read)
    _print(console, command, run)
    if was_stopped:
        message = f"stopped watching run {run.record.id}, which goes on"
        raise CommandFailed(message, ExitCode.INTERRUPTED)
    if waits:
        raise typer.Exit(exit_code(recorded_run(run), left_out=False))


async def _read(command: StatusCommand, store: str, _: Screen) -> tuple[RecordedRun, bool]:
    async with open_to_read(store) as opened:
        return await read_run(opened, await find_id(opened, command.run_id)), False


async def _follow(command: StatusCommand, store: str, console: Screen) -> tuple[RecordedRun, bool]:
    """The run once no process works on it; whether a signal ended the wait for that."""
    async with open_to_read(store) as opened:
        run_id = await find_id(opened, command.run_id)
        with until_stopped() as scope:
            if command.watching.watch and console.is_live and not command.output.json:
                await _draw_until_over(opened, run_id, command, console)
            else:
                await _until_over(opened, run_id, _show_change(command, console))
        return await read_run(opened, run_id), scope.cancelled_caught


def _show_change(command: StatusCommand, console: Screen) -> Callable[[RunRecord], None]:
    """What shows a run that has changed, where nothing is drawn."""

    def show(run: RunRecord) -> None:
        if command.watching.watch:
            line = json_lines.run_event(run) if command.output.json else _line(run)
            emit(console, line)

    return show


async def _until_over(store: Store, run_id: str, show: Callable[[RunRecord], None]) -> None:
    """Read a run until no process works on it, and show each change."""
    last: RunRecord | None = None
    while True:
        run = await store.run(run_id)
        if last is None or (run.state, run.counts) != (last.state, last.counts):
            show(run)
        if run.holder is None or not run.state.is_open:
            return
        last = run
        await anyio.sleep(_INTERVAL)


def _line(run: RunRecord) -> str:
    return f"{state_in_words(run)}: {counts_in_words(run)}"


async def _draw_until_over(
    store: Store, run_id: str, command: StatusCommand, console: Screen
) -> None:
    """Draw the status anew until no process works on the run; the drawing is then removed."""
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while (run := await read_run(store, run_id)).is_at_work:
            live.update(status_text(run, _resume(run, command), verbose=False), refresh=True)
            await anyio.sleep(_INTERVAL)


def _resume(run: RecordedRun, command: StatusCommand) -> str:
    return resume_command(run.record.id, command.store, command.account)


def _print(console: Screen, command: StatusCommand, run: RecordedRun) -> None:
    if command.output.json:
        lines = [json_lines.run_event(run.record)]
        lines += [json_lines.entry_event(run.record.id, entry) for entry in run.entries]
        emit(console, *lines, *map(json_lines.audit_event, run.audit))
        return
    text = status_text(run, _resume(run, command), verbose=command.output.verbose)
    console.print(text, soft_wrap=True)
