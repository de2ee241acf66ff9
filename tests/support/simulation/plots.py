"""The plots: what befalls the client of a history, and who goes on with its run.

Each plot starts one or more processes, lets something befall them, and finishes their runs.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from hostup_async import Client, HostUpError
from simulation.history import ANYWHERE, History
from simulation.loop import Process
from simulation.store import LEASE

# A process that slept here still means to send what another may have taken.
_BEFORE_THE_WIRE: Final = ("connecting", "connecting", "connecting", "connecting", *ANYWHERE)


async def plain(history: History) -> None:
    """Nothing befalls it."""
    await history.finish(history.start())


async def crash(history: History) -> None:
    """It is killed, and another process resumes its run."""
    await _crash_times(history, 1)


async def crash_twice(history: History) -> None:
    """The process that resumes its run is killed, too."""
    await _crash_times(history, 2)


async def _crash_times(history: History, times: int) -> None:
    process, task = history.start()
    for _ in range(times):
        if await history.befalls(process, task, partial(history.kill, process)):
            break
        await asyncio.sleep(history.chance.between("after the crash", 0.0, 60.0))
        if not history.run_id:
            return
        process, task = history.resume()
    await history.finish((process, task))


async def takeover(history: History) -> None:
    """It stands still beyond its lease, another takes the run, and then it goes on."""
    process, task = history.start()
    suspend_it = partial(history.loop.suspend, process)
    if await history.befalls(process, task, suspend_it, _BEFORE_THE_WIRE):
        return await history.finish((process, task))
    history.chance.reached("suspended beyond the lease")
    await asyncio.sleep(LEASE + history.chance.between("beyond", 1.0, 60.0))
    if not history.run_id:
        history.loop.resume(process)
        return await history.finish((process, task))
    other = history.resume()
    await asyncio.sleep(history.chance.between("wakes", 0.0, 40.0))
    history.loop.resume(process)
    process.clock_off += history.chance.pick("slept clock", (0.0, 0.0, 30.0))
    await history.finish((process, task), is_beaten=True)
    return await history.finish(other)


async def suspend(history: History) -> None:
    """It stands still for a while, and no one takes its run."""
    process, task = history.start()
    if not await history.befalls(process, task, partial(history.loop.suspend, process)):
        await asyncio.sleep(history.chance.pick("stands", (1.0, 20.0, 100.0, 2000.0)))
        history.loop.resume(process)
    await history.finish((process, task))


async def rival(history: History) -> None:
    """Another run of the same VPSes, on the same store, at the same time or within the cooldown."""
    first = history.start()
    await asyncio.sleep(history.chance.pick("rival", (0.0, 1.0, 3.0, 120.0)))
    second = history.start(tells=False)
    await history.finish(second)
    await history.finish(first)


async def stop(history: History) -> None:
    """It is stopped, and resumed."""
    process, task = history.start()
    await history.befalls(process, task, partial(history.call_run, process, "stop"))
    await history.finish((process, task))
    if history.can_resume():
        await history.finish(history.resume(), counts_anew=True)


async def leave(history: History) -> None:
    """Its caller is cancelled, once or twice, and it is resumed."""
    process, task = history.start()
    if not await history.befalls(process, task, task.cancel):
        if history.chance.draw("again") < 0.5:
            await asyncio.sleep(history.chance.between("cancelled again", 0.0, 0.5))
            task.cancel()
        await asyncio.wait([task])
    await history.finish((process, task), is_cancelled=True)
    if history.can_resume():
        await history.finish(history.resume(), counts_anew=True)


async def pause(history: History) -> None:
    """Its operator pauses it for a while."""
    process, task = history.start()
    has_ended = await history.befalls(process, task, partial(history.call_run, process, "pause"))
    length = history.chance.between("paused", 0.0, 30.0)
    if not has_ended and not await history.ends_within(task, length):
        history.call_run(process, "unpause")
    await history.finish((process, task))


async def client_clock(history: History) -> None:
    """The wall clock of its machine is set."""
    process, task = history.start()
    await history.befalls(process, task, partial(history.step_clock, process))
    await history.finish((process, task))


async def server_clock(history: History) -> None:
    """The server's clock is set."""
    process, task = history.start()
    await history.befalls(process, task, partial(history.step_clock, history.api))
    await history.finish((process, task))


async def direct(history: History) -> None:
    """Without a fleet: one call for each VPS, and some callers are cancelled."""
    process = history.add_process()
    await history.spawn(process, _reset_each(history, process))


async def _reset_each(history: History, process: Process) -> None:
    async with history.open_client(process) as client:
        tasks = [
            asyncio.create_task(_reset_one(history, client, one)) for one in history.api.machines
        ]
        for number, task in enumerate(tasks):
            if history.chance.fires("cancelled_caller", 0.2, str(number)):
                delay = history.chance.between("cancel", 0.0, 5.0)
                asyncio.get_running_loop().call_later(delay, task.cancel)
        await asyncio.gather(*tasks, return_exceptions=True)
    history.checks.nothing_left(process, client)


async def _reset_one(history: History, client: Client, vps_id: str) -> None:
    began = history.loop.now
    try:
        operation = await client.vps.reset(vps_id)
        await operation.wait(timeout=600)
    except HostUpError as error:
        history.chance.reached(f"direct: {type(error).__name__}")
        return
    machine = history.api.machines[vps_id]
    if not machine.booted_between(began, history.loop.now) and not machine.has_untrue_job:
        history.checks.fail("untrue completed", f"{vps_id} did not boot")


PLOTS: Final[dict[str, Callable[[History], Awaitable[None]]]] = {
    plot.__name__: plot
    for plot in (
        plain, crash, crash_twice, takeover, suspend, rival, stop, leave, pause, client_clock,
        server_clock, direct,
    )
}  # fmt: skip
