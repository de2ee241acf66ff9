"""The commands on recorded runs: list, abandon, draw."""

from importlib import import_module
from pathlib import Path
from typing import Final

from hostup_async import RunRecord, Store, open_store
from hostup_async._store.owner import whoami
from hostup_async.cli._exits import CommandFailed
from hostup_async.cli._inputs.account import open_to_read, recorded_store
from hostup_async.cli._options import AccountOptions, Confirmation, Listing, StoreOptions
from hostup_async.cli._output import json_lines
from hostup_async.cli._output.files import replace_file
from hostup_async.cli._output.format import format_local
from hostup_async.cli._output.listing import Column, Listed
from hostup_async.cli._output.screen import screen
from hostup_async.cli._signals import run as run_loop
from hostup_async.cli._work.plan import ask
from hostup_async.cli._work.recorded import (
    counts_in_words,
    find_id,
    read_recorded,
    state_in_words,
)


def list_runs(
    store_options: StoreOptions, account_options: AccountOptions, listing: Listing, limit: int
) -> None:
    """Print the newest runs."""
    RUNS.check(listing)
    store = recorded_store(store_options, account_options)

    async def read() -> list[RunRecord]:
        async with open_to_read(store) as opened:
            return await opened.runs(limit)

    RUNS.write(screen(), listing, run_loop(read))


def abandon_run(
    run_id: str,
    store_options: StoreOptions,
    account_options: AccountOptions,
    reason: str | None,
    confirmation: Confirmation,
) -> None:
    """End a run for good, once that is confirmed, and print the states that its VPSes are in.

    Raises:
        CommandFailed: It was not confirmed, or a living process works on it.
    """
    store = recorded_store(store_options, account_options)

    async def find() -> RunRecord:
        async with open_store(store) as opened:
            return await opened.run(await _open_id(opened, run_id))

    async def abandon() -> RunRecord:
        async with open_store(store) as opened:
            return await opened.abandon(found.id, who=whoami(), reason=reason or "")

    found = run_loop(find)
    if found.state.is_open and found.holder is None:
        _ask(found, confirmation)
    run = run_loop(abandon)
    counts = counts_in_words(run)
    screen().print(f"Run {run.id} is abandoned: {counts}. Its VPSes are free for other runs.")


def _ask(run: RunRecord, confirmation: Confirmation) -> None:
    question = (
        f"Run {run.id} is {state_in_words(run)}: {counts_in_words(run)}. Abandoned, it can never "
        "be resumed: what is planned is not sent, what was not answered stays ambiguous, and jobs "
        "are followed no further.\nTo abandon it, type abandon: "
    )
    ask(question, "abandon", f"to abandon run {run.id} needs confirmation", confirmation)


async def _open_id(store: Store, run_id: str) -> str:
    """The id of a run: itself, or that of the newest run that is open for `last`."""
    return await find_id(
        store,
        run_id,
        is_meant=lambda run: run.state.is_open,
        none="no run can be abandoned: nothing is left to do of those that the store has",
    )


def draw_run(
    run_id: str, store_options: StoreOptions, account_options: AccountOptions, path: Path | None
) -> None:
    """Write the HTML report of a run."""
    recorded = read_recorded(run_id, recorded_store(store_options, account_options))
    try:
        html = import_module("hostup_async.cli._html")
    except ImportError as error:
        message = f"the report needs more packages ({error}): pip install 'hostup[report]'"
        raise CommandFailed(message) from None
    target = path or Path(f"hostup-{recorded.record.id}.html")
    replace_file(target, html.render(recorded.record, recorded.entries, recorded.audit))
    screen().print(f"Wrote {target}", soft_wrap=True)


RUNS: Final = Listed[RunRecord](
    event="run",
    columns=(
        Column("Id", lambda run: run.id),
        Column("State", state_in_words),
        Column("Action", lambda run: run.action.value),
        Column("Begun", lambda run: format_local(run.created_at)),
        Column("VPSes", counts_in_words),
        Column("Reason", lambda run: run.reason),
        Column("By", lambda run: run.who, is_wide=True),
        Column("API", lambda run: run.origin, is_wide=True),
        Column("Key", lambda run: run.fingerprint, is_wide=True),
    ),
    members=json_lines.run_members,
)
