"""The commands that act: plan, show the plan, confirm, run, sum up."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import typer
from attrs import frozen
from rich.console import Console

from hostup_async import (
    Action,
    Client,
    FleetPolicy,
    FleetRun,
    Plan,
    RunRecord,
    StoreError,
    open_store,
)
from hostup_async.cli._exits import CommandFailed, ExitCode
from hostup_async.cli._inputs.account import (
    READING,
    RUNNING,
    Account,
    command_line,
    find_account,
    find_store,
    store_exists,
    store_flags,
)
from hostup_async.cli._inputs.paths import NO_STORE
from hostup_async.cli._inputs.policy import make_policy
from hostup_async.cli._inputs.targets import EXCLUDED, exclude, excluded_ids, selector
from hostup_async.cli._options import (
    AccountOptions,
    Confirmation,
    LimitOptions,
    Output,
    PolicyOptions,
    Selection,
    StoreOptions,
)
from hostup_async.cli._output import json_lines
from hostup_async.cli._output.screen import emit, screen
from hostup_async.cli._output.views import make_view
from hostup_async.cli._output.waits import Waits
from hostup_async.cli._run_options import FromRun
from hostup_async.cli._signals import run as run_loop
from hostup_async.cli._work.from_run import RunTargets, read_targets
from hostup_async.cli._work.plan import confirm_number, show_plan
from hostup_async.cli._work.run import FinishedRun, execute
from hostup_async.cli._work.verdict import exit_code, show_report


@frozen
class FleetCommand:
    """A command that acts, with all of its options."""

    action: str
    ids: list[str]
    selection: Selection
    force: bool
    policy: PolicyOptions
    account: AccountOptions
    limits: LimitOptions
    store: StoreOptions
    confirmation: Confirmation
    output: Output
    source: FromRun


def act(command: FleetCommand) -> None:
    """Plan, show the plan, confirm, run; exits with the code for the outcome.

    Raises:
        CommandFailed: The plan is empty, or was not confirmed.
    """
    policy = make_policy(command.policy)
    account = find_account(command.account, command.limits)
    store = find_store(command.store.store, account.profile)
    of_run = read_targets(
        command.source, command.ids, command.selection, command.store.store, account.profile
    )
    chosen = selector(command.ids, command.selection) if of_run is None else {"ids": of_run.ids}
    plan, skipped = make_plan(command, account, chosen, policy, store)
    if of_run is not None:
        of_run.refuse_other_api(plan)
    write_plan(command, plan, policy, skipped, of_run)
    if not len(plan):
        message = "nothing is left to do: every VPS was left out, or there is none"
        raise CommandFailed(message)
    if command.confirmation.dry_run:
        return
    always = of_run is not None and of_run.may_act_twice
    confirm_number(plan.action, len(plan), command.confirmation, always=always)
    is_listed = bool(command.ids or command.selection.from_file)
    left_out = is_listed and any(one.reason != EXCLUDED for one in plan.excluded)

    async def begin(client: Client) -> FleetRun:
        return client.fleet.run(plan, policy, store=None if store == NO_STORE else store)

    flags = store_flags(command.store)
    raise typer.Exit(work_on(begin, account, command.output, store, flags=flags, left_out=left_out))


def make_plan(
    command: FleetCommand,
    account: Account,
    chosen: dict[str, Any],
    policy: FleetPolicy,
    store: str,
) -> tuple[Plan, dict[str, str]]:
    """Make the plan that the options describe. Sends only requests that read.

    Returns:
        The plan, and the VPSes that a run of it would skip now, with the reasons.
    """
    left_out = excluded_ids(command.selection)

    async def plan() -> tuple[Plan, dict[str, str]]:
        async with account.client(patience=READING) as client:
            whole = await client.fleet.plan(
                **chosen,
                action=Action(command.action),
                preflight=command.selection.preflight,
                force=command.force,
            )
            made = exclude(whole, left_out)
            if store == NO_STORE or not store_exists(store):
                return made, {}
            return made, await client.fleet.conflicts(made, policy, store=store)

    return run_loop(plan)


def write_plan(
    command: FleetCommand,
    plan: Plan,
    policy: FleetPolicy,
    skipped: dict[str, str],
    of_run: RunTargets | None,
) -> None:
    """Write the plan: as JSON, or for people unless they asked for quiet."""
    output, dry_run, console = command.output, command.confirmation.dry_run, screen()
    if output.json:
        emit(console, json_lines.plan_event(plan, dry_run=dry_run, skipped=skipped))
    elif not output.quiet or dry_run:
        if of_run is not None:
            console.print(of_run.in_words(), soft_wrap=True)
        show_plan(console, plan, policy, skipped=skipped, verbose=output.verbose)
    for warning in () if of_run is None else of_run.warnings():
        typer.echo(warning, err=True)
    if dry_run and not output.json:
        console.print("Dry run: nothing was sent.")


def work_on(
    begin: Callable[[Client], Awaitable[FleetRun]],
    account: Account,
    output: Output,
    store: str,
    *,
    flags: list[str],
    left_out: bool = False,
) -> ExitCode:
    """Execute a run, sum it up, and return its exit code.

    Args:
        begin: Makes the run, new or resumed.
        account: The account whose VPSes it acts on.
        output: How much to show.
        store: Where the run is recorded; `none` for nowhere.
        flags: Options that lead another command to this store.
        left_out: Whether a VPS that was named by its id is not in the plan.
    """
    console = screen()

    waits = Waits(RUNNING if account.patience is None else account.patience)

    async def work() -> tuple[FleetRun, FinishedRun, bool]:
        async with account.client(waits.listen) as client:
            run = await begin(client)
            waits.names = run.plan.names
            view = make_view(console, output, run.id, wait=waits.in_words, names=run.plan.names)
            place = "not recorded" if store == NO_STORE else f"recorded in {store}"
            finished = await execute(run, view, lambda: view.show_message(f"Run {run.id}, {place}"))
        return run, finished, await is_open(store, run.id)

    run, finished, can_resume = run_loop(work)
    code = exit_code(finished, left_out=left_out)
    resume = command_line("fleet", "resume", run.id, *flags, *account.flags)
    _sum_up(console, output, finished, resume if can_resume else None, code, run.plan.names)
    return code


async def is_open(store: str, run_id: str) -> bool:
    """Whether the run can be resumed."""
    if store == NO_STORE:
        return False
    try:
        async with open_store(store) as opened:
            record: RunRecord = await opened.run(run_id)
    except StoreError:
        return True  # the store cannot be read now; once it can, the run can be resumed
    return record.state.is_open


def _sum_up(
    console: Console,
    output: Output,
    finished: FinishedRun,
    resume: str | None,
    code: ExitCode,
    names: Mapping[str, str],
) -> None:
    if output.json:
        end = {"interrupted": finished.interrupted, "resume": resume, "exit_code": code}
        emit(console, json_lines.report_event(finished.report, end))
        return
    show_report(console, finished.report, names)
    if resume:
        console.print(f"Resume with: {resume}", soft_wrap=True)
