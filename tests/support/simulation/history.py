"""The history of a seed: the world it plays in, and what can be done to the processes in it."""

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar

from attrs import define, field

from hostup_async import Budget, Client, FleetReport, FleetRun, HostUpError
from simulation.api import ORIGIN, Call, Machine, SimulatedApi
from simulation.chance import Chance
from simulation.checks import Checks
from simulation.loop import Process, SimulatedLoop
from simulation.setup import Setup, make_setup
from simulation.store import Disk, SimulatedStore
from simulation.transport import World

# Seconds by which a clock is wrong, or is set to another time.
_CLOCK_STEPS: Final = (0.0, 1.0, -1.0, 30.0, -30.0, 3600.0, -3600.0, 60 * 86400.0, -60 * 86400.0)
T = TypeVar("T")
Started = tuple[Process, asyncio.Task[FleetReport]]

# The steps of a send at which an accident may wait; "" for any moment. Half of the accidents are in
# the midst of a send, where they cost most.
_MIDST: Final = ("intent", "connecting", "sending", "accepted")
ANYWHERE: Final = (*_MIDST, *[""] * len(_MIDST))


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


class History:
    """A world with its processes, and what a plot can do to them.

    Args:
        seed: What everything in it follows from.
        without: Deviations that do not take place.
        setup: Its fixed facts; drawn from the seed if there are none.

    Attributes:
        run_id: The run that the plot is about, once there is one.
        began: When it began, in virtual time.
    """

    def __init__(
        self, seed: int, without: frozenset[str] = frozenset(), setup: Setup | None = None
    ) -> None:
        self.chance: Final = Chance(seed, without)
        self.setup: Final = setup or make_setup(seed, self.chance)
        self.loop: Final = SimulatedLoop(_order(seed) if self.setup.reordered else None)
        self.disk: Final = Disk(self.loop, self.chance, is_quick=self.setup.is_vast)
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
        self.began: Final = self.loop.now

    def add_process(self) -> Process:
        setup = self.setup
        number = len(self.processes)
        process = Process(
            f"p{number}",
            clock_off=setup.client_off if number == 0 else self.chance.pick("off", _CLOCK_STEPS),
            monotonic_off=self.chance.between("monotonic", 0.0, 1e6) if number else 0.0,
        )
        self.processes.append(process)
        return process

    def open_client(self, process: Process) -> Client:
        budget = Budget(self.setup.given_limit)
        client = Client("sk_test_simulated", base_url=ORIGIN, budget=budget)
        self.checks.watch(process, client)
        return client

    def spawn(self, process: Process, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        return process.context.run(self.loop.create_task, work)

    def start(self, *, tells: bool = True) -> Started:
        process = self.add_process()
        return process, self.spawn(process, self._run(process, None, tells=tells))

    def resume(self) -> Started:
        process = self.add_process()
        return process, self.spawn(process, self._run(process, self.run_id, tells=True))

    async def _run(self, process: Process, run_id: str | None, *, tells: bool) -> FleetReport:
        async with self.open_client(process) as client, SimulatedStore(self.disk, process) as store:
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

    def call_run(self, process: Process, method: str) -> None:
        """Call a method of its run, if that has begun."""
        run = self._handles.get(process)
        if run is not None and run._parts is not None:
            process.context.run(getattr(run, method))

    def step_clock(self, clock: Process | SimulatedApi) -> None:
        clock.clock_off += self.chance.pick("step", _CLOCK_STEPS)

    async def ends_within(self, task: asyncio.Task[Any], seconds: float) -> bool:
        """Let it work for a time; whether it has ended by then."""
        done, _ = await asyncio.wait([task], timeout=seconds)
        return bool(done)

    async def befalls(
        self,
        process: Process,
        task: asyncio.Task[Any],
        act: Callable[[], object],
        steps: Sequence[str] = ANYWHERE,
    ) -> bool:
        """Let something befall it, at one of these steps; whether it has ended before that."""
        step = self.chance.pick("step of the accident", steps)
        if not step:
            longest = self.chance.pick("moment scale", (0.2, 3.0, 30.0, 300.0))
            if await self.ends_within(task, self.chance.draw("moment") * longest):
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

    def kill(self, process: Process) -> None:
        self.chance.reached("killed")
        process.is_dead = True
        self.checks.forget(process)
        if self.chance.draw("seen dead") < 0.7:
            for run_id, (store, _) in list(self.disk.holders.items()):
                if store.process is process:
                    self.disk.holders[run_id] = (store, 0.0)

    async def finish(
        self,
        started: Started,
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
            self.checks.report(report, self.began, counts_anew=counts_anew)

    def can_resume(self) -> bool:
        run = self.disk.runs._runs.get(self.run_id)
        return run is not None and run.record.state.is_open
