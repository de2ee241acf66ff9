"""The guard of a send, asked when the connection is there: a process that slept sends nothing."""

import asyncio
from collections.abc import Sequence

import aiohttp
import pytest
from fleet_tools import SOON, KnowingStore, check_truth, counts, quick, reset_all, sent, statuses
from tools import Connect, StartSandbox

from hostup_async import Budget, Entry, EntryState, RateLimit, RunHeld, StopCause, StoreError
from hostup_async.sandbox import Limit

pytestmark = pytest.mark.usefixtures("precise_uptime")


class Clock:
    """The fleet's clock, which a test moves as a suspension does."""

    ahead = 0.0

    def __call__(self) -> float:
        return asyncio.get_running_loop().time() + self.ahead


class LeasedStore(KnowingStore):
    """Entitles to a send for ten seconds; each commit may be followed by a suspension.

    Attributes:
        slept: Whether the next commit of an intent is followed by one.
        is_taken: Whether another process has taken the run.
        intents: The intents that were saved, in order.
    """

    send_window = 10.0

    def __init__(self, clock: Clock) -> None:
        super().__init__(0.05)
        self.is_taken = self.slept = False
        self.intents: list[Entry] = []
        self._boot_clock = clock

    async def save(self, run_id: str, entries: Sequence[Entry]) -> None:
        if self.is_taken:
            msg = "It is held by process 7 on faraway now."
            raise RunHeld(msg)
        await super().save(run_id, entries)
        if entries[0].state is EntryState.INTENT:
            self.intents.append(entries[0])
            if self.slept:
                self.slept = False
                self._boot_clock.ahead += 60


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("hostup_async._clock.boot", clock)
    return clock


@pytest.mark.parametrize("lent", [False, True])
async def test_what_slept_between_its_intent_and_its_send_is_recorded_anew_first(
    start_sandbox: StartSandbox, connect: Connect, clock: Clock, *, lent: bool
) -> None:
    sandbox = await start_sandbox(vps=3, jobs=SOON)
    options = {"session": aiohttp.ClientSession} if lent else {}
    client = await connect(sandbox, **options)
    async with LeasedStore(clock) as store:
        store.slept = True
        report = await reset_all(client, quick(), store)
    assert statuses(report.outcomes) == ["completed"] * 3
    assert len(store.intents) == 4
    assert {one.attempts for one in store.intents} == {1}
    assert sent(await sandbox.books()) == 3


async def test_what_slept_while_its_run_was_taken_is_never_sent(
    start_sandbox: StartSandbox, connect: Connect, clock: Clock
) -> None:
    sandbox = await start_sandbox(vps=3, jobs=SOON)
    client = await connect(sandbox)

    class Taken(LeasedStore):
        async def save(self, run_id: str, entries: Sequence[Entry]) -> None:
            await super().save(run_id, entries)
            self.is_taken = True

    async with Taken(clock) as store:
        store.slept = True
        report = await reset_all(client, quick(max_in_flight=1), store)
    assert counts(report) == {"not_sent": 3}
    assert report.stop_cause is StopCause.STORE_LOST
    assert report.stopped == "the run is lost: It is held by process 7 on faraway now."
    assert sent(await sandbox.books()) == 0
    assert client.budget.snapshot().in_flight == 0


async def test_each_try_after_a_429_is_recorded_anew(
    start_sandbox: StartSandbox, connect: Connect, clock: Clock
) -> None:
    sandbox = await start_sandbox(vps=6, jobs=SOON, action_limit=Limit(requests=2, seconds=0.5))
    client = await connect(sandbox, budget=Budget(read_limit=RateLimit.UNLIMITED))
    async with LeasedStore(clock) as store:
        report = await reset_all(client, quick(), store)
    books = await sandbox.books()
    assert statuses(report.outcomes) == ["completed"] * 6
    assert report.limited > 0
    assert len(store.intents) == sent(books) == 6 + report.limited
    assert {one.attempts for one in store.intents} == {1}
    times = [one.sent_at or 0.0 for one in store.intents]
    assert times == sorted(times)
    check_truth(report.outcomes, books)


async def test_a_heartbeat_that_finds_the_run_lost_stops_it(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=40, jobs=SOON, latency=0.05)
    client = await connect(sandbox)
    lost: asyncio.Future[StoreError] = asyncio.get_running_loop().create_future()

    class Beating(KnowingStore):
        async def wait_until_lost(self, run_id: str) -> StoreError:
            return await lost if self.holds(run_id) else RunHeld("not held")

    async with Beating(0.05) as store:
        plan = await client.fleet.plan(all=True, preflight="none")
        async with client.fleet.run(plan, quick(max_in_flight=2), store=store) as run:
            async for _ in run.outcomes():
                if not lost.done():
                    lost.set_result(RunHeld("It is held by process 7 on faraway now."))
            report = await run.wait()
    assert report.stopped == "the run is lost: It is held by process 7 on faraway now."
    assert report.stop_cause is StopCause.STORE_LOST
    assert 1 <= counts(report)["completed"] <= 4
    assert counts(report)["not_sent"] == 40 - counts(report)["completed"]
