"""Plays the history of a seed: the sandbox on one machine, the clients on others."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import blake2b
from typing import Any, Final, TypeAlias, TypeVar
from unittest import mock

from attrs import define, field, frozen
from simulation.chance import Chance
from simulation.checks import Broken
from simulation.loop import EPOCH, PROCESS, Process
from simulation.store import LEASE, Disk, SimulatedStore

from hostup_async import Budget, Client, FleetReport, FleetRun, HostUpError, _clock
from hostup_async.sandbox import Books, Sandbox
from hostup_async.sandbox._machines import SandboxJob
from whole_stack import network as net
from whole_stack.checks import Checks
from whole_stack.network import Network
from whole_stack.setup import TROUBLES, Setup, make_setup

_API: Final = "api"
_CLIENTS: Final = ("p0", "p1", "p2")
# Virtual seconds. A history that takes longer is one that never ends.
_LONGEST: Final = 6 * 3600.0
# Until every job is over and every connection closed, after the last run has ended.
_REST: Final = 600.0
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
    steps: int
    seconds: float
    hash: str


def play(seed: int, without: frozenset[str] = frozenset()) -> Result:
    """Play the history of a seed, with all its faults and troubles but those left out."""
    return _History(seed, without).play()


@define
class _Trap:
    """An accident that waits for the n-th of some step."""

    step: str
    left: int
    act: Callable[[], object]
    sprung: asyncio.Event = field(factory=asyncio.Event)


class _History:
    def __init__(self, seed: int, without: frozenset[str]) -> None:
        self.chance: Final = Chance(seed, without)
        self.setup: Final = make_setup(seed, self.chance)
        self.trace: Final = list[str]()
        self.run_id = ""
        self.network: Network
        self.sandbox: Sandbox
        self.disk: Disk
        self.checks: Checks
        self._names: Final = iter(_CLIENTS)
        self._clients: Final = list[tuple[Process, Client]]()
        self._handles: Final[dict[str, FleetRun]] = {}
        self._is_served: Final = asyncio.Event()
        self._trap: _Trap | None = None

    def play(self) -> Result:
        setup = self.setup
        with self._machine():
            ended = net.run(self._main, seed=setup.seed, epoch=EPOCH, in_order=setup.in_order)
        found = self.checks.found
        if ended.error is not None and not isinstance(ended.error, Broken):
            cause = ended.error.__cause__ or ended.error
            name = "never ends" if isinstance(cause, TimeoutError) else "unexpected error"
            self.checks.fail(name, f"{ended.error!r}, {cause!r}")
        lines = "\n".join([ended.hash, *self.trace])
        return Result(
            setup.seed,
            setup,
            tuple(self.trace),
            tuple(found),
            self.chance.counts,
            tuple(self.chance.fired),
            ended.steps,
            ended.seconds,
            blake2b(lines.encode(), digest_size=8).hexdigest(),
        )

    @contextmanager
    def _machine(self) -> Iterator[None]:
        """Have the product's own clocks and tokens follow the seed; the library's do already."""

        def wall() -> float:
            process = PROCESS.get()
            return time.time() + (process.clock_off if process is not None else 0.0)

        def monotonic() -> float:
            return time.monotonic()

        def token(size: int) -> bytes:
            return bytes(int(self.chance.draw("token") * 256) for _ in range(size))

        with mock.patch.multiple(
            _clock,
            wall=wall,
            monotonic=monotonic,
            boot=monotonic,
            token=token,
            chance=lambda: self.chance.draw("jitter"),
        ):
            yield

    async def _main(self, network: Network) -> None:
        self.network = network
        self.checks = Checks(self.setup, network)
        self.disk = Disk(network, self.chance)
        self.disk.on_intent = lambda _: self._passes("intent")
        self._end_trouble()
        async with asyncio.timeout(_LONGEST):
            serving = network.start(_API, self._serve)
            await self._is_served.wait()
            troubles = asyncio.create_task(self._trouble())
            self.chance.reached(f"plot: {self.setup.plot}")
            await getattr(self, f"_{self.setup.plot}")()
            troubles.cancel()
            self._end_trouble()
            await asyncio.sleep(_REST)
            books = await self.sandbox.books()
            self._count(books)
            self.checks.at_the_end(books)
            for process, client in self._clients:
                self.checks.nothing_left(process.name, client)
            serving.cancel()
            await asyncio.wait([serving])

    # What happens.

    async def _plain(self) -> None:
        await self._finish(self._start())

    async def _crash(self) -> None:
        await self._crash_times(1)

    async def _crash_twice(self) -> None:
        await self._crash_times(2)

    async def _crash_times(self, times: int) -> None:
        started = self._start()
        for _ in range(times):
            if await self._befalls(started, partial(self._cut_power, started[0])):
                break
            await asyncio.sleep(self.chance.between("after the crash", 0.0, 2 * LEASE))
            if not self.run_id:
                return
            started = self._resume()
        await self._finish(started)

    async def _stop(self) -> None:
        started = process, _ = self._start()
        await self._befalls(started, partial(self._call_stop, process))
        await self._finish(started)
        await self._go_on()

    async def _leave(self) -> None:
        """Its caller is cancelled, once or twice."""
        started = _, task = self._start()
        if not await self._befalls(started, task.cancel) and self.chance.draw("again") < 0.5:
            await asyncio.sleep(self.chance.between("cancelled again", 0.0, 0.5))
            task.cancel()
        await self._finish(started, is_cancelled=True)
        await self._go_on()

    async def _go_on(self) -> None:
        run = self.disk.runs._runs.get(self.run_id)
        if run is not None and run.record.state.is_open:
            await self._finish(self._resume(), counts_anew=True)

    async def _rival(self) -> None:
        """Another run of the same VPSes, on the same store, at nearly the same time."""
        first = self._start()
        await asyncio.sleep(self.chance.between("rival", 0.0, 5.0))
        second = self._start()
        await self._finish(second)
        await self._finish(first)

    async def _direct(self) -> None:
        """Without a fleet: one call for each VPS, and some callers are cancelled."""
        _, task = self._begin(self._reset_each)
        await task

    async def _reset_each(self, process: Process) -> None:
        async with self._client(process) as client:
            tasks = [asyncio.create_task(self._reset_one(client, one)) for one in self._ids]
            for number, task in enumerate(tasks):
                if self.chance.fires("cancelled_caller", 0.2, str(number)):
                    delay = self.chance.between("cancel", 0.0, 5.0)
                    asyncio.get_running_loop().call_later(delay, task.cancel)
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _reset_one(self, client: Client, vps_id: str) -> None:
        try:
            operation = await client.vps.reset(vps_id)
            await operation.wait(timeout=600)
        except HostUpError as error:
            self.chance.reached(f"direct: {type(error).__name__}")
            return
        self.chance.reached("direct: completed")
        self.checks.completed(vps_id, await self.sandbox.books())

    async def _trouble(self) -> None:
        """What the network does to all clients at once."""
        setup, chance = self.setup, self.chance
        for _ in range(setup.troubles):
            await asyncio.sleep(chance.between("trouble", 0.0, 20.0))
            kind = chance.pick("kind of trouble", TROUBLES)
            if chance.fires(kind, setup.trouble_rate):
                self._make_trouble(kind)
            await asyncio.sleep(chance.pick("trouble lasts", (0.5, 8.0, 60.0)))
            self._end_trouble()

    def _make_trouble(self, kind: str) -> None:
        self._say(f"network: {kind}")
        if kind in {"cut", "requests_cut"}:
            self.network.cut((client, _API) for client in _CLIENTS)
        if kind in {"cut", "answers_cut"}:
            self.network.cut((_API, client) for client in _CLIENTS)
        if kind == "slow_line":
            self.network.set_line(1.0, 8.0, self.setup.lost_percent)
        if kind == "connections_reset":
            for client in _CLIENTS:
                self.network.reset(client, _API)

    def _end_trouble(self) -> None:
        self.network.heal()
        latency = self.setup.latency
        self.network.set_line(latency / 2, latency, self.setup.lost_percent)

    # How it is done.

    @property
    def _ids(self) -> tuple[str, ...]:
        return self.setup.config.vps_ids

    async def _serve(self) -> None:
        async with Sandbox(self.setup.config, port=8080) as self.sandbox:
            api = self.sandbox._api
            assert api is not None
            keeper = api.book_keeper
            accept = keeper.accept

            def on_accept(job: SandboxJob) -> None:
                accept(job)
                self._on_accept(job, keeper._accepted[job.vps_id, job.action])

            with mock.patch.object(keeper, "accept", on_accept):
                self._is_served.set()
                await asyncio.Event().wait()

    def _on_accept(self, job: SandboxJob, times: int) -> None:
        self._say(f"{job.vps_id} accepted")
        entry = self.disk.entry_of(self.run_id, job.vps_id)
        self.checks.accepted(job.vps_id, str(entry.state) if entry is not None else None, times)
        self._passes("accepted")

    def _client(self, process: Process) -> Client:
        client = Client(
            self.sandbox.api_key,
            base_url=self.sandbox.url,
            budget=Budget(self.setup.given_limit),
            timeouts=self.setup.timeouts,
        )
        self._clients.append((process, client))
        return client

    def _begin(self, work: Callable[[Process], Coroutine[Any, Any, T]]) -> "_Started[T]":
        process = Process(next(self._names), clock_off=self.setup.client_off)

        async def begin() -> T:
            PROCESS.set(process)
            return await work(process)

        return process, self.network.start(process.name, begin)

    def _start(self) -> "_Started[FleetReport]":
        return self._begin(partial(self._run, run_id=None))

    def _resume(self) -> "_Started[FleetReport]":
        return self._begin(partial(self._run, run_id=self.run_id))

    async def _run(self, process: Process, run_id: str | None) -> FleetReport:
        async with self._client(process) as client, SimulatedStore(self.disk, process) as store:
            if run_id is None:
                plan = await client.fleet.plan(ids=self._ids, preflight=self.setup.preflight)
                run = client.fleet.run(plan, self.setup.policy, store=store)
                self.checks.plans[run.id] = plan
            else:
                run = await client.fleet.resume(run_id, store=store)
            self.run_id = self.run_id or run.id
            self._handles[process.name] = run
            async with run:
                return await run.wait()

    def _call_stop(self, process: Process) -> None:
        run = self._handles.get(process.name)
        if run is not None and run._parts is not None:
            run.stop()

    def _cut_power(self, process: Process) -> None:
        self.chance.reached("killed")
        self._say(f"{process.name} loses its power")
        self._clients[:] = [one for one in self._clients if one[0] is not process]
        self.network.cut_power(process.name)

    async def _befalls(self, started: "_Started[Any]", act: Callable[[], object]) -> bool:
        """Let something befall it at some time or step; whether it has ended before that."""
        _, task = started
        step = self.chance.pick("step of the accident", ("intent", "accepted", "", ""))
        if not step:
            longest = self.chance.pick("moment scale", (0.2, 3.0, 30.0, 300.0))
            done, _ = await asyncio.wait([task], timeout=self.chance.draw("moment") * longest)
            if not done:
                act()
            return bool(done)
        self._trap = _Trap(step, self.chance.whole("accident at", 1, len(self._ids)), act)
        sprung = asyncio.create_task(self._trap.sprung.wait())
        await asyncio.wait([task, sprung], return_when=asyncio.FIRST_COMPLETED)
        sprung.cancel()
        trap, self._trap = self._trap, None
        return not trap.sprung.is_set()

    def _passes(self, step: str) -> None:
        """A step of a run at which an accident may wait."""
        trap = self._trap
        if trap is None or step != trap.step or not trap.left:
            return
        trap.left -= 1
        if not trap.left:
            self.chance.reached(f"accident at {step}")
            trap.sprung.set()
            trap.act()

    async def _finish(
        self,
        started: "_Started[FleetReport]",
        *,
        is_cancelled: bool = False,
        counts_anew: bool = False,
    ) -> None:
        process, task = started
        await asyncio.wait([task])
        if task.cancelled() and is_cancelled:
            return
        try:
            report = task.result()
        except HostUpError as error:
            self.chance.reached(f"run: {type(error).__name__}")
            self._say(f"{process.name} ends: {error!r}")
            return
        self.chance.reached(f"stopped: {report.stop_cause}")
        for outcome in report.outcomes:
            self.chance.reached(f"outcome: {outcome.status}")
            self._say(f"{outcome.vps_id} {outcome.status}: {outcome.reason or 'no reason'}")
        self.checks.report(report, await self.sandbox.books(), counts_anew=counts_anew)

    def _say(self, what: str) -> None:
        self.trace.append(f"{self.network.now:10.3f} {what}")

    def _count(self, books: Books) -> None:
        """What the server did, for the statistics of many histories."""
        for fault, times in books.faults.items():
            self.chance.counts[fault] += times
        for status, times in books.statuses.items():
            self.chance.counts[f"status {status}"] += times


_Started: TypeAlias = tuple[Process, asyncio.Task[T]]
