"""Recorded runs as the commands read them: found by their ids, with entries and audit trail."""

from collections.abc import Callable
from typing import Final

from attrs import frozen

from hostup_async import (
    AuditEvent,
    AuditRecord,
    Entry,
    EntryState,
    RunRecord,
    RunState,
    Store,
)
from hostup_async.cli._exits import CommandFailed
from hostup_async.cli._inputs.account import account_flags, command_line, open_to_read, store_flags
from hostup_async.cli._options import AccountOptions, StoreOptions
from hostup_async.cli._output.words import in_words
from hostup_async.cli._signals import run as run_loop

LAST: Final = "last"
# Runs of the store among which one is sought: years of them, and read in parts of a second.
SEARCHED: Final = 1000


@frozen
class RecordedRun:
    """A run as its store has it at one moment.

    Attributes:
        record: The run.
        entries: Where each of its VPSes stands.
        audit: Its audit trail, oldest first.
        pause: The line of the trail by which it is paused; None where it is not.
    """

    record: RunRecord
    entries: list[Entry]
    audit: list[AuditRecord]
    pause: AuditRecord | None

    @property
    def is_at_work(self) -> bool:
        """Whether a living process works on it."""
        return self.record.holder is not None and self.record.state is RunState.RUNNING


async def read_run(store: Store, run_id: str) -> RecordedRun:
    """A run with its entries and its audit trail."""
    entries = [entry async for entry in store.entries(run_id)]
    record, pause = await store.run(run_id), await store.pause_of(run_id)
    return RecordedRun(record, entries, await store.audit(run_id), pause)


def read_recorded(run_id: str, store: str) -> RecordedRun:
    """A run of the store that has this id, or the newest one for `last`."""

    async def read() -> RecordedRun:
        async with open_to_read(store) as opened:
            return await read_run(opened, await find_id(opened, run_id))

    return run_loop(read)


async def find_id(
    store: Store,
    run_id: str,
    *,
    is_meant: Callable[[RunRecord], bool] | None = None,
    none: str = "the store has no runs yet",
) -> str:
    """The id of a run: itself, or that of the newest run that is meant for `last`.

    Args:
        store: Where the runs are recorded.
        run_id: The id, or `last`.
        is_meant: Whether `last` may mean a run; by default it may mean any.
        none: What is said where there is no such run.

    Raises:
        CommandFailed: The store has no such run.
    """
    if run_id != LAST:
        return run_id
    runs = await store.runs(1 if is_meant is None else SEARCHED)
    found = next((run.id for run in runs if is_meant is None or is_meant(run)), None)
    if found is None:
        raise CommandFailed(none)
    return found


def counts_in_words(run: RunRecord) -> str:
    """How many VPSes of a run are in which state."""
    return ", ".join(f"{count} {in_words(state)}" for state, count in sorted(run.counts.items()))


def state_in_words(run: RunRecord) -> str:
    """The state of a run: one whose process ended without a word is interrupted."""
    return "interrupted" if run.is_interrupted else run.state.value


def resume_command(run_id: str, store: StoreOptions, account: AccountOptions) -> str:
    """The command that resumes a run with the account and store that these options lead to."""
    return command_line("fleet", "resume", run_id, *store_flags(store), *account_flags(account))


def last_end(run: RecordedRun) -> AuditRecord | None:
    """The line of the audit trail that ended the run, for the last time; None for none."""
    ends = [one for one in run.audit if one.what in {AuditEvent.STOPPED, AuditEvent.FINISHED}]
    return ends[-1] if ends else None


def in_flight(run: RecordedRun) -> list[Entry]:
    """What was sent, or may have been, and has no outcome."""
    return [one for one in run.entries if one.state in {EntryState.INTENT, EntryState.ACCEPTED}]
