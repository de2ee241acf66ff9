"""What the commands that act do: plan, show, ask, run, sum up."""

from collections.abc import Awaitable, Callable

import typer
from attrs import frozen
from rich.console import Console

from hostup_async import Client, FleetPolicy, FleetRun, Plan, RunRecord, StoreError, open_store
from hostup_async.cli._exits import CommandFailed, ExitCode
from hostup_async.cli._inputs.account import (
    READING,
    Account,
    command_line,
    find_account,
    find_store,
)
from hostup_async.cli._inputs.policy import make_policy
from hostup_async.cli._inputs.targets import selector
from hostup_async.cli._options import (
    AccountOptions,
    Confirmation,
    Output,
    PolicyOptions,
    Selection,
    StoreOptions,
)
from hostup_async.cli._output import json_lines
from hostup_async.cli._output.screen import screen
from hostup_async.cli._output.views import make_view
from hostup_async.cli._signals import run as run_loop
from hostup_async.cli._work.plan import agree, show_plan
from hostup_async.cli._work.run import FinishedRun, ForbiddenWatch, carry_out
from hostup_async.cli._work.verdict import exit_code, show_report


@frozen
class FleetCommand:
    """What an acting command was asked for, but for the bounds."""

    action: str
    ids: list[str]
    selection: Selection
    connection: AccountOptions
    stored: StoreOptions
    consent: Confirmation
    output: Output


def act(request: FleetCommand, bounds: PolicyOptions) -> None:
    """Plan, show the plan, ask, carry it out; exits with the code that tells the end."""
    policy = make_policy(bounds)
    account = find_account(request.connection)
    plan = make_plan(request, account)
    tell_plan(plan, policy, request.output, dry_run=request.consent.dry_run)
    if not len(plan):
        message = "nothing is left to do: every VPS was left out, or there is none"
        raise CommandFailed(message)
    if request.consent.dry_run:
        return
    agree(plan, request.consent)
    store = find_store(request.stored.store, account.profile)
    left_out = bool(request.ids or request.selection.from_file) and bool(plan.excluded)

    async def begin(client: Client) -> FleetRun:
        return client.fleet.run(plan, policy, store=_opened(store))

    raise typer.Exit(
        work_on(
            begin, account, request.output, store, flags=_store_flag(request), left_out=left_out
        )
    )


def make_plan(request: FleetCommand, account: Account) -> Plan:
    """The plan that the options describe; sends nothing but reads."""
    chosen = selector(request.ids, request.selection)

    async def plan() -> Plan:
        async with account.client(patience=READING) as client:
            return await client.fleet.plan(
                **chosen,
                action=request.action,
                preflight=request.selection.preflight,
                force=request.selection.force,
            )

    return run_loop(plan)


def tell_plan(
    plan: Plan, policy: FleetPolicy | None, output: Output, *, dry_run: bool = False
) -> None:
    """Show the plan to whoever reads."""
    if output.json:
        console = screen()
        console.file.write(json_lines.plan_event(plan, dry_run=dry_run) + "\n")
        console.file.flush()
    elif not output.quiet or dry_run:
        show_plan(screen(), plan, policy, verbose=output.verbose)
        if dry_run:
            screen().print("Dry run: nothing was sent.")


def _opened(store: str) -> str | None:
    return None if store == "none" else store


def _store_flag(request: FleetCommand) -> list[str]:
    return ["--store", request.stored.store] if request.stored.store else []


def work_on(
    begin: Callable[[Client], Awaitable[FleetRun]],
    account: Account,
    output: Output,
    store: str,
    *,
    flags: list[str],
    left_out: bool = False,
) -> ExitCode:
    """Take a run to its end, and sum it up.

    Args:
        begin: Makes the run, new or resumed.
        account: Whose.
        output: How much to tell.
        store: Where it is recorded; `none` for nowhere.
        flags: Options that lead another command to this store.
        left_out: Whether a VPS that was asked for by its id is not in the plan.
    """
    watch, console = ForbiddenWatch(), screen()

    async def work() -> tuple[FleetRun, FinishedRun, bool]:
        async with account.client(watch) as client:
            run = await begin(client)
            view = make_view(console, output, run.id)
            told = "not recorded" if store == "none" else f"recorded in {store}"
            ended = await carry_out(run, view, lambda: view.say(f"Run {run.id}, {told}"))
        return run, ended, await is_open(store, run.id)

    run, ended, can_resume = run_loop(work)
    code = exit_code(ended, was_forbidden=watch.was_forbidden, left_out=left_out)
    words = ["fleet", "resume", run.id, *flags, *account.flags]
    _sum_up(console, output, ended, command_line(*words) if can_resume else None, code)
    return code


async def is_open(store: str, run_id: str) -> bool:
    """Whether the run can be resumed."""
    if store == "none":
        return False
    try:
        async with open_store(store) as opened:
            record: RunRecord = await opened.run(run_id)
    except StoreError:
        return True  # what is in there will be resumed, once it can be read again
    return record.state.is_open


def _sum_up(
    console: Console, output: Output, ended: FinishedRun, resume: str | None, code: ExitCode
) -> None:
    if output.json:
        report = ended.report.to_dict()
        del report["outcomes"]
        told = {**report, "interrupted": ended.interrupted, "resume": resume, "exit_code": code}
        console.file.write(json_lines.line("report", told) + "\n")
        console.file.flush()
        return
    show_report(console, ended.report)
    if resume:
        console.print(f"Resume with: {resume}", soft_wrap=True)
