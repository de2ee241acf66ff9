"""Before a wait ends by its deadline, its job is polled once more, whatever happened before."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from itertools import count

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tools import child_environment, examples
from virtual_time import VIRTUAL, VirtualLoop, now, suspend

from hostup_async import Action, Job, JobStatus, RateLimit, RateLimited
from hostup_async._polling.poller import Poller, Sender
from hostup_async._polling.watch import LAST_POLL
from hostup_async._ratelimit.limiter import RateLimiter
from hostup_async._ratelimit.limits import RequestClass
from hostup_async._ratelimit.queue import Permit
from hostup_async.sandbox import Durations, SandboxConfig, ThreadedSandbox

RUNS, DONE = Job(id="j", status=JobStatus.IN_PROGRESS), Job(id="j", status=JobStatus.COMPLETED)


class Server:
    """Polls of jobs on virtual time; some may never be answered."""

    def __init__(
        self, limit: RateLimit = RateLimit.UNLIMITED, hangs: frozenset[int] = frozenset()
    ) -> None:
        self.limiter = RateLimiter(limit, 900, now)
        self.poller = Poller(self.limiter)
        self.began: list[float] = []
        self.retry_after = 0.0
        self._hangs = hangs
        self._numbers = count()

    async def follow(self, took: float, patience: float, latency: float = 0.01) -> Job:
        ends = now() + took

        async def poll(permit: Permit, _: float) -> tuple[Job, float]:
            self.began.append(now())
            try:
                await asyncio.sleep(1e6 if next(self._numbers) in self._hangs else latency)
                return DONE if now() >= ends else RUNS, self.retry_after
            finally:
                permit.spend()

        watch = self.poller.watch(poll, action=Action.RESET, age=0.0, patience=patience)
        return await self.poller.follow(watch)


class TestOnVirtualTime:
    @pytest.fixture
    def anyio_backend(self) -> object:
        return VIRTUAL

    @pytest.mark.parametrize(("took", "patience"), [(1, 3), (8, 10), (9.9, 10), (0, 0), (60, 61)])
    async def test_a_job_that_is_over_in_time_is_found_over(
        self, took: float, patience: float
    ) -> None:
        assert await Server().follow(took, patience) is DONE

    async def test_a_job_that_goes_on_is_given_up_after_a_poll_at_the_deadline(self) -> None:
        server = Server()
        with pytest.raises(TimeoutError):
            await server.follow(1000, 10)
        assert server.began[-1] >= 10
        assert now() < 10.1

    async def test_the_deadline_goes_before_the_apis_wish_for_rare_polls(self) -> None:
        server = Server()
        server.retry_after = 60.0
        assert await server.follow(8, 10) is DONE
        assert len(server.began) <= 2

    async def test_a_poll_that_hangs_is_cut_off_in_time_for_the_last_one(self) -> None:
        server = Server(hangs=frozenset({0}))
        assert await server.follow(5, 10) is DONE
        assert len(server.began) == 2
        assert server.began[-1] == pytest.approx(10 + LAST_POLL)

    async def test_where_all_polls_hang_the_wait_ends_some_seconds_late(self) -> None:
        server = Server(hangs=frozenset(range(100)))
        with pytest.raises(TimeoutError):
            await server.follow(5, 10)
        assert server.began[-1] >= 10
        assert now() <= 10 + 2 * LAST_POLL + 0.1
        await asyncio.sleep(0)
        assert server.limiter.snapshot().in_flight == 0

    async def test_a_process_that_slept_polls_every_job_at_the_pace_of_the_limit(self) -> None:
        server = Server(RateLimit(5, 1))
        waits = [asyncio.create_task(server.follow(3600, 7200)) for _ in range(100)]
        await asyncio.sleep(30)
        suspend(20_000)
        woke = now()
        assert await asyncio.gather(*waits) == [DONE] * 100
        assert now() > woke + 15  # far longer than one last poll may take

    async def test_a_pause_that_lasts_ends_the_wait_without_a_poll(self) -> None:
        server = Server(RateLimit(1, 900))
        (await server.limiter.acquire()).spend()
        with pytest.raises(RateLimited):
            await server.follow(1, 10)
        assert not server.began
        assert now() <= 10

    async def test_a_poller_that_waits_to_send_does_not_hold_up_the_end(self) -> None:
        server = Server(RateLimit(1, 600))
        (await server.limiter.acquire(RequestClass.ACTION)).spend()

        class Waiting(Sender):
            action, limit = Action.RESET, None

            def left(self) -> int:
                return 1

            def waiting(self) -> int:
                return 1

            def send(self, permit: Permit) -> None: ...

            def fail(self, error: Exception) -> None: ...

        server.poller.add(Waiting())
        await asyncio.sleep(1)
        with pytest.raises(TimeoutError):
            await server.follow(1, 10)
        assert not server.began
        assert now() == pytest.approx(11 + LAST_POLL)
        await server.poller.aclose()


JOBS = st.lists(
    st.tuples(st.floats(0, 60), st.floats(0, 60), st.floats(0, LAST_POLL / 2)),
    min_size=1,
    max_size=8,
)


@given(
    jobs=JOBS,
    hangs=st.frozensets(st.integers(0, 10), max_size=4),
    naps=st.lists(st.tuples(st.floats(0, 60), st.floats(0, 200)), max_size=3),
)
@example(jobs=[(3.0, 3.0, 2.0)], hangs=frozenset(), naps=[(4.0, 4.0)])  # due with the timeout
@example(jobs=[(3.0, 3.0, 2.0)], hangs=frozenset(), naps=[(4.0, 60.0)])
@settings(max_examples=examples(150), deadline=None)
def test_no_wait_ends_by_its_deadline_without_a_poll_after_it(
    jobs: list[tuple[float, float, float]],
    hangs: frozenset[int],
    naps: list[tuple[float, float]],
) -> None:
    async def one(took: float, patience: float, latency: float) -> None:
        server, woke = Server(hangs=hangs), [0.0]

        def nap(seconds: float) -> None:
            suspend(seconds)
            woke[0] = now()

        loop, end = asyncio.get_running_loop(), object()
        naps_to_come = [loop.call_later(at, nap, seconds) for at, seconds in naps]
        try:
            end = await server.follow(took, patience, latency)
        except TimeoutError:
            assert server.began[-1] >= patience
        assert now() <= max(patience, *woke) + 2 * LAST_POLL + 0.1
        if took <= patience and not hangs:
            assert end is DONE
        for handle in naps_to_come:
            handle.cancel()
        await asyncio.sleep(0.01)
        assert server.limiter.snapshot().in_flight == 0

    for job in jobs:
        with closing(VirtualLoop()) as loop:
            loop.run_until_complete(one(*job))


CHILD = """
import asyncio, sys
from hostup_async import Client, FleetPolicy

async def main(url, key, one, *others):
    async with Client(key, base_url=url) as client:
        operation = await client.vps.reset(one)
        fleet = client.fleet.reset(others, FleetPolicy(job_timeout=1.2))
        job, report = await asyncio.gather(operation.wait(timeout=1.2), fleet)
        print(job.status, *report.counts)

asyncio.run(main(*sys.argv[1:]))
"""


def test_a_process_that_was_stopped_for_longer_than_its_wait_looks_before_it_gives_up() -> None:
    with ThreadedSandbox(SandboxConfig(vps=3, jobs=Durations(median=1.0))) as sandbox:
        command = [sys.executable, "-c", CHILD, sandbox.url, sandbox.api_key, *sandbox.vps_ids]
        child = subprocess.Popen(
            command, env=child_environment(), stdout=subprocess.PIPE, text=True
        )
        while len(sandbox.books().accepted) < 3:
            time.sleep(0.01)
        time.sleep(0.1)  # until the answers are in
        os.kill(child.pid, signal.SIGSTOP)
        time.sleep(2.0)
        os.kill(child.pid, signal.SIGCONT)
        shown, _ = child.communicate(timeout=30)
    assert shown.split() == ["completed", "completed"]
