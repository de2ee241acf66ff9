"""Plain clients and a hand-driven clock for the tests of the sandbox."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import aiohttp
from attrs import frozen
from yarl import URL

from hostup_async.sandbox import Fault, Sandbox, SandboxConfig, SandboxHandle
from hostup_async.sandbox._api import Api, IncomingCall
from hostup_async.sandbox._clock import Clock
from hostup_async.sandbox._replies import Reply

Json: TypeAlias = Any
EPOCH = 1_800_000_000.0


class Desk:
    """The API without a network, on a clock that the test moves."""

    def __init__(self, **settings: Json) -> None:
        self.config = SandboxConfig(**settings)
        self.clock = Clock(self.config.clock_skew, EPOCH, frozen=True)
        self.api = Api(self.config, self.clock)
        self.ids = self.config.vps_ids

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def call(
        self, method: str, target: str, content: bytes = b"", key: str | None = "sk_test_sandbox"
    ) -> Reply:
        authorization = None if key is None else f"Bearer {key}"
        query = dict(URL(target).query)
        return self.api.answer(IncomingCall(method, target, query, authorization, content))

    def get(self, target: str) -> Json:
        return json.loads(self.call("GET", target).body)

    def act(self, vps: int = 0, action: str = "reset", content: bytes = b"") -> Reply:
        return self.call("POST", f"/api/v2/vps/{self.ids[vps]}/actions/{action}", content)

    def accepted(self, vps: int = 0, action: str = "reset") -> Json:
        reply = self.act(vps, action)
        assert reply.status == 202, reply
        return json.loads(reply.body)["operation"]

    def uptime(self, vps: int = 0) -> Json:
        return self.get(f"/api/v2/vps/{self.ids[vps]}/status")["uptimeSeconds"]


@frozen
class Answer:
    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Json:
        return json.loads(self.content)


@frozen
class Caller:
    sandbox: SandboxHandle
    session: aiohttp.ClientSession

    async def __call__(self, method: str, path: str, **options: Json) -> Answer:
        options = {"allow_redirects": False, **options}
        async with self.session.request(method, path, **options) as answer:
            return Answer(answer.status, dict(answer.headers), await answer.read())

    async def reset(self, vps: int = 0, **options: Json) -> Answer:
        path = f"/api/v2/vps/{self.sandbox.vps_ids[vps]}/actions/reset"
        return await self("POST", path, **options)


@asynccontextmanager
async def calling(sandbox: SandboxHandle) -> AsyncIterator[Caller]:
    headers = {"Authorization": f"Bearer {sandbox.api_key}"}
    async with aiohttp.ClientSession(sandbox.url, headers=headers) as session:
        yield Caller(sandbox, session)


@asynccontextmanager
async def served(**settings: Json) -> AsyncIterator[Caller]:
    async with Sandbox(SandboxConfig(**settings)) as sandbox, calling(sandbox) as caller:
        yield caller


async def eventually(check: Callable[[], Awaitable[bool]]) -> bool:
    """Whether `check` comes true within half a minute, which is for busy machines."""
    for _ in range(3000):
        if await check():
            return True
        await asyncio.sleep(0.01)
    return False


async def struck(sandbox: SandboxHandle, fault: Fault, times: int = 1) -> bool:
    """Wait until the fault has been applied this many times."""

    async def is_in_the_books() -> bool:
        return (await sandbox.books()).faults.get(fault.value, 0) >= times

    return await eventually(is_in_the_books)
