"""An event loop on virtual time that plays several processes, each with clocks of its own.

Every callback belongs to the process in whose context it was scheduled. A suspended process's
callbacks wait until it goes on; those of a process that was killed never run.
"""

import asyncio
import selectors
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from contextvars import Context, ContextVar, copy_context
from typing import Any, Final, TypeVar, TypeVarTuple, Unpack
from weakref import WeakKeyDictionary

from attrs import define, field

# Seconds since the epoch at virtual time 0.0: 2026-09-21.
EPOCH: Final = 1_790_000_000.0
_BEGIN: Final = 1000.0
T = TypeVar("T")
Ts = TypeVarTuple("Ts")


@define(eq=False)
class Process:
    """A process on some machine.

    Attributes:
        name: For people.
        clock_off: Seconds by which its wall clock is wrong.
        monotonic_off: Seconds by which its monotonic clock is ahead of the simulation's.
        is_suspended: Whether it stands still.
        is_dead: Whether it was killed.
        paused_at: When it read the last 429 that began or extended a pause, in virtual time.
        paused_until: Until when that forbids to send.
        saving: When it began to save each VPS's newest intent: it had its permit by then.
        run_id: The run that it works on.
    """

    name: str
    clock_off: float = 0.0
    monotonic_off: float = 0.0
    is_suspended: bool = False
    is_dead: bool = False
    paused_at: float = 0.0
    paused_until: float = 0.0
    saving: dict[str, float] = field(factory=dict[str, float])
    run_id: str = ""
    frozen: list[asyncio.Handle] = field(factory=list[asyncio.Handle])
    context: Context = field(factory=copy_context)

    def __attrs_post_init__(self) -> None:
        self.context.run(PROCESS.set, self)

    def wall(self, now: float) -> float:
        """What its wall clock shows at a virtual time."""
        return EPOCH + now + self.clock_off


PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)


class NeverEnds(Exception):
    """Every task waits for something that never comes, or the history goes on for ever."""


class _NoIo(selectors.BaseSelector):
    """Instead of waiting for time to pass, moves the time."""

    def __init__(self) -> None:
        self.now = _BEGIN

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            msg = "every task waits, and no timer is set"
            raise NeverEnds(msg)
        self.now += max(0.0, timeout)
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return selectors.SelectorKey(fileobj, fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return selectors.SelectorKey(fileobj, 0, 0, None)

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        raise KeyError(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return {}

    def close(self) -> None:
        """Nothing is open."""


class _Ready(deque[asyncio.Handle]):
    """The callbacks that are ready; taken in their order, or in one that the seed gives."""

    order: Callable[[int], int] | None = None
    nothing: asyncio.Handle

    def popleft(self) -> asyncio.Handle:
        if self.order is not None and len(self) > 1:
            place = self.order(len(self))
            self[0], self[place] = self[place], self[0]
        handle = super().popleft()
        process = handle._context.get(PROCESS)  # type: ignore[attr-defined]
        if process is None or not (process.is_suspended or process.is_dead):
            return handle
        process.frozen.append(handle)
        return self.nothing


class SimulatedLoop(asyncio.SelectorEventLoop):
    """The loop of one history.

    Args:
        order: Which of so many ready callbacks comes next; None for the order of asyncio.

    Attributes:
        steps: How often it went round.
        owners: The process of each task that has one.
        on_step: Called after each time round.
    """

    def __init__(self, order: Callable[[int], int] | None = None) -> None:
        self._no_io = _NoIo()
        super().__init__(self._no_io)
        ready = _Ready(self._ready)  # type: ignore[has-type]
        ready.order = order
        ready.nothing = asyncio.Handle(_nothing, (), self)
        ready.nothing.cancel()
        self._ready = ready
        self._clock_resolution = 1e-6  # far from the rounding of the sums of virtual time
        self.steps = 0
        self.on_step: Callable[[], None] | None = None
        self.owners: Final = WeakKeyDictionary[asyncio.Task[Any], Process]()
        self.set_task_factory(_make_task)  # type: ignore[arg-type]

    @property
    def now(self) -> float:
        """The virtual time, whatever a process's own clock says."""
        return self._no_io.now

    def time(self) -> float:
        """The monotonic clock of the process that asks."""
        process = PROCESS.get()
        return self._no_io.now + (process.monotonic_off if process is not None else 0.0)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        process = PROCESS.get()
        moment = when - (process.monotonic_off if process is not None else 0.0)
        return super().call_at(moment, callback, *args, context=context)

    def suspend(self, process: Process) -> None:
        """SIGSTOP."""
        process.is_suspended = True

    def resume(self, process: Process) -> None:
        """SIGCONT: everything that became ready meanwhile runs now."""
        process.is_suspended = False
        frozen, process.frozen = process.frozen, []
        self._ready.extend(handle for handle in frozen if not handle.cancelled())

    def _run_once(self) -> None:
        super()._run_once()  # type: ignore[misc]
        self.steps += 1
        if self.on_step is not None:
            self.on_step()


def _make_task(
    loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T], **options: Any
) -> asyncio.Task[T]:
    """A task of the process that makes it."""
    assert isinstance(loop, SimulatedLoop)
    task = asyncio.Task(work, loop=loop, **options)
    process = PROCESS.get()
    if process is not None:
        loop.owners[task] = process
    return task


def _nothing() -> None:
    """Run in the place of a callback whose process does not run."""
