"""What runs on the loop for a thread that waits: begun, cancelled and ended together with it.

A `LoopTask` changes on the loop's thread alone. A thread that wants something of it hands in the
call that shall wake it, and blocks on a plain lock: no timeout, no future, and so none of their
errors.
"""

import asyncio
import contextvars
from abc import ABC, abstractmethod
from collections.abc import Callable
from threading import Lock
from typing import ClassVar, Final

from hostup_async import ClientClosed
from hostup_sync._loop import GRACE, Loops, LoopThread
from hostup_sync._notes import carry_over, explain, trim_traceback

Wake = Callable[[], None]

# Seconds for what may be stuck, after a second Ctrl-C: short enough for one who waits.
HASTE: Final = 0.25
# Seconds between two checks that the loop's thread still lives: one that has died wakes no waiter.
_LOOK_UP: Final = 1.0


class RunningTasks:
    """What one client has running.

    Attributes:
        running: All of it.
        orphaned: Tasks that are stuck in their clean-up and no longer waited for. While there
            are any, closing the client waits for no other task either.
    """

    __slots__ = ("orphaned", "running")

    def __init__(self) -> None:
        self.running: set[LoopTask] = set()
        self.orphaned: set[LoopTask] = set()


class LoopTask(ABC):
    """A task on the loop that a thread waits for.

    Attributes:
        error: What it failed with, once it has ended.
    """

    __slots__ = (
        "_called_off",
        "_context",
        "_ended",
        "_loops",
        "_runs",
        "_task",
        "_thread",
        "_waiting",
        "_works",
        "error",
    )
    task_name: ClassVar[str] = "hostup-call"

    def __init__(self, works: RunningTasks) -> None:
        self.error: BaseException | None = None
        self._context = contextvars.copy_context()
        self._called_off = False
        self._ended = False
        self._loops = Loops.current
        self._runs = False
        self._task: asyncio.Task[None] | None = None
        self._thread: LoopThread | None = None
        self._waiting: list[Wake] = []
        self._works = works

    # On the caller's thread.

    def start(self, patience: float | None = None) -> bool:
        """Begin, and wait until the loop has something for us."""
        self._thread = self._loops.lease(self)
        self._works.running.add(self)
        return self.submit(self._begin, patience=patience)

    def submit(self, what: Callable[[Wake], None], *, patience: float | None = None) -> bool:
        """Call on the loop, and wait until that wakes us, or until `patience` seconds are over."""
        lock = Lock()
        lock.acquire()
        assert self._thread is not None  # noqa: S101 - `start` came first
        try:
            self._thread.loop.call_soon_threadsafe(what, lock.release, context=self._context)
        except RuntimeError:  # the client was closed, and the loop has ended with all its work
            return True
        if patience is not None:
            return lock.acquire(timeout=patience)
        while not lock.acquire(timeout=_LOOK_UP):
            if not self._thread.is_alive():  # it ended in this very moment
                break
        return True

    def failure(self) -> BaseException | None:
        """What to raise in the caller's thread, where it failed."""
        error = self.error
        if error is None:
            return None
        if isinstance(error, asyncio.CancelledError):
            self.error = ClientClosed(
                "The client was closed during this call. What was sent may have taken effect: "
                "read the notes of this error, and check client.vps.status(...)."
            )
            carry_over(error, self.error)
            return self.error
        return trim_traceback(error)

    def settle(self, error: BaseException) -> None:
        """The caller's thread leaves with an error: its own, which interrupts us, or ours.

        An interruption cancels, waits for the end, and takes notes along. If a second one comes
        meanwhile, it goes out at once, and the work is left to itself.
        """
        try:
            if error is not self.error and self._can_be_awaited():
                self._call_off(error)
        except BaseException:
            self.give_up()
            raise
        finally:
            self.error = None  # its traceback leads back here
            self.release()

    def _call_off(self, interruption: BaseException) -> None:
        # A generator is often closed by a finaliser, which must not wait for long.
        patience = GRACE if isinstance(interruption, GeneratorExit) else None
        if self._ended or self.submit(self.cancel, patience=patience):
            explain(interruption, self._lost(), self.error)
        else:
            self.give_up()

    def _can_be_awaited(self) -> bool:
        """Not in a forked child, nor at exit, nor in a finaliser on the loop's own thread."""
        if self._thread is None or self._thread.leaving:
            return False
        return self._loops is Loops.current and not self._thread.is_current()

    def release(self) -> None:
        """The caller's thread needs it no longer."""
        self._works.running.discard(self)
        self._loops.release(self)

    def give_up(self) -> None:
        """Cancel without waiting, and leave it to itself."""
        if self._thread is not None:
            self._works.orphaned.add(self)
            self._thread.orphaned.add(self)  # the loop alone holds tasks but weakly
            self._thread.loop.call_soon_threadsafe(self._nudge)

    def drop(self) -> None:  # noqa: B027 - most have nothing to do
        """The client is gone; a call that it left behind ends by itself."""

    def left_open(self) -> None:  # noqa: B027 - most have nothing to do
        """The interpreter exits; nothing to say of a call that this cuts short."""

    # On the loop's thread.

    def cancel(self, wake: Wake) -> None:
        """Cancel, and call `wake` at the end."""
        self._waiting.append(wake)
        self._nudge()

    def dismiss(self) -> asyncio.Task[None] | None:
        """Cancel because the client closes; the task to wait for, where there is one."""
        self._nudge()
        return self._task

    def _nudge(self) -> None:
        if self._ended:
            self._wake()
        elif self._task is None:
            self.error = asyncio.CancelledError()
            self._end()
        elif self._runs:
            self._task.cancel()
        else:  # a task that is cancelled before its first step never takes one
            self._called_off = True

    def _begin(self, wake: Wake) -> None:
        self._waiting.append(wake)
        if self._ended:
            self._wake()
        else:  # in the context that `submit` brought along
            self._task = asyncio.create_task(self._main(), name=self.task_name)

    async def _main(self) -> None:
        try:
            if self._called_off:
                raise asyncio.CancelledError  # noqa: TRY301 - as if it came from the first step
            self._runs = True
            await self._run()
        except BaseException as error:  # noqa: BLE001 - all is for the caller's thread
            self.error = error
        finally:
            self._end()

    @abstractmethod
    async def _run(self) -> None: ...

    def _lost(self) -> object:
        """The result that is lost if the thread leaves now."""
        return None

    def _end(self) -> None:
        self._ended = True
        # It dies here, on the loop's thread: a Ctrl-C that met its finaliser would be lost.
        self._task = None
        self._works.orphaned.discard(self)
        if self._thread is not None:
            self._thread.orphaned.discard(self)
        self._wake()

    def _wake(self) -> None:
        """Wake all who wait; but leave them alone when the interpreter exits."""
        waiting, self._waiting = self._waiting, []
        if self._thread is None or not self._thread.leaving:
            for wake in waiting:
                wake()
