"""`hostup fleet resume`: chooses the run, shows what is left of it, and resumes it."""

from collections.abc import Iterator
from typing import Any, Final

import typer
from attrs import evolve, frozen
from rich.console import Console

from hostup_async import (
    Client,
    EntryState,
    FleetPolicy,
    FleetRun,
    Plan,
    RunRecord,
    open_store,
)
from hostup_async._text import printable
from hostup_async.cli._exits import CommandFailed
from hostup_async.cli._inputs.account import (
    Account,
    command_line,
    existing_store,
    find_account,
    store_flags,
)
from hostup_async.cli._inputs.policy import count_or_share
from hostup_async.cli._options import (
    AccountOptions,
    Confirmation,
    LimitOptions,
    Output,
    StoreOptions,
)
from hostup_async.cli._output import json_lines
from hostup_async.cli._output.format import format_local
from hostup_async.cli._output.screen import emit, screen, vpses
from hostup_async.cli._run_options import NewBounds
from hostup_async.cli._signals import run as run_loop
from hostup_async.cli._work.fleet import work_on
from hostup_async.cli._work.plan import confirm_number, limits_in_words
from hostup_async.cli._work.recorded import LAST, SEARCHED, counts_in_words, state_in_words

_NO_BOUND: Final = "none"


@frozen
class ResumeCommand:
    """`fleet resume` with all of its options."""

    run_id: str
    other_key: bool
    bounds: NewBounds
    confirmation: Confirmation
    store: StoreOptions
    output: Output
    account: AccountOptions
    limits: LimitOptions


@frozen
class _Resumption:
    """A run that can be resumed, and how it behaves from then on."""

    run: RunRecord
    plan: Plan
    policy: FleetPolicy
    changes: dict[str, Any]

    @property
    def unsent(self) -> int:
        """How many VPSes are still to be sent their action."""
        return self.run.counts.get(EntryState.PLANNED, 0)


def resume_run(command: ResumeCommand) -> None:
    """Resume a run, and exit with the code for its outcome.

    Raises:
        CommandFailed: No run can be resumed, or it was not confirmed.
    """
    account = find_account(command.account, command.limits)
    store = existing_store(command.store.store, account.profile)
    found = run_loop(lambda: _find(command, account, store))
    dry_run, output, console = command.confirmation.dry_run, command.output, screen()
    if output.json:
        emit(console, json_lines.run_event(found.run), _as_json(found, dry_run=dry_run))
    elif not output.quiet or dry_run:
        _show(console, found, dry_run=dry_run)
    if dry_run:
        return
    if command.run_id == LAST or found.changes:
        confirm_number(found.plan.action, found.unsent, command.confirmation)

    async def begin(client: Client) -> FleetRun:
        return await client.fleet.resume(
            found.run.id, store=store, policy=found.policy, other_key=command.other_key
        )

    flags = store_flags(command.store)
    raise typer.Exit(work_on(begin, account, output, store, flags=flags))


async def _find(command: ResumeCommand, account: Account, store: str) -> _Resumption:
    client = account.client()
    async with open_store(store) as opened:
        run_id = command.run_id
        if run_id == LAST:
            runs = await client.fleet.resumable(store=opened)
            if not runs:
                raise CommandFailed(_none_can_be_resumed(await opened.runs(SEARCHED)))
            run_id = runs[0].id
        run = await opened.run(run_id)
        # Makes sure, before anything is shown, that it can be resumed with this account.
        await client.fleet.resume(run_id, store=opened, other_key=command.other_key)
    if run.holder is not None:
        message = (
            f"run {run.id} is worked on by {run.holder}: see it with "
            f"{command_line('fleet', 'status', run.id, '--watch')}"
        )
        raise CommandFailed(message)
    before = FleetPolicy.from_json(run.policy)
    changes = read_bounds(command.bounds)
    policy = evolve(before, **changes)
    changed = {name: value for name, value in changes.items() if value != getattr(before, name)}
    return _Resumption(run, Plan.from_json(run.plan), policy, changed)


def read_bounds(bounds: NewBounds) -> dict[str, Any]:
    """The fields of a policy that the options set, with their values.

    Raises:
        CommandFailed: A value cannot be read.
    """
    changes: dict[str, Any] = {
        "canary": bounds.canary,
        "max_in_flight": bounds.max_in_flight,
        "on_ambiguous": bounds.on_ambiguous,
    }
    given = {name: value for name, value in changes.items() if value is not None}
    for name in ("max_failures", "max_ambiguous"):
        text = getattr(bounds, name)
        if text is not None:
            option = f"--{name.replace('_', '-')}"
            given[name] = None if text == _NO_BOUND else count_or_share(option, text)
    return given


def _none_can_be_resumed(runs: list[RunRecord]) -> str:
    open_runs = [run for run in runs if run.state.is_open]
    if not open_runs:
        return "no run can be resumed: nothing is left to do of those that the store has"
    newest = open_runs[0]
    if newest.holder is not None:
        return f"no run can be resumed: {newest.holder} still works on run {newest.id}"
    return (
        f"no run of this API and key can be resumed. Run {newest.id} was begun at {newest.origin} "
        f"with key {newest.fingerprint}: choose the profile of that key, or name the run"
    )


def _show(console: Console, found: _Resumption, *, dry_run: bool) -> None:
    run = found.run
    begun = f"{state_in_words(run)}, begun {format_local(run.created_at)} by {run.who}"
    console.print(f"Resume run {run.id}: {run.action} at {run.origin}", style="bold")
    console.print(printable(f"{begun}: {counts_in_words(run)}"), soft_wrap=True)
    for line in _what_is_left(found):
        console.print(line, soft_wrap=True)
    if dry_run:
        console.print("Dry run: nothing was sent, and nothing was recorded.")


def _what_is_left(found: _Resumption) -> Iterator[str]:
    counts = found.run.counts
    if followed := counts.get(EntryState.ACCEPTED):
        yield f"{vpses(followed)}: the job is followed to its end."
    if doubtful := counts.get(EntryState.INTENT):
        yield f"{vpses(doubtful)} without an answer: the VPS's own status shows what happened."
    if found.changes:
        changes = found.changes.items()
        pairs = (f"{name} {_NO_BOUND if value is None else value}" for name, value in changes)
        yield f"New bounds: {', '.join(pairs)}"
    if found.unsent:
        yield f"Still to be sent the action: {found.unsent} of {vpses(len(found.plan))}."
        yield from limits_in_words(found.plan, found.policy)


def _as_json(found: _Resumption, *, dry_run: bool) -> str:
    counts = found.run.counts
    return json_lines.line(
        "resume",
        {
            "run_id": found.run.id,
            "to_send": found.unsent,
            "to_follow": counts.get(EntryState.ACCEPTED, 0),
            "to_settle": counts.get(EntryState.INTENT, 0),
            "changes": found.changes,
            "dry_run": dry_run,
        },
    )
