"""Plays the history of a seed from its beginning to its end, under the eyes of the checks."""

import asyncio
import gc
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final
from unittest import mock

from attrs import field, frozen

from hostup_async import _clock
from hostup_async._store.memory import MemoryStore
from simulation.checks import Broken, Checks
from simulation.history import History
from simulation.loop import EPOCH, PROCESS, NeverEnds, OwnedTask, SimulatedLoop
from simulation.plots import PLOTS
from simulation.setup import Setup
from simulation.store import memory_of_each_process
from simulation.transport import SimulatedTransport

# A history that takes longer, in virtual hours or in steps, is one that never ends.
_HOURS: Final = 6.0
_STEPS: Final = 100_000
# And for each VPS, as many more.
_SECONDS_EACH: Final = 10.0
_STEPS_EACH: Final = 100


@frozen
class Result:
    """What a history came to."""

    seed: int
    setup: Setup
    trace: tuple[str, ...] = field(repr=False)
    broken: tuple[Broken, ...]
    counts: Counter[str] = field(repr=False)
    fired: tuple[str, ...] = field(repr=False)
    hash: str
    """Of everything that happened."""
    requests: dict[str, int] = field(repr=False)
    """How many of each kind arrived."""
    steps: int
    seconds: float


def play(seed: int, without: frozenset[str] = frozenset()) -> Result:
    """Play the history of a seed, with all its deviations but those that are left out."""
    return _play(History(seed, without))


def play_setup(setup: Setup) -> Result:
    """Play a history with facts of its own choosing."""
    return _play(History(setup.seed, setup=setup))


def _play(history: History) -> Result:
    with _simulated(history), _without_collections():
        try:
            _watch_and_run(history)
        except Broken:
            pass  # it is in `found`
        except NeverEnds as error:
            history.checks.fail("never ends", str(error))
        except Exception as error:
            history.checks.fail("unexpected error", f"{error!r}")
            if os.environ.get("SIMULATION_TRACEBACK"):
                raise
        finally:
            _tear_down(history)
    return _result(history)


def _watch_and_run(history: History) -> None:
    loop, checks = history.loop, history.checks
    loop.on_step = partial(_after_step, history, *_most(history))
    loop.set_exception_handler(partial(_on_error, checks))
    asyncio.set_event_loop(loop)
    loop.run_until_complete(PLOTS[history.setup.plot](history))
    _check_tasks(history)
    gc.collect(0)
    checks.raise_if_broken()


def _most(history: History) -> tuple[float, int]:
    """The virtual time and the steps after which it is one that never ends."""
    vps = history.setup.vps
    return history.began + _HOURS * 3600 + _SECONDS_EACH * vps, _STEPS + _STEPS_EACH * vps


def _after_step(history: History, latest: float, most_steps: int) -> None:
    history.checks.after_step()
    loop = history.loop
    if loop.now > latest or loop.steps > most_steps:
        msg = f"{loop.now - history.began:.0f} s, {loop.steps} steps"
        raise NeverEnds(msg)


def _on_error(checks: Checks, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    if error is not None:
        checks.fail("an error that reached no one", f"{context['message']}: {error!r}")


def _check_tasks(history: History) -> None:
    """Nothing of the client's is left in the loop."""
    for task in asyncio.all_tasks(history.loop):
        owner = task.owner if isinstance(task, OwnedTask) else None
        if owner is not None and not owner.is_dead:
            history.checks.fail("left behind", f"task {task.get_coro()} of {owner.name}")
    history.checks.raise_if_broken()


@contextmanager
def _simulated(history: History) -> Iterator[None]:
    """Have the product ask the simulation for time and chance, and send over its network."""
    loop, chance = history.loop, history.chance

    def wall() -> float:
        process = PROCESS.get()
        return EPOCH + loop.now if process is None else process.wall(loop.now)

    def make_transport(config: Any, _session: object = None) -> SimulatedTransport:
        return SimulatedTransport(config, history.world)

    with (
        mock.patch.multiple(
            _clock,
            wall=wall,
            monotonic=loop.time,
            boot=loop.time,
            token=chance.token,
            chance=lambda: chance.draw("jitter"),
        ),
        mock.patch("hostup_async._client.Transport", make_transport),
        mock.patch.object(MemoryStore, "shared", memory_of_each_process()),
    ):
        yield


@contextmanager
def _without_collections() -> Iterator[None]:
    """Garbage is collected at the end and not in the midst.

    That is cheaper, and what a collection finds (an error that reached no one) is found at the
    same step each time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _tear_down(history: History) -> None:
    """End what is left, in whatever state: no one looks at its effects any more."""
    loop = history.loop
    loop.on_step = None
    loop.order = None
    loop.set_exception_handler(lambda *_: None)
    for process in history.processes:
        process.is_dead = False
        loop.resume(process)
    _cancel_tasks(loop)
    asyncio.set_event_loop(None)
    loop.close()


def _cancel_tasks(loop: SimulatedLoop) -> None:
    for _ in range(10):
        tasks = asyncio.all_tasks(loop)
        if not tasks:
            return
        for task in tasks:
            task.cancel()
        with suppress(NeverEnds, RuntimeError):  # the plot's own end stops the loop once more
            loop.run_until_complete(asyncio.wait(tasks, timeout=100.0))
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False  # type: ignore[attr-defined]


def _result(history: History) -> Result:
    trace, chance, loop = history.world.trace, history.chance, history.loop
    return Result(
        seed=history.setup.seed,
        setup=history.setup,
        trace=tuple(trace.lines),
        broken=tuple(history.checks.found),
        counts=chance.counts,
        fired=tuple(chance.fired),
        hash=trace.hash,
        requests=dict(history.api.requests),
        steps=loop.steps,
        seconds=loop.now - history.began,
    )
