"""The handles of `made_up_async` in sync form."""

# Written by `nox -s facade` from the text of made_up_async: change that, and not this.
# pyright: reportPrivateUsage=false

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Literal, Self, overload

import made_up_async
from made_up_async import Plan, Words
from made_up_async._fleet import DEFAULT

from hostup_async._part import part
from hostup_sync._call import call, forward, identity
from hostup_sync._context import Managed, close, enter, leave
from hostup_sync._handle import ClientScope, Handle
from hostup_sync._stream import stream


class FleetRun(Handle[made_up_async.FleetRun]):
    """A run of a plan.

    Attributes:
        sent: What was sent so far.
    """

    def __init__(
        self,
        plan: Plan,
        say: Words,
    ) -> None:
        made = made_up_async.FleetRun(
            plan,
            say,
        )
        super().__init__(made)

    @property
    def sent(self) -> list[str]:
        """What was sent so far."""
        return self._async.sent

    @property
    def id(self) -> str:
        """What names it."""
        return self._async.id

    def __enter__(self) -> Self:
        enter(self._home, self._async)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        return leave(self._home, self._async, exc)

    def outcomes(self) -> Iterator[str]:
        """The ends, as they come."""
        return stream(
            self._home,
            identity,
            self._async.outcomes,
        )

    def wait(self) -> int:
        """Wait for all."""
        return call(
            self._home,
            identity,
            self._async.wait,
        )

    def stop(self) -> None:
        """Send no more."""
        forward(
            self._home,
            identity,
            self._async.stop,
        )

    def snapshot(self) -> Plan:
        """Where it stands."""
        return forward(
            self._home,
            identity,
            self._async.snapshot,
        )


class FleetResource(Handle[made_up_async.FleetResource]):
    """Many at once."""

    def __init__(
        self,
        say: Words,
    ) -> None:
        made = made_up_async.FleetResource(
            say,
        )
        super().__init__(made)

    def plan(
        self,
        *,
        ids: Iterable[str],
    ) -> Plan:
        """Read only."""
        return call(
            self._home,
            identity,
            self._async.plan,
            ids=ids,
        )

    def run(
        self,
        plan: Plan,
        *,
        store: str | FleetRun | None = None,
    ) -> FleetRun:
        """A run, to be entered."""
        return forward(
            self._home,
            lambda it: FleetRun._of(it, self),
            self._async.run,
            plan,
            store=store._async if isinstance(store, FleetRun) else store,
        )

    def reset(
        self,
        ids: Iterable[str],
    ) -> AbstractContextManager[FleetRun]:
        """A run, entered."""
        return Managed(
            self._home,
            lambda it: FleetRun._of(it, self),
            self._async.reset,
            ids,
        )

    def resume(
        self,
        run_id: str,
    ) -> FleetRun | None:
        """The run again, or None."""
        return call(
            self._home,
            lambda it: None if it is None else FleetRun._of(it, self),
            self._async.resume,
            run_id,
        )

    def runs(self) -> list[FleetRun]:
        """All of them."""
        return call(
            self._home,
            lambda it: [FleetRun._of(one, self) for one in it],
            self._async.runs,
        )

    def watch(
        self,
        runs: Sequence[FleetRun],
    ) -> Generator[tuple[FleetRun, int], None, None]:
        """Each run with its number."""
        return stream(
            self._home,
            lambda it: (FleetRun._of(it[0], self), it[1]),
            self._async.watch,
            Handle._each(runs),
        )


class Client(Handle[made_up_async.Client]):
    """A client of nothing.

    Args:
        say: Told what happens.
        slow: Seconds that entering takes.

    Example:
        >>> def use(client):
        ...     with client:
        ...         return [one for one in client.count(3)]
    """

    def __init__(
        self,
        *,
        say: Words = print,
        slow: float = 0,
    ) -> None:
        made = made_up_async.Client(
            say=say,
            slow=slow,
        )
        super().__init__(made)

    @property
    def fleet(self) -> FleetResource:
        """Many at once."""
        return FleetResource._of(self._async.fleet, self)

    def __enter__(self) -> Self:
        enter(self._home, self._async)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        leave(self._home, self._async, exc)

    def open(self) -> Self:
        """Open it without a block."""
        enter(self._home, self._async)
        return self

    @part
    def other(self) -> FleetResource:
        """Another fleet, which the class shows too."""
        return FleetResource._of(self._async.other, self)

    def close(self) -> None:
        """Close it."""
        close(self._home, self._async, self._async.aclose)

    def echo(
        self,
        text: str,
        /,
        times: int = 1,
        *,
        end: str = "",
    ) -> str:
        """The same again."""
        return call(
            self._home,
            identity,
            self._async.echo,
            text,
            times,
            end=end,
        )

    def nothing(self) -> None:
        """Nothing."""
        call(
            self._home,
            identity,
            self._async.nothing,
        )

    def colour(self) -> str:
        """What the context says."""
        return call(
            self._home,
            identity,
            self._async.colour,
        )

    def work(
        self,
        seconds: float,
    ) -> str:
        """Take long, and then clean up."""
        return call(
            self._home,
            identity,
            self._async.work,
            seconds,
        )

    def stick(self) -> None:
        """Take long, and still longer to clean up."""
        call(
            self._home,
            identity,
            self._async.stick,
        )

    def fail(
        self,
        error: BaseException,
    ) -> None:
        """Raise it."""
        call(
            self._home,
            identity,
            self._async.fail,
            error,
        )

    def fail_within(
        self,
        error: BaseException,
    ) -> None:
        """Raise it in a task."""
        call(
            self._home,
            identity,
            self._async.fail_within,
            error,
        )

    def slow_down(self) -> None:
        """Raise a timeout of its own."""
        call(
            self._home,
            identity,
            self._async.slow_down,
        )

    def call_back(
        self,
        words: Words,
    ) -> None:
        """Call on the loop's thread."""
        call(
            self._home,
            identity,
            self._async.call_back,
            words,
        )

    def count(
        self,
        limit: int = DEFAULT,
        *,
        pause: float = 0,
    ) -> Iterator[int]:
        """Count, in batches of 100."""
        return stream(
            self._home,
            identity,
            self._async.count,
            limit,
            pause=pause,
        )

    @overload
    def either(
        self,
        text: str,
        *,
        doubled: Literal[True],
    ) -> list[str]: ...

    @overload
    def either(
        self,
        text: str,
        *,
        doubled: bool = False,
    ) -> list[str] | str: ...

    def either(
        self,
        text: str,
        *,
        doubled: bool = False,
    ) -> list[str] | str:
        """One or two."""
        return call(
            self._home,
            identity,
            self._async.either,
            text,
            doubled=doubled,
        )


def open_client() -> Client:
    """A client from a function."""
    return call(
        ClientScope(),
        Client._of,
        made_up_async.open_client,
    )
