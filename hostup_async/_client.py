"""The client: where key, transport, budget and resources come together."""

from collections.abc import AsyncIterator, Callable, Iterable
from inspect import iscoroutinefunction
from types import TracebackType
from typing import Final, Self, cast

from hostup_async._config import (
    Config,
    Seconds,
    Timeouts,
    find_base,
    find_key,
    hide,
    instance,
    seconds,
    switch,
)
from hostup_async._errors import ConfigurationError, HostUpError
from hostup_async._events import OnEvent
from hostup_async._fleet.context import ClientParts
from hostup_async._fleet.resource import FleetResource
from hostup_async._http.requester import Requester
from hostup_async._http.transport import Session, Transport
from hostup_async._log import follow_environment
from hostup_async._models import Job
from hostup_async._operation import Operation, as_they_end
from hostup_async._part import part
from hostup_async._polling.poller import Poller
from hostup_async._ratelimit.budget import Budget, limiter_of
from hostup_async._token import read_token
from hostup_async._vps import VpsResource


class Client:
    """The HostUp API, for one key. Use it as a context manager.

    Args:
        api_key: The key; by default the environment's `HOSTUP_API_KEY`. It needs the scopes
            `read:vm` and, for power actions, `power:vm`.
        base_url: The API's origin; by default `HOSTUP_API_BASE`, or else HostUp's own.
        timeouts: How long each phase of a request may take.
        budget: The rate limit to keep; by default the one that all clients of this process with
            the same origin and key share.
        session: An aiohttp session to send on, for instance one with a proxy: it is lent, and
            never closed here. Or a function that makes one: it is called when the client opens,
            on the loop that the client uses, and what it made is closed with the client. In
            `hostup_sync`, whose loop is its own, only the function can be used. On either, each
            request asks the server to close its connection afterwards, and an action is not sent
            on a connection that carried a response before.
        on_event: A function that is called with each `Event`, on the thread of the client's event
            loop; it must not block, and what it raises is logged and otherwise ignored.
        allow_http: Allow an `http://` base that is not this machine: the key goes unencrypted.

    Raises:
        ConfigurationError: No key, or an argument that cannot be used; nothing was sent.

    Example:
        >>> async def main():
        ...     async with Client() as client:
        ...         operation = await client.vps.reset("vps_01hxa3b4c5d6e7f8g9h0j1k2m3")
        ...         print(await operation.wait(timeout=600))
    """

    def __init__(  # noqa: PLR0913 - each is one fact about the client, all after the first by name
        self,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        timeouts: Timeouts | None = None,
        budget: Budget | None = None,
        session: Session | Callable[[], Session] | None = None,
        on_event: OnEvent | None = None,
        allow_http: bool = False,
    ) -> None:
        api_key = hide(api_key)  # no traceback that passes through here shows it
        base = find_base(base_url, allow_http=switch(allow_http, name="allow_http"))
        config = Config(find_key(api_key), base, _checked_timeouts(timeouts))
        follow_environment()
        fingerprint = config.key.fingerprint
        self._budget: Final = _checked_budget(budget) or Budget.shared(base, fingerprint)
        _check_callables(session, on_event)
        self._config: Final = config
        limiter = limiter_of(self._budget)
        self._requester: Final = Requester(
            Transport(config, session), limiter, on_event, config.timeouts.call
        )
        self._poller: Final = Poller(limiter)
        self._vps: Final = VpsResource(self._requester, self._poller)
        parts = ClientParts(self._requester, self._poller, self._vps, self._budget, fingerprint)
        self._fleet: Final = FleetResource(parts, base)

    def __repr__(self) -> str:
        config: Config | None = getattr(self, "_config", None)
        if config is None:  # refused by __init__, and shown by a traceback
            return "<Client, not configured>"
        state = "open" if self._requester.is_open else "not open"
        return f"<Client of {config.base}, key {config.key.fingerprint}, {state}>"

    @part
    def vps(self) -> VpsResource:
        """The VPSes of the key's account, one at a time."""
        return self._vps

    @part
    def fleet(self) -> FleetResource:
        """Many VPSes at once."""
        return self._fleet

    @part
    def budget(self) -> Budget:
        """The rate limit that it keeps to."""
        return self._budget

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def open(self) -> Self:
        """Open the client, where no block can be its context: then you have to close it.

        Raises:
            ConfigurationError: It is open already.

        Example:
            >>> async def main():
            ...     client = await Client().open()
            ...     try:
            ...         print(await client.vps.status("vps_01hxa3b4c5d6e7f8g9h0j1k2m3"))
            ...     finally:
            ...         await client.aclose()
        """
        await self._requester.open()
        return self

    async def aclose(self) -> None:
        """Close the client: nothing more is sent, and an action that is being sent runs to its end.

        Calls that still wait raise `ClientClosed`, and their actions were not sent.
        """
        self._requester.refuse()
        await self._poller.aclose()
        await self._requester.close()

    def operation(self, token_or_poll_url: str) -> Operation:
        """An operation begun earlier or elsewhere, from its token or its poll URL.

        Raises:
            ConfigurationError: It is neither, or was made for another API.
            UntrustedPollUrl: The poll URL leads away from this client's API.
        """
        ref = read_token(token_or_poll_url, self._requester.base)
        if ref.poll_url is not None:
            self._requester.trusted_url(ref.poll_url)
        return Operation(self._requester, self._poller, ref)

    def wait_all(
        self,
        operations: Iterable[Operation],
        *,
        timeout: Seconds = 600,
    ) -> AsyncIterator[tuple[Operation, Job | HostUpError]]:
        """Wait for many operations at once; yields each as it ends, with its job or its error.

        Errors are yielded and not raised, so that one failure does not hide the others.

        Args:
            operations: What to wait for.
            timeout: How long for each, in seconds or as a `timedelta`.

        Example:
            >>> async def reset_two(client, first, second):
            ...     operations = [await client.vps.reset(first), await client.vps.reset(second)]
            ...     async for operation, result in client.wait_all(operations):
            ...         print(operation.vps_id, result)
        """
        return as_they_end(_checked_operations(operations), seconds(timeout, name="timeout"))


def _checked_budget(budget: object) -> Budget | None:
    if budget is None:
        return None
    return instance(budget, Budget, name="budget", example="Budget(RateLimit(600, 60))")


def _checked_timeouts(timeouts: object) -> Timeouts:
    if timeouts is None:
        return Timeouts()
    return instance(timeouts, Timeouts, name="timeouts", example="Timeouts(read=30)")


def _check_callables(session: object, on_event: object) -> None:
    if not (session is None or isinstance(session, Session) or callable(session)):
        msg = (
            "session must be an aiohttp.ClientSession, or a function that makes one, not "
            f"{type(session).__name__}."
        )
        raise ConfigurationError(msg)
    if on_event is not None and (not callable(on_event) or iscoroutinefunction(on_event)):
        msg = f"on_event must be a plain function of one event, such as print, not {on_event!r}."
        raise ConfigurationError(msg)


def _checked_operations(operations: object) -> list[Operation]:
    if isinstance(operations, Iterable):
        example = "await client.vps.reset(vps_id)"
        each = cast("Iterable[object]", operations)
        return [instance(one, Operation, name="an operation", example=example) for one in each]
    msg = f"operations must be a list of operations, not one {type(operations).__name__}."
    raise ConfigurationError(msg)
