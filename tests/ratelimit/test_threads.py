"""One budget for several event loops in several threads: each permit reaches its waiter, once."""

import asyncio
import random
import sys
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from contextvars import Context
from typing import Any, TypeVarTuple

import pytest
from tools import repeats
from virtual_time import VIRTUAL, now

from hostup_async import Budget, Client, HostUpError, RateLimit, RateLimited
from hostup_async._ratelimit.headers import RateLimitReading
from hostup_async._ratelimit.limiter import RateLimiter
from hostup_async._ratelimit.limits import RequestClass
from hostup_async._ratelimit.queue import Permit
from hostup_async.sandbox import SandboxConfig, ThreadedSandbox

ACTION, POLL, PREFLIGHT = RequestClass
LIMITS = [None, RateLimit(200, 0.05), RateLimit.UNLIMITED]


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return VIRTUAL


@pytest.fixture
def hurried_threads() -> Iterator[None]:
    """Threads take turns every 10 us, so that they meet at every place."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


def run_in_threads(
    count: int, work: Callable[[int], Coroutine[Any, Any, None]], *, within: float
) -> None:
    """Run a coroutine in each of several threads, each with a loop of its own."""
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            asyncio.run(work(number))
        except BaseException as error:  # noqa: BLE001 - raised below, on the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=run, args=[n], daemon=True) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=within)
        assert not thread.is_alive()
    assert not errors


@pytest.mark.timeout(180)
def test_thousands_of_calls_from_two_loops_in_two_threads_are_all_answered() -> None:
    outcomes, budgets, times = Counter[str](), list[Budget](), repeats(12)

    async def get(client: Client, vps_id: str) -> None:
        try:
            await client.vps.get(vps_id)
            outcomes["answered"] += 1
        except HostUpError as error:
            outcomes[type(error).__name__] += 1

    with ThreadedSandbox(SandboxConfig(vps=400)) as sandbox:

        async def call_all(_: int) -> None:
            async with Client(sandbox.api_key, base_url=sandbox.url) as client:
                budgets.append(client.budget)
                for _ in range(times):
                    await asyncio.gather(*(get(client, vps_id) for vps_id in sandbox.vps_ids))

        run_in_threads(2, call_all, within=150)
    assert budgets[0] is budgets[1]
    assert outcomes == {"answered": 800 * times}
    snapshot = budgets[0].snapshot()
    assert (snapshot.in_flight, snapshot.queued) == (0, 0)


@pytest.mark.usefixtures("hurried_threads")
@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("_attempt", range(2))
def test_each_call_of_several_threads_gets_one_permit(
    threads: int, limit: RateLimit | None, _attempt: int
) -> None:
    limiter, taken = Budget(limit)._limiter, Counter[int]()

    async def work(number: int) -> None:
        async def one(kind: RequestClass) -> None:
            permit = await limiter.acquire(kind)
            await asyncio.sleep(0)
            permit.spend()
            taken[number] += 1

        for _ in range(8):
            await asyncio.gather(*(one(kind) for kind in RequestClass for _ in range(50)))

    run_in_threads(threads, work, within=50)
    assert taken == dict.fromkeys(range(threads), 1200)
    snapshot = limiter.snapshot()
    assert (snapshot.in_flight, snapshot.queued) == (0, 0)


@pytest.mark.usefixtures("hurried_threads")
@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("attempt", range(3))
def test_waiters_that_are_cancelled_at_any_moment_keep_no_permit(
    attempt: int, limit: RateLimit | None
) -> None:
    limiter = Budget(limit)._limiter

    async def work(number: int) -> None:
        draw, done = random.Random(10 * attempt + number), Counter[str]()

        async def one() -> None:
            with await limiter.acquire(draw.choice(list(RequestClass))) as permit:
                await asyncio.sleep(0)
                if draw.random() < 0.7:
                    permit.spend(sends=draw.choice([1, 1, 1, 2]))

        for _ in range(6):
            tasks = [asyncio.create_task(one()) for _ in range(50)]
            for _ in range(20):
                await asyncio.sleep(draw.choice([0, 0, 0.0005]))
                draw.choice(tasks).cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            done.update(type(result).__name__ for result in results)
        assert done.keys() <= {"NoneType", "CancelledError"}
        assert done["NoneType"] > 100

    run_in_threads(3, work, within=50)
    snapshot = limiter.snapshot()
    assert (snapshot.in_flight, snapshot.queued) == (0, 0)


@pytest.mark.usefixtures("hurried_threads")
def test_a_snapshot_is_consistent_at_any_moment() -> None:
    limiter, is_over = Budget(RateLimit(20, 0.02))._limiter, threading.Event()
    snapshots = []

    async def work(_: int) -> None:
        async def one() -> None:
            (await limiter.acquire()).spend()

        for _ in range(4):
            await asyncio.gather(*(one() for _ in range(50)))

    def watch() -> None:
        while not is_over.is_set():
            snapshots.append(limiter.snapshot())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        run_in_threads(2, work, within=50)
    finally:
        is_over.set()
        watcher.join()
    for snapshot in snapshots:
        assert 0 <= snapshot.in_flight <= 20
        assert 0 <= snapshot.queued <= 100
        assert snapshot.left is not None
        assert snapshot.in_flight + snapshot.left <= 20
    assert limiter.snapshot().in_flight == 0


Args = TypeVarTuple("Args")


class HurriedLoop(asyncio.SelectorEventLoop):
    """A loop whose thread is quicker than the one that calls back.

    Attributes:
        is_hurried: Whether what a callback wakes has run before the caller goes on.
        before: What comes in before each callback.
    """

    is_hurried = False
    before: Callable[[], object] | None = None

    def __init__(self) -> None:
        super().__init__()
        self._has_run: list[threading.Event] = []

    def call_soon_threadsafe(
        self, callback: Callable[[*Args], object], *args: *Args, context: Context | None = None
    ) -> asyncio.Handle:
        if self.before is not None:
            super().call_soon_threadsafe(self.before)
        handle = super().call_soon_threadsafe(callback, *args, context=context)
        if self.is_hurried:
            has_run = threading.Event()
            self._has_run.append(has_run)
            super().call_soon_threadsafe(self.call_soon, self.call_soon, has_run.set)
            has_run.wait(5)
        return handle

    def close(self) -> None:
        super().close()
        for has_run in self._has_run:
            has_run.set()


def grant_across_threads(limiter: RateLimiter, *, cancel: bool) -> Permit | BaseException:
    """What becomes of a waiter that a slower thread grants its permit."""
    loop, is_queued, results = HurriedLoop(), threading.Event(), list[Permit | BaseException]()

    async def wait() -> None:
        task = asyncio.current_task()
        assert task is not None
        loop.call_soon(is_queued.set)
        loop.is_hurried = not cancel
        loop.before = task.cancel if cancel else None
        try:
            results.append(await limiter.acquire())
        except (RateLimited, asyncio.CancelledError) as error:
            results.append(error)

    def run() -> None:
        with closing(loop):
            loop.run_until_complete(wait())

    held = asyncio.run(limiter.acquire())
    thread = threading.Thread(target=run)
    thread.start()
    assert is_queued.wait(5)
    held.refund()
    thread.join(timeout=20)
    assert not thread.is_alive()
    return results[0]


def test_a_waiter_that_runs_before_its_waker_goes_on_has_its_permit() -> None:
    limiter = Budget(RateLimit(1, 1000), max_wait=10_000)._limiter
    permit = grant_across_threads(limiter, cancel=False)
    assert isinstance(permit, Permit)
    assert limiter.snapshot().in_flight == 1
    permit.refund()
    assert limiter.snapshot().in_flight == 0


def test_a_waiter_cancelled_on_another_thread_gives_its_permit_back() -> None:
    limiter = Budget(RateLimit(1, 1000), max_wait=10_000)._limiter
    assert isinstance(grant_across_threads(limiter, cancel=True), asyncio.CancelledError)
    assert (limiter.snapshot().in_flight, limiter.snapshot().queued) == (0, 0)


class Abandoned:
    """An event loop that stops with requests queued, and is closed without cancelling them."""

    def __init__(self, limiter: RateLimiter, *, waiters: int = 1) -> None:
        self.loop = asyncio.SelectorEventLoop()
        self._limiter = limiter
        self._tasks = [self.loop.create_task(self._wait()) for _ in range(waiters)]

    async def _wait(self) -> None:
        with await self._limiter.acquire():
            await asyncio.Event().wait()

    def run(self, *, until_queued: int) -> None:
        """Run until this many wait, in a thread of its own: this one runs a loop already."""

        async def wait() -> None:
            while self._limiter.snapshot().queued < until_queued:
                await asyncio.sleep(0)

        thread = threading.Thread(target=self.loop.run_until_complete, args=[wait()])
        thread.start()
        thread.join(timeout=10)

    def close(self) -> None:
        self.loop.close()
        for task in self._tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]


async def test_a_permit_granted_to_a_loop_that_closes_goes_to_the_next_one() -> None:
    limiter = Budget(
        RateLimit(1, 1000), max_wait=10_000, clock=asyncio.get_running_loop().time
    )._limiter
    held = await limiter.acquire()
    other = Abandoned(limiter)
    other.run(until_queued=1)
    ours = asyncio.create_task(limiter.acquire())
    await asyncio.sleep(0)
    held.refund()  # granted to the other loop, which will not run again
    await asyncio.sleep(0)
    assert not ours.done()
    other.close()
    (await ours).refund()
    assert now() <= 2
    assert (limiter.snapshot().in_flight, limiter.snapshot().queued) == (0, 0)


async def test_a_permit_granted_to_a_loop_that_closes_is_not_in_flight() -> None:
    limiter = Budget(
        RateLimit(1, 1000), max_wait=10_000, clock=asyncio.get_running_loop().time
    )._limiter
    held = await limiter.acquire()
    other = Abandoned(limiter)
    other.run(until_queued=1)
    held.refund()
    assert limiter.snapshot().in_flight == 1
    other.close()
    assert limiter.snapshot().in_flight == 0
    (await limiter.acquire(max_wait=0.0)).refund()


async def test_those_queued_on_a_loop_that_was_closed_do_not_count() -> None:
    limiter = Budget(
        RateLimit(1, 10), max_wait=100_000, clock=asyncio.get_running_loop().time
    )._limiter
    (await limiter.acquire()).spend()
    other = Abandoned(limiter, waiters=100)
    other.run(until_queued=100)
    ours = asyncio.create_task(limiter.acquire())
    await asyncio.sleep(0)
    assert limiter.snapshot().queued == 101
    other.close()
    assert limiter.snapshot().queued == 1
    (await ours).spend()
    assert now() == 10
    (await limiter.acquire(max_wait=11)).spend()  # and the computed wait does not count them


async def test_a_loop_that_was_closed_takes_no_timer_with_it() -> None:
    limiter = Budget(clock=asyncio.get_running_loop().time)._limiter
    (await limiter.acquire()).spend(RateLimitReading(limit=5, retry_after=20.0), throttled=True)
    other = Abandoned(limiter, waiters=3)
    other.run(until_queued=3)
    ours = asyncio.create_task(limiter.acquire(POLL))
    await asyncio.sleep(0)
    other.close()
    (await ours).spend()  # without another event, the timer of this loop wakes it
    assert now() == 20
