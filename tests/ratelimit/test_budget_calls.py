"""The budget as calls meet it, over real sockets."""

import asyncio
from collections.abc import Sequence
from typing import Any

import aiohttp
import pytest
from fleet_tools import KnowingStore, quick, until
from stray_api import Asked, StrayApi
from tools import Connect, RawServer, StartSandbox, client_of, http

from hostup_async import (
    Budget,
    Entry,
    EntryState,
    Event,
    Paused,
    RateLimit,
    RateLimited,
    Waiting,
    WaitReason,
)
from hostup_async._http.wire import read_object
from hostup_async._models import VpsStatus
from hostup_async._ratelimit.limits import RequestClass
from hostup_async.sandbox import Limit

LIMITED = http(b"{}", "429 Too Many Requests", "Retry-After: 1000", "X-RateLimit-Limit: 5")

BRIEFLY_LIMITED = http(b"{}", "429 Too Many Requests", "Retry-After: 0.5")


async def test_a_call_that_was_limited_does_not_claim_that_nothing_was_sent() -> None:
    budget = Budget(max_wait=5)
    async with RawServer(LIMITED) as server, client_of(server.url, budget=budget) as client:
        with pytest.raises(RateLimited, match=r"was limited: 429.*1000 s") as sent:
            await client.vps.status("vps_a")
        with pytest.raises(RateLimited, match=r"was not sent.*1000 s") as unsent:
            await client.vps.status("vps_a")
        assert len(server.requests) == 1
    assert (sent.value.status, unsent.value.status) == (429, None)
    assert sent.value.retry_after == pytest.approx(1000, abs=1)
    assert unsent.value.retry_after == pytest.approx(1000, abs=1)
    assert "Nothing was sent" not in str(sent.value)


async def test_waits_are_told_of_and_explained() -> None:
    events: list[Event] = []
    answers = [http(b"{}", "429 Too Many Requests", "Retry-After: 0"), http(b"{}")]
    async with (
        RawServer(*answers) as server,
        client_of(server.url, on_event=events.append) as client,
    ):
        await client.vps.status("vps_a")
    assert [event.seconds for event in events if isinstance(event, Paused)] == [0.1]
    waiting = [event for event in events if isinstance(event, Waiting)]
    assert [event.reason for event in waiting] == [WaitReason.LIMITED]
    assert "429" in waiting[0].why


async def test_a_permit_that_was_taken_before_is_spent_on_the_first_try(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox()
    budget = Budget(RateLimit(1, 60))
    client = await connect(sandbox, budget=budget)
    permit = await budget._limiter.acquire(RequestClass.POLL)
    requester = client._requester
    url = requester.api_url(f"/vps/{sandbox.vps_ids[0]}/status")

    def read(body: Any) -> VpsStatus:
        return read_object(VpsStatus, body)

    status = await requester.get(url, read, RequestClass.POLL, permit=permit)
    assert status.power_state == "running"
    assert budget.snapshot().in_flight == 0
    with pytest.raises(RateLimited):
        await requester.get(url, read, RequestClass.POLL, max_wait=0.0)


async def test_a_fleet_on_the_sandbox_meets_few_429s(
    start_sandbox: StartSandbox, connect: Connect
) -> None:
    sandbox = await start_sandbox(vps=60, limit=Limit(requests=30, seconds=1))
    client = await connect(sandbox)
    for vps_id in sandbox.vps_ids[:30]:
        await client.vps.status(vps_id)
    for vps_id in sandbox.vps_ids:
        await client.vps.status(vps_id)
    books = await sandbox.books()
    assert books.refused <= 5
    assert books.requests["status"] - books.refused == 90


class Limits(StrayApi):
    """Answers the first action with 429, and notes whether others come into the pause.

    Attributes:
        came_in_the_pause: For each action after the first, whether the budget was paused then.
    """

    def __init__(self) -> None:
        super().__init__(self._limit)
        self.budget = Budget()
        self.came_in_the_pause: list[bool] = []

    def is_paused(self) -> bool:
        return self.budget._limiter.is_paused(RequestClass.ACTION)

    def _limit(self, asked: Asked) -> bytes | None:
        if asked.kind != "post":
            return None
        if asked.number > 1:
            self.came_in_the_pause.append(self.is_paused())
            return None
        self.accepted.clear()
        return BRIEFLY_LIMITED


async def test_what_was_being_recorded_when_a_429_came_waits_for_the_end_of_its_pause() -> None:
    class Slow(KnowingStore):
        """Saves the second intent only when the first action was answered."""

        intents = 0

        async def save(self, run_id: str, entries: Sequence[Entry]) -> None:
            self.intents += entries[0].state is EntryState.INTENT
            if self.intents == 2:
                await until(api.is_paused)
            await super().save(run_id, entries)

    async with Limits() as api, client_of(api.url, budget=api.budget) as client:
        plan = await client.fleet.plan(ids=["vps_a", "vps_b"], preflight="none")
        async with client.fleet.run(plan, quick(), store=Slow(0.05)) as run:
            report = await run.wait()
    assert api.came_in_the_pause == [False, False]
    assert sorted(api.accepted) == ["vps_a", "vps_b"]
    assert report.requests["action"] == 3
    assert report.limited == 1


@pytest.mark.parametrize("lent", [False, True])
async def test_what_was_connecting_when_a_429_came_waits_for_the_end_of_its_pause(
    monkeypatch: pytest.MonkeyPatch, *, lent: bool
) -> None:
    connections: list[None] = []
    connect = aiohttp.TCPConnector.connect

    async def connect_late(self: Any, *args: Any, **options: Any) -> Any:
        """Connect the second one when the first action was answered."""
        connections.append(None)
        if len(connections) == 2:
            await until(api.is_paused)
        return await connect(self, *args, **options)

    monkeypatch.setattr(aiohttp.TCPConnector, "connect", connect_late)
    session = aiohttp.ClientSession if lent else None
    async with Limits() as api, client_of(api.url, budget=api.budget, session=session) as client:
        await asyncio.gather(*(client.vps.reset(vps_id) for vps_id in ("vps_a", "vps_b")))
    assert api.came_in_the_pause == [False, False]
    assert sorted(api.accepted) == ["vps_a", "vps_b"]
    assert client.budget.snapshot().in_flight == 0
