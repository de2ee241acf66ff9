"""Sends what is planned, within the bounds, and sees that each VPS comes to its end."""

import asyncio
from collections import deque
from collections.abc import Coroutine
from functools import partial
from typing import Any, Final

from hostup_async._errors import RateLimited
from hostup_async._fleet.context import RunContext
from hostup_async._fleet.target import Target
from hostup_async._models import Action
from hostup_async._outcome import OutcomeStatus
from hostup_async._polling.poller import Sender
from hostup_async._ratelimit.queue import Permit
from hostup_async._store.records import Entry, EntryState

_FROM_BEFORE: Final = -1  # the step of what another process sent


class Engine(Sender):
    """One run at work; the poller tells it when to send.

    Args:
        context: What its targets need.

    Attributes:
        internal_error: An error that is none of ours and ended a target; there should be none.
    """

    def __init__(self, context: RunContext) -> None:
        self.internal_error: BaseException | None = None
        self._context: Final = context
        self._queue: Final = deque(context.journal.positions(EntryState.PLANNED))
        self._targets: Final[dict[asyncio.Task[None], Target]] = {}
        self._over = asyncio.Event()
        self._is_paused = False
        context.rollout.on_stop = self._drain
        self._timers: list[asyncio.TimerHandle] = []

    @property
    def action(self) -> Action:
        """What it sends."""
        return self._context.plan.action

    def left(self) -> int:
        """How many actions it has still to send, be it later."""
        return 0 if self._is_paused or self._context.rollout.stop_reason else len(self._queue)

    @property
    def limit(self) -> int | None:
        """The operator's bound on what is in flight."""
        return self._context.policy.max_in_flight

    @property
    def in_flight(self) -> int:
        """VPSes whose outcome is not known, though something may have been sent to them."""
        return len(self._targets)

    def waiting(self) -> int:
        """How many actions it would send now."""
        room = 0 if self._is_paused else min(len(self._queue), self._context.rollout.allowance())
        if room <= 0:
            return 0
        return max(0, min(int(room), self.window() - self.in_flight))

    def window(self) -> int:
        """How many may be in flight, others' apart."""
        size = self._context.poller.concurrency_limit().size
        return size if self.limit is None else min(size, self.limit)

    def send(self, permit: Permit) -> None:
        """Send the next one."""
        entry = self._context.journal[self._queue.popleft()]
        target = Target(self._context, entry)
        begun = target.begin(permit, self._context.poller.sent)
        self._start(target, begun, self._context.rollout.sent())

    def fail(self, error: Exception) -> None:
        """The limit allows nothing more within the longest wait allowed; or there is a mistake."""
        if not isinstance(error, RateLimited):
            self.internal_error = self.internal_error or error
        self.stop(str(error))

    async def run(self) -> None:
        """Send and follow everything, or what is begun when the sending is stopped."""
        journal, deadline = self._context.journal, self._context.policy.deadline
        for position in list(journal.positions(EntryState.INTENT, EntryState.ACCEPTED)):
            target = Target(self._context, journal[position])
            self._start(target, target.go_on(), _FROM_BEFORE)
        if deadline is not None:
            self._after(deadline, partial(self.leave, "the run's deadline has passed"))
        self._context.poller.add(self)
        try:
            self._check()
            await self._over.wait()
        finally:
            self._context.poller.remove(self)
            for timer in self._timers:
                timer.cancel()

    def stop(self, why: str) -> None:
        """Send nothing more; what is in flight is followed, for as long as the policy allows."""
        self._context.rollout.stop(why)

    def leave(self, why: str) -> None:
        """Send nothing more and follow nothing more; what is being sent is let end."""
        self._context.rollout.stop(why)
        for target in self._targets.values():
            target.leave()
        self._check()

    def pause(self, *, on: bool) -> None:
        """Send nothing more until told to go on."""
        self._is_paused = on
        self._context.poller.wake()

    def _start(self, target: Target, way: Coroutine[Any, Any, None], step: int) -> None:
        task = asyncio.create_task(way)
        self._targets[task] = target
        task.add_done_callback(partial(self._ended, step))

    def _ended(self, step: int, task: asyncio.Task[None]) -> None:
        target = self._targets.pop(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.internal_error = self.internal_error or error
            self._context.rollout.stop(f"a mistake in this program: {error!r}")
        self._judge(target.entry, step)
        self._check()
        self._context.poller.wake()

    def _judge(self, entry: Entry, step: int) -> None:
        rollout = self._context.rollout
        if entry.state in {EntryState.SKIPPED, EntryState.PLANNED}:
            rollout.return_slot(step)
        elif entry.state.is_terminal:
            rollout.record_outcome(step, entry.vps_id, OutcomeStatus(entry.state.value))

    def _check(self) -> None:
        """Whether it is over."""
        if not self._targets and (self._context.rollout.stop_reason or not self._queue):
            self._over.set()

    def _drain(self) -> None:
        """Nothing more is sent: what waits to be is taken back, the rest followed for a time."""
        drain = self._context.policy.drain_timeout
        self._after(drain, partial(self.leave, f"not ended {drain:g} s after the stop"))
        for target in self._targets.values():
            target.stop()
        self._check()

    def _after(self, delay: float, call: partial[None]) -> None:
        self._timers.append(asyncio.get_running_loop().call_later(delay, call))
