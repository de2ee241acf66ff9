"""`hostup fleet follow`: asks again what became of a run's jobs, and sends no action."""

from collections.abc import Mapping

import typer
from attrs import frozen
from rich.console import Console

from hostup_async import EntryState, Event, FleetReport, OutcomeKnown, Plan, RunRecord, open_store
from hostup_async._text import printable
from hostup_async.cli._exits import CommandFailed, ExitCode
from hostup_async.cli._inputs.account import existing_store, find_account, print_wait
from hostup_async.cli._inputs.policy import duration
from hostup_async.cli._options import AccountOptions, LimitOptions, Output, StoreOptions
from hostup_async.cli._output import json_lines
from hostup_async.cli._output.reasons import in_columns
from hostup_async.cli._output.screen import emit, screen, vpses
from hostup_async.cli._output.words import describe
from hostup_async.cli._signals import run as run_loop
from hostup_async.cli._signals import until_stopped
from hostup_async.cli._work.recorded import find_id
from hostup_async.cli._work.run import FinishedRun
from hostup_async.cli._work.verdict import exit_code, show_report

_FOLLOWED = (EntryState.ACCEPTED, EntryState.TIMED_OUT, EntryState.NOT_FOLLOWED)


@frozen
class FollowCommand:
    """`fleet follow` with all of its options."""

    run_id: str
    timeout: str | None
    store: StoreOptions
    output: Output
    account: AccountOptions
    limits: LimitOptions


def follow_run(command: FollowCommand) -> None:
    """Follow the jobs of a run, and exit with the code for what became of all of its VPSes.

    Raises:
        CommandFailed: A process works on the run, or a signal ended the wait.
    """
    account = find_account(command.account, command.limits)
    store = existing_store(command.store.store, account.profile)
    timeout = None if command.timeout is None else duration("--timeout", command.timeout)
    console, names = screen(), dict[str, str]()

    def show(event: Event) -> None:
        if isinstance(event, OutcomeKnown):
            _show_outcome(console, event, command.output, names)
        else:
            print_wait(event)

    async def follow() -> FleetReport | None:
        async with open_store(store) as opened:
            run = await opened.run(await find_id(opened, command.run_id))
        names.update(Plan.from_json(run.plan).names)
        if not command.output.json and not command.output.quiet:
            console.print(_what_is_followed(run), soft_wrap=True)
        report: FleetReport | None = None
        with until_stopped():
            async with account.client(show) as client:
                report = await client.fleet.follow(run.id, store=store, timeout=timeout)
        return report

    report = run_loop(follow)
    if report is None:
        message = "interrupted: what was found until now is recorded, and nothing was sent"
        raise CommandFailed(message, ExitCode.INTERRUPTED)
    code = exit_code(FinishedRun(report, interrupted=False), left_out=False)
    _sum_up(console, report, command.output, code, names)
    raise typer.Exit(code)


def _what_is_followed(run: RunRecord) -> str:
    jobs = sum(run.counts.get(state, 0) for state in _FOLLOWED)
    unsettled = run.counts.get(EntryState.PLANNED, 0) + run.counts.get(EntryState.INTENT, 0)
    resume = f" The rest ({vpses(unsettled)}) needs hostup fleet resume {run.id}."
    return f"Run {run.id}: {vpses(jobs)} to ask about.{resume if unsettled else ''}"


def _show_outcome(
    console: Console, event: OutcomeKnown, output: Output, names: Mapping[str, str]
) -> None:
    vps_id = event.outcome.vps_id
    if output.json:
        emit(console, json_lines.outcome_event(event.run_id, event.outcome, names.get(vps_id)))
    else:
        text = printable(f"{in_columns(vps_id, names)}  {describe(event.outcome)}")
        console.print(text, soft_wrap=True)


def _sum_up(
    console: Console,
    report: FleetReport,
    output: Output,
    code: ExitCode,
    names: Mapping[str, str],
) -> None:
    if not output.json:
        show_report(console, report, names)
        return
    end = {"interrupted": False, "resume": None, "exit_code": code}
    emit(console, json_lines.report_event(report, end))
