"""The `fleet` commands on a run that another process works on, or that left jobs behind."""

from typing import Annotated, Final

import typer

from hostup_async.cli._commands import fleet as others
from hostup_async.cli._commands.option_groups import expand_option_groups
from hostup_async.cli._exits import report_errors
from hostup_async.cli._options import AccountOptions, LimitOptions, Output, Run, StoreOptions
from hostup_async.cli._run_options import Reason

fleet: Final = others.fleet  # all of its commands, once this module is imported

_RunAtWork = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="Id of the run. last means the newest one that a process works on."
    ),
]


@fleet.command()
@report_errors
@expand_option_groups
def pause(
    *,
    run_id: _RunAtWork,
    reason: Reason = None,
    store: StoreOptions,
    account: AccountOptions,
) -> None:
    """Pause a run that another process works on: it sends nothing until it is unpaused.

    The process notices within seconds, and follows what is in flight. The audit trail has it.
    """
    from hostup_async.cli._work.pause import pause_run  # noqa: PLC0415 - --help need not wait

    pause_run(run_id, store, account, reason)


@fleet.command()
@report_errors
@expand_option_groups
def unpause(*, run_id: _RunAtWork, store: StoreOptions, account: AccountOptions) -> None:
    """Let a paused run go on sending."""
    from hostup_async.cli._work.pause import unpause_run  # noqa: PLC0415 - --help need not wait

    unpause_run(run_id, store, account)


@fleet.command()
@report_errors
@expand_option_groups
def follow(
    *,
    run_id: Run = "last",
    timeout: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="How long to wait for each job: 60, 5m. Default: the job timeout of the run.",
        ),
    ] = None,
    store: StoreOptions,
    output: Output,
    account: AccountOptions,
    limits: LimitOptions,
) -> None:
    """Ask again what became of a run's jobs that timed out or were not followed.

    Sends no action, ever. What a job or the VPS's own status proves is recorded in the run, and the
    rest stays as it was. The exit code is that of all outcomes of the run.
    """
    from hostup_async.cli._work.follow import FollowCommand, follow_run  # noqa: PLC0415 - --help need not wait

    follow_run(FollowCommand(run_id, timeout, store, output, account, limits))
