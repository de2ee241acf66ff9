"""The poller on virtual time, and where it meets real sockets."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from tools import Connect, StartSandbox, client_of, requests_seen
from virtual_time import VIRTUAL, now

from hostup_async import (
    Action,
    Budget,
    Client,
    ClientClosed,
    Job,
    JobStatus,
    NetworkError,
    RateLimit,
    WaitTimeout,
)
from hostup_async._polling.poller import Poller, Sender
from hostup_async._polling.watch import Watch
from hostup_async._ratelimit.limiter import RateLimiter
from hostup_async._ratelimit.queue import Permit
from hostup_async.sandbox import Durations, Limit, Sandbox, SandboxConfig

RUNS, DONE = Job(id="j", status=JobStatus.IN_PROGRESS), Job(id="j", status=JobStatus.COMPLETED)


class Bench:
    """A poller, jobs that end when they are told to, and the moments of the polls."""

    def __init__(self, limit: RateLimit | None = RateLimit.UNLIMITED) -> None:
        self.limiter = RateLimiter(limit, 900, now)
        self.poller = Poller(self.limiter)
        self.polls: list[float] = []

    def watch(
        self, took: float, answer: Callable[[], float] = lambda: 0.0, **settings: Any
    ) -> Watch:
        ends = now() + took

        async def poll(permit: Permit, _: float) -> tuple[Job, float]:
            self.polls.append(now())
            try:
                await asyncio.sleep(0.01)
                return DONE if now() >= ends else RUNS, answer()
            finally:
                permit.spend()

        known = {"action": Action.RESET, "age": 0.0, "patience": 3600.0, **settings}
        return self.poller.watch(poll, **known)

    async def check_clean(self) -> None:
        await asyncio.sleep(0.001)
        assert not self.poller._watches
        assert not self.poller._polls
        assert self.limiter.snapshot().in_flight == 0


class TestOnVirtualTime:
    @pytest.fixture
    def anyio_backend(self) -> object:
        return VIRTUAL

    async def test_jobs_are_followed_to_their_ends(self) -> None:
        bench = Bench()
        watches = [bench.watch(took) for took in (1.0, 20.0, 60.0)]
        ends = [await bench.poller.follow(watch) for watch in watches]
        assert ends == [DONE] * 3
        assert now() < 75
        await bench.check_clean()

    async def test_a_floor_for_the_next_poll_is_kept(self) -> None:
        bench = Bench()
        await bench.poller.follow(bench.watch(1000, lambda: 40.0))
        gaps = [after - before for before, after in zip(bench.polls, bench.polls[1:], strict=False)]
        assert gaps
        assert min(gaps) >= 40

    async def test_a_poll_without_an_answer_is_made_up_for(self) -> None:
        bench, failed = Bench(), [0]

        def answer() -> float:
            failed[0] += 1
            if failed[0] < 4:
                msg = "gone"
                raise NetworkError(msg)
            return 0.0

        assert await bench.poller.follow(bench.watch(1, answer)) is DONE
        assert failed[0] >= 4
        await bench.check_clean()

    async def test_a_poll_that_raises_is_its_own_jobs_misfortune(self) -> None:
        bench = Bench()
        bad, good = bench.watch(5, lambda: 1 // 0), bench.watch(5)
        with pytest.raises(ZeroDivisionError):
            await bench.poller.follow(bad)
        assert await bench.poller.follow(good) is DONE
        await bench.check_clean()

    async def test_a_poll_that_has_not_begun_gives_its_permit_back(self) -> None:
        bench = Bench()
        watch = bench.watch(5)
        bench.poller._scheduler.forget(watch)
        await bench.poller._poll(watch)
        assert bench.limiter.snapshot().in_flight == 1
        bench.poller.forget(watch)
        await bench.check_clean()
        assert bench.polls == []
        await bench.check_clean()

    @pytest.mark.parametrize("tick", range(8))
    async def test_one_who_leaves_at_any_moment_leaves_nothing_behind(self, tick: int) -> None:
        bench = Bench()
        follower = asyncio.create_task(bench.poller.follow(bench.watch(100, patience=2.0)))
        await asyncio.sleep(2.0)
        for _ in range(tick):
            await asyncio.sleep(0)
        follower.cancel()
        await asyncio.wait([follower])
        await bench.check_clean()
        assert bench.poller._task is not None
        assert bench.poller._task.done()

    async def test_a_poller_that_was_cancelled_from_outside_goes_on(self) -> None:
        """As a runner does that cancels all tasks at its end: a wake must not be lost."""
        bench = Bench()
        follower = asyncio.create_task(bench.poller.follow(bench.watch(1)))
        await asyncio.sleep(0.1)
        assert bench.poller._task is not None
        bench.poller._task.cancel()
        second = bench.watch(1)  # its wake goes to the task that is being cancelled
        assert await asyncio.wait_for(follower, 10) is DONE
        assert await asyncio.wait_for(bench.poller.follow(second), 10) is DONE
        await bench.check_clean()

    async def test_a_sender_that_makes_a_mistake_is_told_and_spoils_no_watch_to_come(self) -> None:
        bench, told = Bench(), list[Exception]()

        class Broken(Sender):
            action, limit = Action.RESET, None

            def left(self) -> int:
                return 1

            def waiting(self) -> int:
                raise ZeroDivisionError

            def send(self, permit: Permit) -> None: ...

            def fail(self, error: Exception) -> None:
                told.append(error)
                bench.poller.remove(self)

        bench.poller.add(Broken())
        task = bench.poller._task
        assert task is not None
        await asyncio.wait([task])
        assert isinstance(task.exception(), ZeroDivisionError)
        assert isinstance(told[0], ZeroDivisionError)
        assert await bench.poller.follow(bench.watch(5)) is DONE

    async def test_a_clock_that_was_set_teaches_nothing_absurd(self) -> None:
        bench = Bench()
        bench.watch(100, age=1e9)
        await asyncio.sleep(50)
        assert bench.polls
        assert bench.poller.durations(Action.RESET).mean() < 1e5
        await bench.poller.aclose()

    async def test_a_wait_for_the_limit_is_shared_by_all_polls(self) -> None:
        bench = Bench(RateLimit(10, 10))
        watches = [bench.watch(3) for _ in range(30)]
        for watch in watches:
            assert await bench.poller.follow(watch) is DONE
        for moment in bench.polls:
            assert sum(moment <= other < moment + 9.9 for other in bench.polls) <= 11
        await bench.check_clean()


async def test_a_wait_that_times_out_leaves_nothing_behind(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(jobs=Durations(median=3600))
    client: Client = await connect(sandbox)
    operations = [await client.vps.reset(vps_id) for vps_id in sandbox.vps_ids]
    async for _, result in client.wait_all(operations, timeout=0.2):
        assert isinstance(result, WaitTimeout)
    await asyncio.sleep(0.05)
    poller = client._poller
    assert not poller._watches
    assert len(poller._scheduler) == 0
    assert poller._task is not None
    assert poller._task.done()
    assert client.budget.snapshot().in_flight == 0


async def test_a_client_that_closes_fails_who_waits(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(jobs=Durations(median=3600))
    client: Client = await connect(sandbox)
    operations = [await client.vps.reset(vps_id) for vps_id in sandbox.vps_ids]
    waits = [asyncio.create_task(operation.wait()) for operation in operations]
    await requests_seen(sandbox, "reset", 3)
    await asyncio.sleep(0)
    await client.aclose()
    for wait in waits:
        with pytest.raises(ClientClosed):
            await wait
    with pytest.raises(ClientClosed):
        await operations[0].wait(timeout=20)
    assert client.budget.snapshot().in_flight == 0


async def test_clients_in_two_loops_share_a_budget_and_follow_their_own_jobs() -> None:
    config = SandboxConfig(vps=20, jobs=Durations(median=0.1), limit=Limit(requests=100, seconds=1))
    budget = Budget(RateLimit(100, 1))
    async with Sandbox(config) as sandbox:
        ends: list[int] = []

        async def reset(ids: tuple[str, ...]) -> None:
            async with client_of(sandbox.url, budget=budget) as client:
                operations = [await client.vps.reset(vps_id) for vps_id in ids]
                found = [job async for _, job in client.wait_all(operations)]
                ends.append(sum(isinstance(job, Job) and job.succeeded for job in found))

        thread = threading.Thread(target=lambda: asyncio.run(reset(sandbox.vps_ids[:10])))
        thread.start()
        await reset(sandbox.vps_ids[10:])
        await asyncio.to_thread(thread.join)
        assert ends == [10, 10]
        assert len((await sandbox.books()).resets) == 20
    assert budget.snapshot().in_flight == 0
