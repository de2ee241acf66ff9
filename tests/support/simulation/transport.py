"""The network: what the client's transport is replaced by.

Connections are kept alive and reused, except where the client asks for one of its own. A response
that is repeated late on a connection answers whatever request is under way there.
"""

import asyncio
from collections.abc import Callable
from contextvars import Context
from functools import partial
from typing import Any, Final, cast
from urllib.parse import unquote

from attrs import define, field
from multidict import CIMultiDict

from hostup_async import ClientClosed, NetworkError
from hostup_async._config import Config
from hostup_async._errors import NotSent
from hostup_async._http.exchange import Exchange, Response
from hostup_async._http.server_clock import ServerClock
from hostup_async._http.transport import Transport, Url
from simulation.api import Answer, Call, SimulatedApi
from simulation.chance import Chance
from simulation.loop import PROCESS, Process, SimulatedLoop
from simulation.setup import Setup

# Seconds of silence after which the client gives up: `Timeouts.read`.
_SILENCE: Final = 30.0


@define(eq=False)
class Connection:
    """One connection; `waiter` is the request that is under way on it."""

    carried: int = 0
    is_closed: bool = False
    waiter: "asyncio.Future[Answer] | None" = None

    def close(self) -> None:
        self.is_closed = True

    def deliver(self, answer: Answer) -> None:
        """A response arrives: it is the answer to whatever waits, or closes an idle connection."""
        self.carried += 1
        if self.waiter is None or self.waiter.done():
            self.is_closed = True
        else:
            self.waiter.set_result(answer)


@define(eq=False)
class World:
    """What the transports of one history share."""

    loop: SimulatedLoop
    chance: Chance
    setup: Setup
    api: SimulatedApi
    on_send: Callable[[Process, Call], None]
    on_wire: Callable[[Process, Call], None]
    trace: list[str] = field(factory=list[str])
    open_connections: int = 0
    limits: dict[str, Any] = field(factory=dict[str, Any])


class SimulatedTransport(Transport):
    """A client's transport, without a network."""

    def __init__(self, config: Config, world: World) -> None:
        super().__init__(config)
        self._world: Final = world
        self._process: Final = cast("Process", PROCESS.get())
        # The product shares one clock in a process, and here several processes are in one.
        self.server_clock = ServerClock(self._process.name)  # type: ignore[misc]
        self._idle: Final = list[Connection]()
        self._is_open = False

    async def open(self) -> None:
        self._is_open, self._closing = True, False

    async def close(self) -> None:
        self._is_open = False
        self._idle.clear()

    async def send(
        self, method: str, url: Url, exchange: Exchange, *, body: bytes | None = None
    ) -> Response:
        del body  # no action has one
        if not self._is_open or self._closing or self._is_dead():
            msg = "not open"
            raise ClientClosed(msg)
        world, call = self._world, _read_call(method, url, self._process)
        world.on_send(self._process, call)
        if self._is_dead():
            await asyncio.sleep(0)  # for ever: it was killed just now
        if self._fires("refused_connection", call):
            await asyncio.sleep(world.chance.between("connect", 0.0, 3.0))
            msg = "connection refused"
            raise NotSent(msg)
        connection = self._connect(exchange)
        if exchange.own_connection:
            await asyncio.sleep(self._latency())
        exchange.check()
        world.on_wire(self._process, call)
        exchange.sends += 1
        exchange.sent_at = self._process.wall(world.loop.now)
        if exchange.on_sent is not None:
            exchange.on_sent()
        answer = await self._exchange(connection, call, exchange)
        self._note(answer)
        if answer.how == "lost":
            msg = "disconnected"
            raise NetworkError(msg)
        if not exchange.own_connection and not connection.is_closed:
            self._idle.append(connection)
        flaw = "it broke off" if answer.how == "cut" else None
        response = Response(answer.status, CIMultiDict(answer.headers), answer.body, flaw)
        exchange.response = response
        return response

    def _is_dead(self) -> bool:
        return self._process.is_dead

    def _connect(self, exchange: Exchange) -> Connection:
        connection = Connection()
        while not exchange.own_connection and self._idle:
            candidate = self._idle.pop()
            if not candidate.is_closed:
                connection = candidate
                break
        exchange.is_shared = connection.carried > 0
        exchange._connection = cast("Any", connection)
        return connection

    async def _exchange(self, connection: Connection, call: Call, exchange: Exchange) -> Answer:
        world = self._world
        waiter: asyncio.Future[Answer] = world.loop.create_future()
        connection.waiter = waiter
        self._travel(connection, call)
        if call.method == "GET" and self._fires("sent_again", call):
            exchange.sends += 1
            self._travel(Connection(), call)
        try:
            async with asyncio.timeout(_SILENCE):
                return await waiter
        except TimeoutError:
            connection.close()
            msg = "no response came"
            raise NetworkError(msg) from None
        except asyncio.CancelledError:
            connection.close()
            raise
        finally:
            connection.waiter = None

    def _travel(self, connection: Connection, call: Call) -> None:
        """Have it arrive after a while, whatever becomes of who sent it."""
        delay = self._latency()
        PROCESS_FREE.run(self._world.loop.call_later, delay, self._arrive, connection, call)

    def _arrive(self, connection: Connection, call: Call) -> None:
        world = self._world
        answer = world.api.answer(call)
        world.trace.append(
            f"{world.loop.now:.6f} {self._process.name} {call.kind} {call.vps_id}{call.job_id}"
            f" {answer.status} {answer.fault}"
        )
        if answer.how == "never":
            return
        delay = self._latency()
        if self._fires("slow_answer", call):
            delay += world.chance.between("slow", 1.0, 25.0)
        world.loop.call_later(delay, connection.deliver, answer)
        if self._fires("repeated", call):
            again = delay + world.chance.between(
                "again", 0.0, world.chance.pick("late", (0.05, 0.5, 3.0))
            )
            world.loop.call_later(again, connection.deliver, answer)

    def _latency(self) -> float:
        return self._world.setup.latency * self._world.chance.between("latency", 0.5, 1.5)

    def _fires(self, kind: str, call: Call) -> bool:
        rate = self._world.setup.rates.get(kind, 0.0)
        return self._world.chance.fires(kind, rate, f"{call.kind} {call.vps_id or call.job_id}")

    def _note(self, answer: Answer) -> None:
        """Remember for how long a 429 that arrived here forbids to send."""
        if answer.status == 429:
            wait = answer.headers.get("Retry-After")
            if wait is not None and float(wait) > 1:
                until = self._world.loop.now + float(wait) - 1  # whole seconds, rounded up
                if self._process.paused_until < self._world.loop.now:
                    self._process.paused_at = self._world.loop.now
                self._process.paused_until = max(self._process.paused_until, until)


def _read_call(method: str, url: Url, process: Process) -> Call:
    parts = [unquote(part) for part in url.path.strip("/").split("/")]
    call = partial(Call, method, run_id=process.run_id, process=process.name)
    match parts:
        case ["api", "v2", "vps", vps_id, "actions", _]:
            return call("reset", vps_id)
        case ["api", "v2", "vps", vps_id, ("status" | "details") as kind]:
            return call(kind, vps_id)
        case ["api", "v2", "vps", vps_id]:
            return call("get", vps_id)
        case ["api", "v2", "vps"]:
            return call("list", cursor=int(url.query.get("cursor", "0")))
        case ["api", "jobs", job_id]:
            return call("poll", job_id=job_id)
    msg = f"no such route: {url}"
    raise AssertionError(msg)


PROCESS_FREE: Final = Context()  # the network belongs to no process
