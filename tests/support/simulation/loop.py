"""An event loop on virtual time that plays several processes, each with clocks of its own.

Every callback belongs to the process in whose context it was scheduled. A suspended process's
callbacks wait until it goes on; those of a process that was killed never run.

The loop waits for no input or output: when nothing is ready, its time is the next timer's.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any, Final, NamedTuple, TypeVar, TypeVarTuple, Unpack

from attrs import define, field

# Seconds since the epoch at virtual time 0.0: 2026-09-21.
EPOCH: Final = 1_790_000_000.0
_BEGIN: Final = 1000.0
# Seconds: timers this close are due together, which is far from the rounding of virtual times.
_RESOLUTION: Final = 1e-6
# With more timers than this, and most of them cancelled, all of these are dropped, as asyncio does.
_MANY_TIMERS: Final = 100
T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Pause(NamedTuple):
    """When a 429 that began a pause was read, and until when it forbids to send; virtual time."""

    at: float = 0.0
    until: float = 0.0


@define(eq=False)
class Process:
    """A process on some machine.

    Attributes:
        name: For people.
        clock_off: Seconds by which its wall clock is wrong.
        monotonic_off: Seconds by which its monotonic clock is ahead of the simulation's.
        is_suspended: Whether it stands still.
        is_dead: Whether it was killed.
        pauses: The last 429's of each group of requests that share a limit.
        saving: When it began to save each VPS's newest intent: it had its permit by then.
        run_id: The run that it works on.
        under_way: Its requests on connections that are open.
    """

    name: str
    clock_off: float = 0.0
    monotonic_off: float = 0.0
    is_suspended: bool = False
    is_dead: bool = False
    pauses: dict[str, Pause] = field(factory=dict[str, Pause])
    saving: dict[str, float] = field(factory=dict[str, float])
    run_id: str = ""
    under_way: int = 0
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


class SimulatedLoop(asyncio.BaseEventLoop):
    """The loop of one history.

    Args:
        order: Which of several ready callbacks comes next, from 0; None for asyncio's order.

    Attributes:
        now: The virtual time, whatever a process's own clock says.
        steps: How often it went round.
        on_step: Called after each time round.
    """

    _ready: deque[asyncio.Handle]
    _timer_cancelled_count: int

    def __init__(self, order: Callable[[int], int] | None = None) -> None:
        super().__init__()
        # Numbered, so that timers due at the same time go off in the order in which they were set.
        self._timers: Final = list[tuple[float, int, asyncio.TimerHandle]]()
        self._timers_set = 0
        self.order = order
        self.now = _BEGIN
        self.steps = 0
        self.on_step: Callable[[], None] | None = None
        self.set_task_factory(OwnedTask)  # type: ignore[arg-type]

    def time(self) -> float:
        """The monotonic clock of the process that asks."""
        process = PROCESS.get()
        return self.now + (process.monotonic_off if process is not None else 0.0)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        process = PROCESS.get()
        moment = when - (process.monotonic_off if process is not None else 0.0)
        handle = asyncio.TimerHandle(moment, callback, args, self, context)
        self._timers_set += 1
        heapq.heappush(self._timers, (moment, self._timers_set, handle))
        handle._scheduled = True  # type: ignore[attr-defined]
        return handle

    def suspend(self, process: Process) -> None:
        """SIGSTOP."""
        process.is_suspended = True

    def resume(self, process: Process) -> None:
        """SIGCONT: everything that became ready meanwhile runs now."""
        process.is_suspended = False
        frozen, process.frozen = process.frozen, []
        self._ready.extend(handle for handle in frozen if not handle.cancelled())

    def _run_once(self) -> None:
        """Go round once, as asyncio's loop does."""
        self._wake_timers()
        ready, order = self._ready, self.order
        for _ in range(len(ready)):
            if order is not None and len(ready) > 1:
                place = order(len(ready))
                ready[0], ready[place] = ready[place], ready[0]
            handle = ready.popleft()
            if handle._cancelled:
                continue
            process = handle._context.get(PROCESS)  # type: ignore[attr-defined]
            if process is not None and (process.is_suspended or process.is_dead):
                process.frozen.append(handle)
            else:
                handle._run()
        self.steps += 1
        if self.on_step is not None:
            self.on_step()

    def _wake_timers(self) -> None:
        self._clear_cancelled()
        timers = self._timers
        if not self._ready and not self._stopping:  # type: ignore[attr-defined]
            if not timers:
                msg = "every task waits, and no timer is set"
                raise NeverEnds(msg)
            self.now = max(self.now, timers[0][0])
        due = self.now + _RESOLUTION
        while timers and timers[0][0] < due:
            handle = self._pop_timer()
            if not handle._cancelled:
                self._ready.append(handle)

    def _pop_timer(self) -> asyncio.TimerHandle:
        _, _, handle = heapq.heappop(self._timers)
        handle._scheduled = False  # type: ignore[attr-defined]
        self._timer_cancelled_count -= handle._cancelled
        return handle

    def _clear_cancelled(self) -> None:
        """Drop cancelled timers: the next ones, and all of them where they are the most."""
        timers = self._timers
        if len(timers) > _MANY_TIMERS and self._timer_cancelled_count > len(timers) / 2:
            timers[:] = [timer for timer in timers if not timer[2]._cancelled]
            heapq.heapify(timers)
            self._timer_cancelled_count = 0
        while timers and timers[0][2]._cancelled:
            self._pop_timer()


class OwnedTask(asyncio.Task[T]):
    """A task of the process that makes it, if one does."""

    __slots__ = ("owner",)

    def __init__(
        self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T], **options: Any
    ) -> None:
        super().__init__(work, loop=loop, **options)
        self.owner: Final = PROCESS.get()
