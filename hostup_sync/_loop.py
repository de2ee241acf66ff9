"""One thread with an event loop, for all clients of the process: it lives while it is needed."""

import asyncio
import atexit
import os
import signal
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Lock
from typing import Any, Final, Protocol

GRACE: Final = 0.7
"""Seconds that tasks may take to clean up once the loop has to end."""
LAST_TO_END: Final = "hostup-context"
"""The name of tasks that others may still need for their clean-up."""
# Seconds instead of `GRACE` where a task is stuck already: a user who pressed Ctrl-C twice waits.
_HASTE: Final = 0.1
# Seconds that a fork waits for the loop to rest, and the loop for the fork: a task that blocks the
# loop must not hold up the fork for good, nor a fork that fails the loop.
_PAUSE: Final = 1.0
# Blocked while a thread starts: a Ctrl-C in that moment would leave a thread without a reference.
_PUT_OFF: Final = (signal.SIGINT, signal.SIGTERM)


class User(Protocol):
    """A holder of a lease on the loop."""

    def left_open(self) -> None:
        """Called when the interpreter exits and the lease was never given back."""


class Loop(asyncio.SelectorEventLoop):
    """An event loop that passes for closed, and keeps quiet, once its thread is gone.

    A forked child shares its parent's epoll object: finalisers that ran there on a loop which
    seems open would take the parent's sockets out of it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gone = False

    def is_closed(self) -> bool:
        """Whether it can be used no more."""
        return self.gone or super().is_closed()

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Report tasks that are never awaited, unless the thread is gone."""
        if not self.gone:
            super().call_exception_handler(context)


class LoopThread:
    """A daemon thread that runs a loop, started and stopped by `Loops`.

    Attributes:
        orphaned: Tasks that are no longer waited for; with any, ending the loop is hasty too.
        leaving: Whether the interpreter exits, so that threads which wait are left to.
    """

    def __init__(self, mask: set[signal.Signals | int]) -> None:
        self.loop: Final = Loop()
        self.orphaned: set[User] = set()
        self.leaving = False
        self._ending = False
        self._mask = mask
        self._helpers = ThreadPoolExecutor(thread_name_prefix=f"hostup-helper-{id(self)}")
        self.loop.set_default_executor(self._helpers)
        self._thread = threading.Thread(target=self._main, name="hostup-loop", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # refused, as while the interpreter shuts down
            self.loop.close()
            raise

    def is_current(self) -> bool:
        """Whether the caller runs on this very thread."""
        return self._thread.ident == threading.get_ident()

    def is_alive(self) -> bool:
        """Whether it runs still."""
        return self._thread.is_alive()

    def pause(self) -> Lock:
        """Let the loop rest between two steps, where it holds no lock; release to go on."""
        go_on, at_rest = Lock(), Lock()
        go_on.acquire()
        at_rest.acquire()

        def rest() -> None:
            at_rest.release()
            go_on.acquire(timeout=_PAUSE)

        self.loop.call_soon_threadsafe(rest)
        at_rest.acquire(timeout=_PAUSE)
        return go_on

    def stop(self) -> None:
        """End what still runs, within a bound, and then the thread."""
        self.loop.call_soon_threadsafe(self._end)
        if not self.is_current():  # a finaliser may run anywhere
            self._thread.join(3 * GRACE)

    def _main(self) -> None:
        # What is spawned from here inherits the mask, and must be open to signals.
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        while not self._ending:
            # A task's KeyboardInterrupt or SystemExit passes through here and stops the loop. It
            # belongs to the thread that awaits the task, so the loop goes on.
            with suppress(BaseException):
                self.loop.run_forever()
        grace = _HASTE if self.orphaned else GRACE
        with suppress(BaseException):
            self.loop.run_until_complete(self._wind_down(grace))
        self._helpers.shutdown(wait=False, cancel_futures=True)
        _join(self._helpers_left(), grace)
        self.loop.close()

    def _end(self) -> None:
        self._ending = True
        self.loop.stop()

    async def _wind_down(self, grace: float) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        last = {task for task in tasks if task.get_name() == LAST_TO_END}
        await _cancel(tasks - last, grace)
        await _cancel(last, grace)
        self.loop.gone = not all(task.done() for task in tasks)
        await self.loop.shutdown_asyncgens()

    def _helpers_left(self) -> list[threading.Thread]:
        mine = f"hostup-helper-{id(self)}"
        return [thread for thread in threading.enumerate() if thread.name.startswith(mine)]


class Loops:
    """Who needs the loop thread: it starts for the first user, and ends after the last.

    A forked child has an instance of its own, since the parent's thread did not come along.
    """

    current: "Loops"

    def __init__(self) -> None:
        # Reentrant: a finaliser or a signal handler may run in the middle of what it guards.
        self._lock = threading.RLock()
        self._users: set[User] = set()
        self._thread: LoopThread | None = None
        self._paused: Lock | None = None

    def lease(self, user: User) -> LoopThread:
        """The running thread, which stays until `user` is released."""
        with self._lock:
            self._users.add(user)
            return self._thread or self._start()

    def release(self, user: User) -> None:
        """Give a lease back, any number of times; the last to go ends the thread."""
        with self._lock:
            self._users.discard(user)
            if self._users:
                return
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.stop()

    def _start(self) -> LoopThread:
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _PUT_OFF)
        try:
            thread = self._thread = LoopThread(mask)
            return thread
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def runs_here(self) -> bool:
        """Whether the caller is on the loop's own thread, where it must not wait."""
        thread = self._thread
        return thread is not None and thread.is_current()

    def runs_elsewhere(self) -> bool:
        """Whether a loop runs that the caller is not part of."""
        thread = self._thread
        return thread is not None and not thread.is_current()

    def exit(self) -> None:
        """The interpreter exits: end everything, wake no thread, and warn of what was left open."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        thread.leaving = True
        thread.stop()
        thread.loop.gone = True
        for user in tuple(self._users):
            user.left_open()

    def pause(self) -> None:
        """A fork comes: what the loop's thread has locked then stays locked in the child."""
        thread = self._thread
        if thread is not None and not thread.is_current():
            self._paused = thread.pause()

    def go_on(self) -> None:
        """The fork is over, and this is the parent."""
        paused, self._paused = self._paused, None
        if paused is not None:
            paused.release()

    def abandon(self) -> None:
        """This is a forked child: the thread and its loop are the parent's."""
        if self._thread is not None:
            self._thread.loop.gone = True


async def _cancel(tasks: set[asyncio.Task[Any]], grace: float) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=grace)


def _join(threads: Iterable[threading.Thread], longest: float) -> None:
    for thread in threads:
        thread.join(longest)


def _begin() -> None:
    Loops.current = Loops()


def _begin_in_child() -> None:
    Loops.current.abandon()
    _begin()


def _pause() -> None:
    Loops.current.pause()


def _go_on() -> None:
    Loops.current.go_on()


def _exit() -> None:
    Loops.current.exit()


_begin()
os.register_at_fork(before=_pause, after_in_parent=_go_on, after_in_child=_begin_in_child)
atexit.register(_exit)
