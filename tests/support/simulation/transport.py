"""The network: what the client's transport is replaced by.

Connections are kept alive and reused, except where the client asks for one of its own. A response
that is repeated late on a connection answers whatever request is under way there.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context
from functools import partial
from hashlib import blake2b
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
from simulation.loop import PROCESS, Pause, Process, SimulatedLoop
from simulation.setup import SLOWEST_REQUEST, Setup

# Seconds of silence after which the client gives up: `Timeouts.read`.
_SILENCE: Final = 30.0
_KEPT_LINES: Final = 20_000
_FLAWS: Final = {"cut": "it broke off", "huge": "it is larger than it may be"}


@define(eq=False)
class Connection:
    """One connection; `waiter` is the request that is under way on it."""

    carried: int = 0
    is_closed: bool = False
    waiter: "asyncio.Future[Answer] | None" = None

    def close(self) -> None:
        self.is_closed = True

    def expire(self) -> None:
        """The client has heard nothing for too long."""
        self.close()
        if self.waiter is not None and not self.waiter.done():
            msg = "no response came"
            self.waiter.set_exception(NetworkError(msg))

    def deliver(self, answer: Answer) -> None:
        """A response arrives: it is the answer to whatever waits, or closes an idle connection."""
        self.carried += 1
        if self.waiter is None or self.waiter.done():
            self.is_closed = True
        else:
            self.waiter.set_result(answer)


class Trace:
    """Everything that happened: the newest lines, and a hash of all of them."""

    def __init__(self) -> None:
        self.lines: Final = deque[str](maxlen=_KEPT_LINES)
        self._hash: Final = blake2b(digest_size=8)

    def add(self, line: str) -> None:
        self.lines.append(line)
        self._hash.update(f"{line}\n".encode())

    @property
    def hash(self) -> str:
        return self._hash.hexdigest()


@define(eq=False)
class World:
    """What the transports of one history share."""

    loop: SimulatedLoop
    chance: Chance
    setup: Setup
    api: SimulatedApi
    on_send: Callable[[Process, Call], None]
    on_wire: Callable[[Process, Call], None]
    trace: Trace = field(factory=Trace)


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
        self._note(call, answer)
        if answer.how == "lost":
            msg = "disconnected"
            raise NetworkError(msg)
        if not exchange.own_connection and not connection.is_closed:
            self._idle.append(connection)
        flaw = _FLAWS.get(answer.how)
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
        self._process.under_way += 1
        self._travel(connection, call)
        if call.method == "GET" and self._fires("sent_again", call):
            exchange.sends += 1
            self._travel(Connection(), call)
        timer = None
        if not world.setup.is_vast:
            timer = world.loop.call_later(_SILENCE, connection.expire)
        try:
            return await waiter
        except asyncio.CancelledError:
            connection.close()
            raise
        finally:
            if timer is not None:
                timer.cancel()
            connection.waiter = None
            self._process.under_way -= 1

    def _travel(self, connection: Connection, call: Call) -> None:
        """Have it arrive after a while, whatever becomes of who sent it."""
        delay = self._latency()
        if self._fires("slow_request", call):
            delay += self._world.chance.between("slow request", 1.0, SLOWEST_REQUEST)
        PROCESS_FREE.run(self._world.loop.call_later, delay, self._arrive, connection, call)

    def _arrive(self, connection: Connection, call: Call) -> None:
        world = self._world
        answer = world.api.answer(call)
        world.trace.add(
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

    def _note(self, call: Call, answer: Answer) -> None:
        """Remember for how long a 429 that arrived here forbids to send."""
        wait, style = answer.headers.get("Retry-After", ""), self._world.setup.limit
        if answer.status != 429 or style is None or not wait.isdecimal() or int(wait) <= 1:
            return
        now, group = self._world.loop.now, style.group(call.kind)
        before = self._process.pauses.get(group, Pause())
        until = max(before.until, now + int(wait) - 1)  # whole seconds, rounded up
        self._process.pauses[group] = Pause(now if before.until < now else before.at, until)


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
