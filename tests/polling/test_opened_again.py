"""A client that was closed and is opened again, on the same loop or another, works as before."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from virtual_time import VirtualLoop, now

from hostup_async import (
    Action,
    Budget,
    Client,
    ClientClosed,
    Job,
    JobStatus,
    OutcomeStatus,
    RateLimit,
)
from hostup_async._polling.poller import Poller
from hostup_async._polling.watch import Watch
from hostup_async._ratelimit.limiter import RateLimiter
from hostup_async._ratelimit.queue import Permit
from hostup_async.sandbox import SandboxConfig, ThreadedSandbox

DONE = Job(id="j", status=JobStatus.COMPLETED)


def on_a_loop_of_its_own(work: Coroutine[Any, Any, None]) -> None:
    loop = VirtualLoop()
    try:
        loop.run_until_complete(work)
        assert not asyncio.all_tasks(loop)
    finally:
        loop.close()


def test_a_poller_goes_from_loop_to_loop_and_leaves_nothing_behind() -> None:
    limiter = RateLimiter(RateLimit.UNLIMITED, 900, now)
    poller, polls = Poller(limiter), list[str]()

    def watch(name: str, seconds: float) -> Watch:
        ends = now() + seconds

        async def poll(permit: Permit, _: float) -> tuple[Job, float]:
            polls.append(name)
            permit.spend()
            await asyncio.sleep(0.01)
            return DONE if now() >= ends else Job(id="j", status=JobStatus.IN_PROGRESS), 0.0

        return poller.watch(poll, action=Action.RESET, age=0.0, patience=3600)

    async def first() -> None:
        assert await poller.follow(watch("a", 3)) is DONE
        followed = asyncio.create_task(poller.follow(watch("followed", 1e6)))
        watch("not followed", 1e6)
        await asyncio.sleep(5)
        assert polls.count("not followed") > 1
        await poller.aclose()
        with pytest.raises(ClientClosed):
            await followed

    async def second() -> None:
        polls.clear()
        assert await poller.follow(watch("b", 3)) is DONE
        await asyncio.sleep(60)
        assert set(polls) == {"b"}
        await poller.aclose()
        assert limiter.snapshot().in_flight == 0

    for work in (first, second, second):
        on_a_loop_of_its_own(work())


def test_what_comes_while_a_poller_closes_is_polled() -> None:
    """An action that runs to its end while its client closes: its job's poll tells of the close."""
    limiter = RateLimiter(RateLimit.UNLIMITED, 900, now)
    poller = Poller(limiter)

    async def closed(permit: Permit, _: float) -> tuple[Job, float]:
        permit.refund()
        msg = "the client is closing"
        raise ClientClosed(msg)

    async def hangs(permit: Permit, _: float) -> tuple[Job, float]:
        permit.spend()
        await asyncio.sleep(1e6)
        return DONE, 0.0

    async def work() -> None:
        poller.watch(hangs, action=Action.RESET, age=0.0, patience=1e6)
        await asyncio.sleep(60)
        closing = asyncio.create_task(poller.aclose())
        await asyncio.sleep(0)
        late = poller.watch(closed, action=Action.RESET, age=0.0, patience=900)
        began = now()
        with pytest.raises(ClientClosed):
            await poller.follow(late)
        assert now() - began < 60
        await closing

    on_a_loop_of_its_own(work())


@pytest.mark.parametrize("same_loop", [True, False])
def test_a_client_that_is_opened_again_resets_and_follows(*, same_loop: bool) -> None:
    async def work(client: Client, ids: tuple[str, ...]) -> None:
        async with client:
            operation = await client.vps.reset(ids[0])
            assert (await operation.wait(timeout=20)).succeeded
            report = await client.fleet.reset(ids[1:])
        assert report.counts == {OutcomeStatus.COMPLETED: len(ids) - 1}

    async def both(client: Client, ids: tuple[str, ...]) -> None:
        await work(client, ids[:4])
        await work(client, ids[4:])

    with ThreadedSandbox(SandboxConfig(vps=8)) as sandbox:
        client = Client(sandbox.api_key, base_url=sandbox.url, budget=Budget())
        if same_loop:
            asyncio.run(both(client, sandbox.vps_ids))
        else:
            asyncio.run(work(client, sandbox.vps_ids[:4]))
            asyncio.run(work(client, sandbox.vps_ids[4:]))
        books = sandbox.books()
        assert len(books.resets) == 8
        assert books.reset_twice == ()
