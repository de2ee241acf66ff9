"""The commands on fleets: plan, reset, and what is done with a run that was recorded."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from hostup_async.cli._commands.option_groups import expand_option_groups
from hostup_async.cli._commands.power import RESET
from hostup_async.cli._exits import guarded
from hostup_async.cli._options import (
    AccountOptions,
    Confirmation,
    Ids,
    Output,
    PolicyOptions,
    Run,
    Selection,
    StoreOptions,
)

fleet = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Many VPSes at once: planned, sent within bounds, recorded, resumed.",
)
fleet.command(no_args_is_help=True)(RESET)


@fleet.command(no_args_is_help=True)
@guarded
@expand_option_groups
def plan(
    *,
    ids: Ids = None,
    action: Annotated[
        Literal["reset", "restart", "start", "stop", "shutdown"],
        typer.Option(help="What is done to each VPS."),
    ] = "reset",
    selection: Selection,
    bounds: PolicyOptions,
    output: Output,
    connection: AccountOptions,
) -> None:
    """Show what a run would do, and send nothing but reads.

    What cannot be acted on is left out, and the reason is shown.
    """
    from hostup_async.cli._work.fleet import FleetCommand, act  # noqa: PLC0415 - --help need not wait

    consent = Confirmation(dry_run=True)
    act(
        FleetCommand(action, ids or [], selection, connection, StoreOptions(), consent, output),
        bounds,
    )


@fleet.command()
@guarded
@expand_option_groups
def resume(
    *, run_id: Run, stored: StoreOptions, output: Output, connection: AccountOptions
) -> None:
    """Go on with a run that was interrupted, killed, or stopped.

    What was accepted is followed, what was being sent is settled by the VPS's own uptime, what
    was never sent is sent. Nothing is sent twice. Works after kill -9, too.
    """
    from hostup_async.cli._work.history import resume_run  # noqa: PLC0415 - likewise

    resume_run(run_id, stored, connection, output)


@fleet.command()
@guarded
@expand_option_groups
def status(
    *, run_id: Run = "last", stored: StoreOptions, output: Output, connection: AccountOptions
) -> None:
    """Show a run: how many ended how, what did not complete and why, and who did what."""
    from hostup_async.cli._work.history import show_run  # noqa: PLC0415 - likewise

    show_run(run_id, stored, connection, output)


@fleet.command()
@guarded
@expand_option_groups
def runs(
    *,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 20,
    stored: StoreOptions,
    output: Output,
    connection: AccountOptions,
) -> None:
    """List the runs of the store, newest first."""
    from hostup_async.cli._work.history import list_runs  # noqa: PLC0415 - likewise

    list_runs(stored, connection, output, limit)


@fleet.command()
@guarded
@expand_option_groups
def report(
    *,
    run_id: Run = "last",
    file: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to write it.")
    ] = None,
    stored: StoreOptions,
    connection: AccountOptions,
) -> None:
    """Draw a run: one HTML file with its timeline, its waits and every outcome."""
    from hostup_async.cli._work.history import draw_run  # noqa: PLC0415 - likewise

    draw_run(run_id, stored, connection, file)


@fleet.command()
@guarded
@expand_option_groups
def abandon(
    *,
    run_id: Run,
    reason: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Why; kept in the store's audit trail.")
    ] = None,
    stored: StoreOptions,
    connection: AccountOptions,
) -> None:
    """Give a stopped run up for good, and free its VPSes for other runs."""
    from hostup_async.cli._work.history import abandon_run  # noqa: PLC0415 - likewise

    abandon_run(run_id, stored, connection, reason)
