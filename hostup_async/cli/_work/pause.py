"""`hostup fleet pause` and `unpause`: what they ask of a run that another process works on."""

from hostup_async import Store, open_store
from hostup_async.cli._exits import CommandFailed
from hostup_async.cli._inputs.account import command_line, existing_store
from hostup_async.cli._inputs.profiles import read_profile
from hostup_async.cli._options import AccountOptions, StoreOptions
from hostup_async.cli._output.screen import screen
from hostup_async.cli._signals import run as run_loop
from hostup_async.cli._work.recorded import LAST, SEARCHED


def pause_run(
    run_id: str, store: StoreOptions, account: AccountOptions, reason: str | None
) -> None:
    """Have the process that works on a run send nothing for now."""

    async def pause() -> str:
        async with open_store(_where(store, account)) as opened:
            found = await _at_work(opened, run_id)
            await opened.pause(found, reason=reason)
            return found

    found = run_loop(pause)
    goes_on = command_line("fleet", "unpause", found)
    screen().print(
        f"Run {found} sends nothing more within seconds; what is in flight is followed. It goes on "
        f"with: {goes_on}",
        soft_wrap=True,
    )


def unpause_run(run_id: str, store: StoreOptions, account: AccountOptions) -> None:
    """Let a paused run go on sending."""

    async def unpause() -> str:
        async with open_store(_where(store, account)) as opened:
            found = await _at_work(opened, run_id)
            await opened.unpause(found)
            return found

    screen().print(f"Run {run_loop(unpause)} goes on within seconds.")


def _where(store: StoreOptions, account: AccountOptions) -> str:
    return existing_store(store.store, read_profile(account.profile))


async def _at_work(store: Store, run_id: str) -> str:
    """The id of a run: itself, or that of the newest run that a process works on for `last`."""
    if run_id != LAST:
        return run_id
    at_work = (run.id for run in await store.runs(SEARCHED) if run.holder is not None)
    found = next(at_work, None)
    if found is None:
        message = "no process works on a run of this store"
        raise CommandFailed(message)
    return found
