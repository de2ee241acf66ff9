"""The budget as calls meet it, over real sockets."""

from typing import Any

import pytest
from tools import Connect, RawServer, StartSandbox, client_of, http

from hostup_async import Budget, Event, Paused, RateLimit, RateLimited, Waiting, WaitReason
from hostup_async._http.wire import read_object
from hostup_async._models import VpsStatus
from hostup_async._ratelimit.limits import RequestClass
from hostup_async.sandbox import Limit

LIMITED = http(b"{}", "429 Too Many Requests", "Retry-After: 1000", "X-RateLimit-Limit: 5")


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
