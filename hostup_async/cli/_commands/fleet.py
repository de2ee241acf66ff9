"""The `fleet` commands: plan, reset, and everything about recorded runs."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from hostup_async.cli._commands.help import Commands
from hostup_async.cli._commands.option_groups import expand_option_groups
from hostup_async.cli._commands.power import add_power_command
from hostup_async.cli._exits import report_errors
from hostup_async.cli._options import (
    AccountOptions,
    Confirmation,
    Force,
    Ids,
    LimitOptions,
    Listing,
    Output,
    PolicyOptions,
    Run,
    Selection,
    StoreOptions,
)
from hostup_async.cli._run_options import FromRun, NewBounds, OpenRun, Reason, Watching

fleet = Commands("Plan, resume, list and draw fleet runs.")
add_power_command(fleet, "reset")


@fleet.command(no_args_is_help=True)
@report_errors
@expand_option_groups
def plan(  # noqa: PLR0913 - each is a group of options
    *,
    ids: Ids = None,
    action: Annotated[
        Literal["reset", "restart", "start", "stop", "shutdown"],
        typer.Option(help="What to do with each VPS."),
    ] = "reset",
    selection: Selection,
    source: FromRun,
    force: Force,
    policy: PolicyOptions,
    output: Output,
    store: StoreOptions,
    account: AccountOptions,
    limits: LimitOptions,
) -> None:
    """Show what a run would do, without acting.

    Sends only requests that read, and records nothing. VPSes that cannot be acted on are left out,
    with the reason; those that a run would skip, because another run holds them or acted on them
    within the cooldown, are listed too.
    """
    from hostup_async.cli._work.fleet import FleetCommand, act  # noqa: PLC0415 - --help need not wait

    act(
        FleetCommand(
            action=action,
            ids=ids or [],
            selection=selection,
            force=force.force,
            policy=policy,
            account=account,
            limits=limits,
            store=store,
            confirmation=Confirmation(dry_run=True),
            output=output,
            source=source,
        )
    )


@fleet.command()
@report_errors
@expand_option_groups
def resume(  # noqa: PLR0913 - each is an option or a group of them
    *,
    run_id: OpenRun = "last",
    other_key: Annotated[
        bool,
        typer.Option(
            "--other-key",
            help="Resume although the run was begun with another key. This one must be of the same "
            "account, or its VPSes are not found.",
        ),
    ] = False,
    bounds: NewBounds,
    confirmation: Confirmation,
    store: StoreOptions,
    output: Output,
    account: AccountOptions,
    limits: LimitOptions,
) -> None:
    """Resume a run that was interrupted, killed or stopped.

    Follows the jobs that were accepted, finds out by the VPS's own uptime what became of
    requests without an answer, and sends what was never sent. Nothing is sent twice, also after
    kill -9.

    The run keeps the bounds that it was begun with, but for those given here, which are recorded
    with it. Where you name no run, or change bounds, you confirm more than ten VPSes that are
    still to be sent by typing their number (--yes in scripts).
    """
    from hostup_async.cli._work.resume import ResumeCommand, resume_run  # noqa: PLC0415 - --help need not wait

    resume_run(
        ResumeCommand(run_id, other_key, bounds, confirmation, store, output, account, limits)
    )


@fleet.command()
@report_errors
@expand_option_groups
def status(
    *,
    run_id: Run = "last",
    watching: Watching,
    store: StoreOptions,
    output: Output,
    account: AccountOptions,
) -> None:
    """Show a run: its policy, its outcomes, what is in flight, and its audit trail.

    A run whose process was killed is shown as interrupted, with the command that resumes it.
    """
    from hostup_async.cli._work.status import StatusCommand, show_run  # noqa: PLC0415 - --help need not wait

    show_run(StatusCommand(run_id, watching, store, output, account))


@fleet.command()
@report_errors
@expand_option_groups
def runs(
    *,
    limit: Annotated[int, typer.Option(min=1, help="Number of runs to list.")] = 20,
    store: StoreOptions,
    listing: Listing,
    account: AccountOptions,
) -> None:
    """List the recorded runs, newest first."""
    from hostup_async.cli._work.history import list_runs  # noqa: PLC0415 - --help need not wait

    list_runs(store, account, listing, limit)


@fleet.command()
@report_errors
@expand_option_groups
def report(
    *,
    run_id: Run = "last",
    file: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="File to write. Default: hostup-RUN.html."
        ),
    ] = None,
    store: StoreOptions,
    account: AccountOptions,
) -> None:
    """Draw a run as one HTML file.

    It shows the timeline with its pauses, how long jobs took, the reasons of failures, and every
    VPS in a table to search, filter and sort. It needs no network to be read.
    """
    from hostup_async.cli._work.history import draw_run  # noqa: PLC0415 - --help need not wait

    draw_run(run_id, store, account, file)


@fleet.command()
@report_errors
@expand_option_groups
def abandon(
    *,
    run_id: Run,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    reason: Reason = None,
    store: StoreOptions,
    account: AccountOptions,
) -> None:
    """End a stopped run for good, and free its VPSes for other runs.

    Asks first, by the word abandon to be typed (--yes in scripts). last means the newest run with
    something left to do.
    """
    from hostup_async.cli._work.history import abandon_run  # noqa: PLC0415 - --help need not wait

    abandon_run(run_id, store, account, reason, Confirmation(yes=yes))
