"""The commands on recorded runs: list, show, resume, abandon, draw."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Final

import typer
from rich.console import Console
from rich.text import Text

from hostup_async import (
    AuditRecord,
    Client,
    Entry,
    FleetRun,
    RunRecord,
    Store,
    open_store,
)
from hostup_async._store.owner import whoami
from hostup_async._text import printable
from hostup_async.cli._exits import CommandFailed
from hostup_async.cli._inputs.account import existing_store, find_account, open_to_read
from hostup_async.cli._inputs.profiles import read_profile
from hostup_async.cli._options import (
    AccountOptions,
    LimitOptions,
    Listing,
    Output,
    StoreOptions,
)
from hostup_async.cli._output import json_lines
from hostup_async.cli._output.files import replace_file
from hostup_async.cli._output.format import format_local
from hostup_async.cli._output.listing import Column, Listed
from hostup_async.cli._output.screen import emit, screen, truncate
from hostup_async.cli._output.words import STYLES, in_words
from hostup_async.cli._signals import run as run_loop
from hostup_async.cli._work.fleet import store_flags, work_on

_LAST = "last"
_SHOWN = 20
Recorded = tuple[RunRecord, list[Entry], list[AuditRecord]]


def _where(store_options: StoreOptions, account_options: AccountOptions) -> str:
    return existing_store(store_options.store, read_profile(account_options.profile))


def list_runs(
    store_options: StoreOptions, account_options: AccountOptions, listing: Listing, limit: int
) -> None:
    """Print the newest runs."""
    RUNS.check(listing)
    store = _where(store_options, account_options)

    async def read() -> list[RunRecord]:
        async with open_to_read(store) as opened:
            return await opened.runs(limit)

    RUNS.write(screen(), listing, run_loop(read))


def show_run(
    run_id: str, store_options: StoreOptions, account_options: AccountOptions, output: Output
) -> None:
    """Print one run: its outcomes, what did not complete, and its audit trail."""
    run, entries, audit = _read(run_id, _where(store_options, account_options))
    console = screen()
    if output.json:
        lines = [json_lines.run_event(run)]
        lines += [json_lines.entry_event(run.id, entry) for entry in entries]
        emit(console, *lines, *map(json_lines.audit_event, audit))
        return
    console.print(f"Run {run.id}: {run.action} at {run.origin}, {run.state}", style="bold")
    console.print(printable(f"By {run.who}, {format_local(run.created_at)}. {run.reason or ''}"))
    for state, count in sorted(run.counts.items()):
        console.print(Text(f"{count:8}  {in_words(state.value)}", STYLES[state.value]))
    _show_entries(console, entries, verbose=output.verbose)
    for line in audit:
        console.print(printable(f"{format_local(line.at)}  {line.what}  {line.who}"), style="dim")


def _show_entries(console: Console, entries: Sequence[Entry], *, verbose: bool) -> None:
    shown = [entry for entry in entries if verbose or (entry.reason and entry.state != "completed")]
    lines = (f"{one.vps_id}  {in_words(one.state.value)}  {one.reason or ''}" for one in shown)
    for line in truncate(lines, len(shown) if verbose else _SHOWN):
        console.print(printable(line), soft_wrap=True)


def resume_run(
    run_id: str,
    store_options: StoreOptions,
    account_options: AccountOptions,
    limit_options: LimitOptions,
    output: Output,
    *,
    other_key: bool,
) -> None:
    """Resume a run, and exit with the code for its outcome."""
    account = find_account(account_options, limit_options)
    store = existing_store(store_options.store, account.profile)
    found = _find(run_id, store)

    async def begin(client: Client) -> FleetRun:
        return await client.fleet.resume(found, store=store, other_key=other_key)

    flags = store_flags(store_options)
    raise typer.Exit(work_on(begin, account, output, store, flags=flags))


def abandon_run(
    run_id: str, store_options: StoreOptions, account_options: AccountOptions, reason: str | None
) -> None:
    """End a run for good, and print the states that its VPSes are in."""
    store = _where(store_options, account_options)

    async def abandon() -> RunRecord:
        async with open_store(store) as opened:
            found = await _id(opened, run_id)
            return await opened.abandon(found, who=whoami(), reason=reason or "")

    run = run_loop(abandon)
    screen().print(f"Run {run.id} is abandoned: {_counts(run)}. Its VPSes are free for other runs.")


def draw_run(
    run_id: str, store_options: StoreOptions, account_options: AccountOptions, path: Path | None
) -> None:
    """Write the HTML report of a run."""
    recorded = _read(run_id, _where(store_options, account_options))
    try:
        html = import_module("hostup_async.cli._html")
    except ImportError as error:
        message = f"the report needs more packages ({error}): pip install 'hostup[report]'"
        raise CommandFailed(message) from None
    target = path or Path(f"hostup-{recorded[0].id}.html")
    replace_file(target, html.render(*recorded))
    screen().print(f"Wrote {target}", soft_wrap=True)


def _read(run_id: str, store: str) -> Recorded:
    async def read() -> Recorded:
        async with open_to_read(store) as opened:
            found = await _id(opened, run_id)
            entries = [entry async for entry in opened.entries(found)]
            return await opened.run(found), entries, await opened.audit(found)

    return run_loop(read)


def _find(run_id: str, store: str) -> str:
    async def read() -> str:
        async with open_to_read(store) as opened:
            return await _id(opened, run_id)

    return run_loop(read)


async def _id(store: Store, run_id: str) -> str:
    if run_id != _LAST:
        return run_id
    newest = await store.runs(1)
    if not newest:
        message = "the store has no runs yet"
        raise CommandFailed(message)
    return newest[0].id


def _counts(run: RunRecord) -> str:
    return ", ".join(f"{count} {in_words(state)}" for state, count in sorted(run.counts.items()))


RUNS: Final = Listed[RunRecord](
    event="run",
    columns=(
        Column("Id", lambda run: run.id),
        Column("State", lambda run: run.state.value),
        Column("Action", lambda run: run.action.value),
        Column("Begun", lambda run: format_local(run.created_at)),
        Column("VPSes", _counts),
        Column("Reason", lambda run: run.reason),
        Column("By", lambda run: run.who, is_wide=True),
        Column("API", lambda run: run.origin, is_wide=True),
        Column("Key", lambda run: run.fingerprint, is_wide=True),
    ),
    members=json_lines.run_members,
)
