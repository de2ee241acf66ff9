"""Plays the history of a seed: the client, its machine, and what befalls them."""

import asyncio
import gc
import os
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, TypeVar
from unittest import mock

from attrs import define, field, frozen

from hostup_async import Budget, Client, FleetReport, FleetRun, HostUpError, _clock
from hostup_async._store.memory import MemoryStore
from simulation.api import ORIGIN, Call, Machine, SimulatedApi
from simulation.chance import Chance
from simulation.checks import Broken, Checks
from simulation.loop import EPOCH, PROCESS, NeverEnds, Process, SimulatedLoop
from simulation.setup import Setup, make_setup
from simulation.store import LEASE, Disk, SimulatedStore, memory_of_each_process
from simulation.transport import SimulatedTransport, World

# A history that takes longer, in virtual hours or in steps, is one that never ends.
_HOURS: Final = 6.0
_STEPS: Final = 100_000
# And for each VPS, as many more.
_SECONDS_EACH: Final = 10.0
_STEPS_EACH: Final = 100
T = TypeVar("T")


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
    """Play the history of a seed, with all its deviations but those that are left out.

    Garbage is collected at its end and not in its midst: that is cheaper, and what a collection
    finds (an error that reached no one) is found at the same step each time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return _History(seed, without).play()
    finally:
        if was_enabled:
            gc.enable()


def play_setup(setup: Setup) -> Result:
    """Play a history with facts of its own choosing."""
    return _History(setup.seed, setup=setup).play()


# The steps of a send at which an accident may wait.
_MIDST: Final = ("intent", "connecting", "sending", "accepted")


@define(eq=False)
class _Trap:
    """An accident that waits for a process at the n-th of some step."""

    process: Process
    step: str
    left: int
    act: Callable[[], object]
    sprung: asyncio.Event = field(factory=asyncio.Event)


def _order(seed: int) -> Callable[[int], int]:
    draw = random.Random(seed).random
    return lambda count: int(draw() * count)


class _History:
    def __init__(
        self, seed: int, without: frozenset[str] = frozenset(), setup: Setup | None = None
    ) -> None:
        self.chance: Final = Chance(seed, without)
        self.setup: Final = setup or make_setup(seed, self.chance)
        self.loop: Final = SimulatedLoop(_order(seed) if self.setup.reordered else None)
        self.disk: Final = Disk(self.loop, self.chance)
        self.checks: Final = Checks(self.loop, self.chance, self.setup, self.disk)
        self.api: Final = SimulatedApi(self.loop, self.chance, self.setup, self._on_accept)
        self.checks.api = self.api
        self.world: Final = World(
            self.loop, self.chance, self.setup, self.api, self._on_send, self._on_wire
        )
        self.processes: Final = list[Process]()
        self.run_id = ""
        self._trap: _Trap | None = None
        self.disk.on_intent = lambda process: self._passes(process, "intent")
        self._handles: Final[dict[Process, FleetRun]] = {}
        self._began: Final = self.loop.now
        self._latest: Final = self._began + _HOURS * 3600 + _SECONDS_EACH * self.setup.vps
        self._most_steps: Final = _STEPS + _STEPS_EACH * self.setup.vps

    def play(self) -> Result:
        loop = self.loop
        loop.on_step = self._after_step
        loop.set_exception_handler(self._on_error)
        with self._machine():
            try:
                asyncio.set_event_loop(loop)
                loop.run_until_complete(self._plot())
                gc.collect(0)
                self.checks.raise_if_broken()
            except Broken:
                pass  # it is in `found`
            except NeverEnds as error:
                self.checks.fail("never ends", str(error))
            except Exception as error:
                self.checks.fail("unexpected error", f"{error!r}")
                if os.environ.get("SIMULATION_TRACEBACK"):
                    raise
            finally:
                self._tear_down()
        return Result(
            self.setup.seed,
            self.setup,
            tuple(self.world.trace.lines),
            tuple(self.checks.found),
            self.chance.counts,
            tuple(self.chance.fired),
            self.world.trace.hash,
            dict(self.api.requests),
            loop.steps,
            loop.now - self._began,
        )

    @contextmanager
    def _machine(self) -> Iterator[None]:
        """Have the product ask the simulation for time and chance, and send over its network."""
        loop, chance = self.loop, self.chance

        def wall() -> float:
            process = PROCESS.get()
            return EPOCH + loop.now if process is None else process.wall(loop.now)

        def make_transport(config: Any, _session: object = None) -> SimulatedTransport:
            return SimulatedTransport(config, self.world)

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

    def _after_step(self) -> None:
        self.checks.after_step()
        loop = self.loop
        if loop.now > self._latest or loop.steps > self._most_steps:
            msg = f"{loop.now - self._began:.0f} s, {loop.steps} steps"
            raise NeverEnds(msg)

    def _on_error(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if error is not None:
            self.checks.fail("an error that reached no one", f"{context['message']}: {error!r}")

    def _tear_down(self) -> None:
        """End what is left, in whatever state: its effects are nobody's any more."""
        loop = self.loop
        loop.on_step = None
        loop.set_exception_handler(lambda *_: None)
        for process in self.processes:
            process.is_dead = False
            loop.resume(process)
        loop.order = None
        for _ in range(10):
            tasks = asyncio.all_tasks(loop)
            if not tasks:
                break
            for task in tasks:
                task.cancel()
            try:
                loop.run_until_complete(asyncio.wait(tasks, timeout=100.0))
            except (NeverEnds, RuntimeError):  # the plot's own end stops the loop once more
                continue
        for task in asyncio.all_tasks(loop):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        asyncio.set_event_loop(None)
        loop.close()

    # What happens.

    async def _plot(self) -> None:
        await getattr(self, f"_{self.setup.plot}")()
        self._check_end()

    async def _plain(self) -> None:
        await self._finish(self._start())

    async def _crash(self) -> None:
        await self._crash_times(1)

    async def _crash_twice(self) -> None:
        await self._crash_times(2)

    async def _crash_times(self, times: int) -> None:
        process, task = self._start()
        for _ in range(times):
            if await self._befalls(process, task, partial(self._kill, process)):
                break
            await asyncio.sleep(self.chance.between("after the crash", 0.0, 60.0))
            if not self.run_id:
                return
            process, task = self._resume()
        await self._finish((process, task))

    async def _takeover(self) -> None:
        """It stands still beyond its lease, another takes the run, and then it goes on."""
        process, task = self._start()
        if await self._befalls(process, task, partial(self.loop.suspend, process)):
            return await self._finish((process, task))
        self.chance.reached("suspended beyond the lease")
        await asyncio.sleep(LEASE + self.chance.between("beyond", 1.0, 60.0))
        if not self.run_id:
            self.loop.resume(process)
            return await self._finish((process, task))
        other = self._resume()
        await asyncio.sleep(self.chance.between("wakes", 0.0, 40.0))
        self.loop.resume(process)
        process.clock_off += self.chance.pick("slept clock", (0.0, 0.0, 30.0))
        await self._finish((process, task), is_beaten=True)
        return await self._finish(other)

    async def _suspend(self) -> None:
        """It stands still for a while, and no one takes its run."""
        process, task = self._start()
        if not await self._befalls(process, task, partial(self.loop.suspend, process)):
            await asyncio.sleep(self.chance.pick("stands", (1.0, 20.0, 100.0, 2000.0)))
            self.loop.resume(process)
        await self._finish((process, task))

    async def _rival(self) -> None:
        """Another run of the same VPSes, on the same store, at nearly the same time."""
        first = self._start()
        await asyncio.sleep(self.chance.between("rival", 0.0, 5.0))
        second = self._start(tells=False)
        await self._finish(second)
        await self._finish(first)

    async def _stop(self) -> None:
        """It is stopped, and resumed."""
        process, task = self._start()
        await self._befalls(process, task, partial(self._call, process, "stop"))
        await self._finish((process, task))
        if self._can_resume():
            await self._finish(self._resume(), counts_anew=True)

    async def _leave(self) -> None:
        """Its caller is cancelled, once or twice, and it is resumed."""
        process, task = self._start()
        if not await self._befalls(process, task, task.cancel):
            if self.chance.draw("again") < 0.5:
                await asyncio.sleep(self.chance.between("cancelled again", 0.0, 0.5))
                task.cancel()
            await asyncio.wait([task])
        await self._finish((process, task), is_cancelled=True)
        if self._can_resume():
            await self._finish(self._resume(), counts_anew=True)

    async def _pause(self) -> None:
        process, task = self._start()
        has_ended = await self._befalls(process, task, partial(self._call, process, "pause"))
        length = self.chance.between("paused", 0.0, 30.0)
        if not has_ended and not await self._ends_within(task, length):
            self._call(process, "unpause")
        await self._finish((process, task))

    async def _client_clock(self) -> None:
        process, task = self._start()
        await self._befalls(process, task, partial(self._step, process))
        await self._finish((process, task))

    async def _server_clock(self) -> None:
        process, task = self._start()
        await self._befalls(process, task, partial(self._step, self.api))
        await self._finish((process, task))

    async def _direct(self) -> None:
        """Without a fleet: one call for each VPS, and some callers are cancelled."""
        process = self._process()
        await self._in(process, self._reset_each(process))

    async def _reset_each(self, process: Process) -> None:
        async with self._client(process) as client:
            tasks = [asyncio.create_task(self._reset_one(client, one)) for one in self.api.machines]
            for number, task in enumerate(tasks):
                if self.chance.fires("cancelled_caller", 0.2, str(number)):
                    delay = self.chance.between("cancel", 0.0, 5.0)
                    asyncio.get_running_loop().call_later(delay, task.cancel)
            await asyncio.gather(*tasks, return_exceptions=True)
        self.checks.nothing_left(process, client)

    async def _reset_one(self, client: Client, vps_id: str) -> None:
        began = self.loop.now
        try:
            operation = await client.vps.reset(vps_id)
            await operation.wait(timeout=600)
        except HostUpError as error:
            self.chance.reached(f"direct: {type(error).__name__}")
            return
        machine = self.api.machines[vps_id]
        if not machine.booted_between(began, self.loop.now) and not machine.has_untrue_job:
            self.checks.fail("untrue completed", f"{vps_id} did not boot")

    # How it is done.

    def _process(self) -> Process:
        setup = self.setup
        number = len(self.processes)
        process = Process(
            f"p{number}",
            clock_off=setup.client_off if number == 0 else self.chance.pick("off", STEPS),
            monotonic_off=self.chance.between("monotonic", 0.0, 1e6) if number else 0.0,
        )
        self.processes.append(process)
        return process

    def _client(self, process: Process) -> Client:
        budget = Budget(self.setup.given_limit)
        client = Client("sk_test_simulated", base_url=ORIGIN, budget=budget)
        self.checks.watch(process, client)
        return client

    def _in(self, process: Process, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        return process.context.run(self.loop.create_task, work)

    def _start(self, *, tells: bool = True) -> "_Started":
        process = self._process()
        return process, self._in(process, self._run(process, None, tells=tells))

    def _resume(self) -> "_Started":
        process = self._process()
        return process, self._in(process, self._run(process, self.run_id, tells=True))

    async def _run(self, process: Process, run_id: str | None, *, tells: bool) -> FleetReport:
        async with self._client(process) as client, SimulatedStore(self.disk, process) as store:
            if run_id is None:
                plan = await client.fleet.plan(
                    ids=list(self.api.machines), preflight=self.setup.preflight
                )
                run = client.fleet.run(plan, self.setup.policy, store=store)
            else:
                run = await client.fleet.resume(run_id, store=store)
            process.run_id = run.id
            if tells:
                self.run_id = run.id
            self._handles[process] = run
            async with run:
                report = await run.wait()
            self.checks.released(process, store)
        self.checks.nothing_left(process, client)
        return report

    def _call(self, process: Process, method: str) -> None:
        """Call a method of its run, if that has begun."""
        run = self._handles.get(process)
        if run is not None and run._parts is not None:
            process.context.run(getattr(run, method))

    def _step(self, clock: Process | SimulatedApi) -> None:
        clock.clock_off += self.chance.pick("step", STEPS)

    async def _ends_within(self, task: asyncio.Task[Any], seconds: float) -> bool:
        """Let it work for a time; whether it has ended by then."""
        done, _ = await asyncio.wait([task], timeout=seconds)
        return bool(done)

    async def _befalls(
        self, process: Process, task: asyncio.Task[Any], act: Callable[[], object]
    ) -> bool:
        """Let something befall it, at some time or step; whether it has ended before that.

        Half of the times it is in the midst of a send, where an accident costs most.
        """
        step = self.chance.pick("step of the accident", (*_MIDST, *[""] * len(_MIDST)))
        if not step:
            longest = self.chance.pick("moment scale", (0.2, 3.0, 30.0, 300.0))
            if await self._ends_within(task, self.chance.draw("moment") * longest):
                return True
            act()
            return False
        self.chance.reached(f"befalls at {step}")
        self._trap = _Trap(process, step, self.chance.whole("accident at", 1, self.setup.vps), act)
        sprung = asyncio.ensure_future(self._trap.sprung.wait())
        await asyncio.wait([task, sprung], return_when=asyncio.FIRST_COMPLETED)
        trap, self._trap = self._trap, None
        sprung.cancel()
        return not trap.sprung.is_set()

    def _passes(self, process: Process | None, step: str) -> None:
        """A process comes by a step at which an accident may wait for it."""
        trap = self._trap
        if trap is None or process is not trap.process or step != trap.step or not trap.left:
            return
        trap.left -= 1
        if not trap.left:
            trap.sprung.set()
            trap.act()

    def _on_send(self, process: Process, call: Call) -> None:
        self.checks.on_send(process, call)
        if call.kind == "reset":
            self._passes(process, "connecting")

    def _on_wire(self, process: Process, call: Call) -> None:
        self.checks.on_wire(process, call)
        if call.kind == "reset":
            self._passes(process, "sending")

    def _on_accept(self, machine: Machine) -> None:
        self.checks.after_accept(machine)
        if self._trap is not None:
            self._passes(self._trap.process, "accepted")

    def _kill(self, process: Process) -> None:
        self.chance.reached("killed")
        process.is_dead = True
        self.checks.forget(process)
        if self.chance.draw("seen dead") < 0.7:
            for run_id, (store, _) in list(self.disk.holders.items()):
                if store.process is process:
                    self.disk.holders[run_id] = (store, 0.0)

    async def _finish(
        self,
        started: "_Started",
        *,
        is_beaten: bool = False,
        is_cancelled: bool = False,
        counts_anew: bool = False,
    ) -> None:
        process, task = started
        await asyncio.wait([task])
        if task.cancelled():
            if not is_cancelled:
                self.checks.fail("unexpected error", f"{process.name} was cancelled")
            return
        error = task.exception()
        if isinstance(error, HostUpError):
            self.chance.reached(f"run: {type(error).__name__}")
            return
        if error is not None:
            raise error
        report = task.result()
        self.chance.reached(f"stopped: {report.stop_cause}")
        for outcome in report.outcomes:
            self.chance.reached(f"outcome: {outcome.status}")
        if not is_beaten:
            self.checks.report(report, self._began, counts_anew=counts_anew)

    def _can_resume(self) -> bool:
        run = self.disk.runs._runs.get(self.run_id)
        return run is not None and run.record.state.is_open

    def _check_end(self) -> None:
        """Nothing of the client's is left in the loop."""
        for task in asyncio.all_tasks(self.loop):
            owner = self.loop.owners.get(task)
            if owner is not None and not owner.is_dead:
                self.checks.fail("left behind", f"task {task.get_coro()} of {owner.name}")
        self.checks.raise_if_broken()


_Started = tuple[Process, asyncio.Task[FleetReport]]
STEPS: Final = (0.0, 1.0, -1.0, 30.0, -30.0, 3600.0, -3600.0, 60 * 86400.0, -60 * 86400.0)
