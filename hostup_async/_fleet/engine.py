"""Sends what is planned, within the bounds, and takes each VPS to its outcome."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from hostup_async import _clock
from hostup_async._errors import RateLimited
from hostup_async._fleet.context import RunContext
from hostup_async._fleet.evidence import Evidence
from hostup_async._fleet.slot import SendSlot
from hostup_async._fleet.target import Target
from hostup_async._models import Action
from hostup_async._outcome import StopCause
from hostup_async._polling.poller import Sender
from hostup_async._ratelimit.queue import Permit
from hostup_async._store.records import EntryState

# Seconds. When the time of the whole run is up, each job is polled once more, all together for no
# longer than this: at 600 requests a minute that is enough for 100.
_LAST_POLLS: Final = 10.0


class Engine(Sender):
    """One run at work; the poller tells it when to send.

    Args:
        context: What its targets need.
        steps: The step, in the rollout, of each position that another process left in flight.

    Attributes:
        internal_error: A bug in this package that ended a target, if there was one.
    """

    def __init__(self, context: RunContext, steps: Mapping[int, int]) -> None:
        self.internal_error: BaseException | None = None
        self._context: Final = context
        self._steps: Final = steps
        self._limiter: Final = context.requester.limiter
        self._queue: Final = deque(context.journal.positions(EntryState.PLANNED))
        self._targets: Final[dict[asyncio.Task[None], Target]] = {}
        self._over = asyncio.Event()
        self._is_paused = False
        context.rollout.on_stop = self._drain
        self._timers: list[asyncio.TimerHandle] = []

    @property
    def action(self) -> Action:
        """What it does to each VPS."""
        return self._context.plan.action

    def left(self) -> int:
        """How many actions are still to be sent, now or later."""
        return 0 if self._is_paused or self._context.rollout.is_stopped else len(self._queue)

    @property
    def limit(self) -> int | None:
        """The operator's bound on VPSes in flight."""
        return self._context.policy.max_in_flight

    @property
    def in_flight(self) -> int:
        """VPSes whose outcome is not known, though something may have been sent to them."""
        return len(self._targets)

    @property
    def youngest(self) -> float:
        """Seconds since the newest action in flight was sent; 0.0 where none is."""
        sent = (target.entry.sent_at for target in self._targets.values())
        newest = max((moment for moment in sent if moment), default=None)
        return 0.0 if newest is None else max(0.0, _clock.wall() - newest)

    @property
    def canaries(self) -> tuple[str, ...]:
        """The canaries in flight, once nothing more is sent before their outcome is known."""
        if not self._queue or not self._context.rollout.awaits_canaries:
            return ()
        return tuple(one.entry.vps_id for one in self._targets.values() if one.step == 0)

    @property
    def evidence(self) -> Evidence:
        """What finds out whether actions without an answer took place."""
        return self._context.evidence

    def waiting(self) -> int:
        """How many actions it would send now."""
        room = 0 if self._is_paused else min(len(self._queue), self._context.rollout.allowance())
        if room <= 0:
            return 0
        return max(0, min(int(room), self.window() - self.in_flight))

    def window(self) -> int:
        """How many VPSes of this run may be in flight."""
        size = self._context.poller.concurrency_limit().size
        return size if self.limit is None else min(size, self.limit)

    def send(self, permit: Permit) -> None:
        """Send the next planned action with a permit of the poller's."""
        slot = SendSlot(self._limiter, permit, on_end=self._context.poller.sent)
        self._start(self._queue.popleft(), slot, self._context.rollout.sent())

    def fail(self, error: Exception) -> None:
        """Stop: the limit allows nothing within the longest wait allowed, or there is a bug."""
        if isinstance(error, RateLimited):
            self.stop(StopCause.RATE_LIMIT, str(error))
        else:
            self._stop_for_bug(error)

    async def run(self) -> None:
        """Send and follow everything; after a stop, follow what was sent."""
        journal, deadline = self._context.journal, self._context.policy.deadline
        for position in list(journal.positions(EntryState.INTENT, EntryState.ACCEPTED)):
            self._start(position, SendSlot(self._limiter), self._steps[position])
        if deadline is not None:
            reason = "the run's deadline has passed"
            self._after(deadline, partial(self._end_soon, StopCause.DEADLINE, reason))
        if self._context.rollout.is_stopped:  # by what another process recorded
            self._drain()
        self._context.poller.add(self)
        try:
            self._check()
            await self._over.wait()
        finally:
            self._context.poller.remove(self)
            for timer in self._timers:
                timer.cancel()

    def stop(self, cause: StopCause, reason: str) -> None:
        """Send nothing more; what is in flight is followed, for as long as the policy allows."""
        self._context.rollout.stop(cause, reason)

    def leave(self, cause: StopCause, reason: str) -> None:
        """Send nothing more and follow nothing more; what is being sent is let end."""
        self._context.rollout.stop(cause, reason)
        for target in self._targets.values():
            target.leave()
        self._check()

    @property
    def is_paused(self) -> bool:
        """Whether the operator has it send nothing for now."""
        return self._is_paused

    def pause(self, *, on: bool) -> None:
        """Send nothing until told to go on."""
        self._is_paused = on
        self._context.poller.wake()

    def _start(self, position: int, slot: SendSlot, step: int) -> None:
        target = Target(self._context, self._context.journal[position], slot, step)
        task = asyncio.create_task(target.run())
        self._targets[task] = target
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        target = self._targets.pop(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._stop_for_bug(error)
        if target.entry.state in {EntryState.SKIPPED, EntryState.PLANNED}:
            self._context.rollout.take_back(target.step)
        self._check()
        self._context.poller.wake()

    def _stop_for_bug(self, error: BaseException) -> None:
        self.internal_error = self.internal_error or error
        self.stop(StopCause.ERROR, f"a bug in this program: {error!r}")

    def _check(self) -> None:
        """Note whether it is over."""
        if not self._targets and (self._context.rollout.is_stopped or not self._queue):
            self._over.set()

    def _drain(self) -> None:
        """Take back what is about to be sent, and follow the rest for a time."""
        self._announce_stop()
        drain = self._context.policy.drain_timeout
        # The cause that stopped the run stays: this one only ends the following.
        reason = f"not ended {drain:g} s after the stop"
        self._after(drain, partial(self._end_soon, StopCause.STOPPED, reason))
        for target in self._targets.values():
            target.stop()
        self._check()

    def _announce_stop(self) -> None:
        rollout = self._context.rollout
        if rollout.stop_cause and rollout.stop_reason and not self._over.is_set():
            self._context.announcer.stopped(rollout.stop_cause, rollout.stop_reason)

    def _end_soon(self, cause: StopCause, reason: str) -> None:
        """Send nothing more, and leave once each accepted job was polled a last time."""
        self._context.rollout.stop(cause, reason)
        for target in self._targets.values():
            target.end_soon()
        self._after(_LAST_POLLS, partial(self.leave, cause, reason))
        self._check()

    def _after(self, delay: float, act: Callable[[], None]) -> None:
        self._timers.append(asyncio.get_running_loop().call_later(delay, act))
