"""One try of one request: sent, answered, understood, and its permit given back."""

import asyncio
import time
from collections.abc import Callable
from typing import Generic, NamedTuple, Protocol, TypeVar

import anyio

from hostup_async._errors import HostUpError, NetworkError, NotSent, UnreadableReply
from hostup_async._events import OnEvent, Paused, RequestDone, tell
from hostup_async._http.responses import Read, parse_response
from hostup_async._http.retry import Decision, RequestOutcome, decide
from hostup_async._http.transport import Exchange, Transport, Url
from hostup_async._models import Action
from hostup_async._ratelimit.headers import EMPTY
from hostup_async._ratelimit.limiter import RateLimiter
from hostup_async._ratelimit.limits import RequestClass
from hostup_async._ratelimit.queue import Permit

T = TypeVar("T")


class PowerAction(NamedTuple):
    """What an action does, and to which VPS."""

    action: Action
    vps_id: str


class Request(NamedTuple):
    """What to send. A request with a `deed` acts, and must not act twice."""

    method: str
    url: Url
    body: bytes | None = None
    deed: PowerAction | None = None
    kind: RequestClass = RequestClass.PREFLIGHT
    to_the_end: bool = False

    @property
    def what(self) -> str:
        """The request, for people."""
        return f"{self.method} {self.url.path}"


class Sender(Protocol):
    """What a try needs: where to send, whom to tell, and where actions under way are noted."""

    @property
    def transport(self) -> Transport: ...
    @property
    def limiter(self) -> RateLimiter: ...
    @property
    def on_event(self) -> OnEvent | None: ...
    @property
    def on_pause(self) -> list[Callable[[Paused], None]]: ...
    @property
    def acting(self) -> set[asyncio.Task[None]]:
        """The actions that are being sent, which a closing client waits for."""
        ...


class Attempt(Generic[T]):
    """A try, under way or over: `value` where `error` is None."""

    __slots__ = ("_read", "error", "exchange", "happened", "reading", "request", "status", "value")

    def __init__(self, request: Request, read: Read[T]) -> None:
        self.request = request
        self.exchange = Exchange()
        self.happened = RequestOutcome.NEVER_SENT
        self.status: int | None = None
        self.value: T | None = None
        self.error: HostUpError | None = None
        self.reading = EMPTY
        self._read = read

    async def run(self, sender: Sender, permit: Permit) -> None:
        """Send, and give the permit back."""
        started = time.monotonic()
        try:
            await self._send(sender.transport)
        except BaseException:  # cancelled, or a mistake of ours: it went out all the same
            if self.exchange.sends:
                self.happened = RequestOutcome.IN_DOUBT
                self.error = NetworkError("It was cut off before its answer came.")
            raise
        finally:
            self._settle(sender, permit, time.monotonic() - started)

    async def run_to_the_end(self, sender: Sender, permit: Permit) -> None:
        """Likewise, but once the request is being sent, a cancellation waits for its answer.

        Cutting the connection would not take the action back, only hide what became of it.
        """
        task = asyncio.create_task(self.run(sender, permit))
        sender.acting.add(task)
        task.add_done_callback(sender.acting.discard)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            await self._finish(task)
            raise

    @property
    def verdict(self) -> Decision:
        """What follows from what happened."""
        return decide(self.happened, acts=self.request.deed is not None)

    def result(self) -> T:
        """The value of a try that was answered."""
        return self.value  # type: ignore[return-value]  # None only where T allows it

    async def _send(self, transport: Transport) -> None:
        request = self.request
        try:
            answer = await transport.send(
                request.method, request.url, self.exchange, body=request.body
            )
            self.status = answer.status
            self.happened, self.value, self.error, self.reading = parse_response(
                request.what, answer, self._read
            )
        except NetworkError as error:
            self.error = error
            if not isinstance(error, NotSent):
                self.happened = RequestOutcome.IN_DOUBT
        except Exception as error:  # whatever it is, the request went out
            if not self.exchange.sends:
                raise
            self.happened = RequestOutcome.IN_DOUBT
            self.error = UnreadableReply(f"The answer could not be read ({error!r}).")

    def _settle(self, sender: Sender, permit: Permit, duration: float) -> None:
        throttled = self.verdict is Decision.PAUSE
        pause = permit.spend(self.reading, sends=self.exchange.sends, throttled=throttled)
        if sender.on_event is not None:
            request = self.request
            done = RequestDone(request.method, request.url.path, self.status, duration)
            tell(sender.on_event, done)
        if pause is not None:
            paused = Paused(pause, sender.limiter.snapshot().queued)
            for listener in (sender.on_event, *sender.on_pause):
                tell(listener, paused)

    async def _finish(self, task: asyncio.Task[None]) -> None:
        """Wait for the end, however often we are cancelled; cut short only what is not sent."""
        with anyio.CancelScope(shield=True):  # anyio's scopes would cancel again at every await
            while not task.done():
                if not self.exchange.sends:
                    task.cancel()
                try:
                    await asyncio.wait([task])
                except asyncio.CancelledError:
                    continue
        if not task.cancelled():
            task.exception()  # seen: the cancellation goes first
