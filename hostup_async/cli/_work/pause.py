"""`hostup fleet pause` and `unpause`: what they ask of a run that another process works on."""

from hostup_async import Store, open_store
from hostup_async.cli._inputs.account import command_line, recorded_store
from hostup_async.cli._options import AccountOptions, StoreOptions
from hostup_async.cli._output.screen import screen
from hostup_async.cli._signals import run as run_loop
from hostup_async.cli._work.recorded import find_id


def pause_run(
    run_id: str, store: StoreOptions, account: AccountOptions, reason: str | None
) -> None:
    """Have the process that works on a run send nothing for now."""

    async def pause() -> str:
        async with open_store(recorded_store(store, account)) as opened:
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
        async with open_store(recorded_store(store, account)) as opened:
            found = await _at_work(opened, run_id)
            await opened.unpause(found)
            return found

    screen().print(f"Run {run_loop(unpause)} goes on within seconds.")


async def _at_work(store: Store, run_id: str) -> str:
    """The id of a run: itself, or that of the newest run that a process works on for `last`."""
    return await find_id(
        store,
        run_id,
        is_meant=lambda run: run.holder is not None,
        none="no process works on a run of this store",
    )
