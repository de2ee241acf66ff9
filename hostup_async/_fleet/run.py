"""A run: the handle that users hold, from its beginning in a store to its report."""

import asyncio
import json
import logging
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType
from typing import Final, Self

import anyio

from hostup_async._cancellation import finish
from hostup_async._errors import ConfigurationError, HostUpError, StoreError
from hostup_async._events import in_run
from hostup_async._fleet.announce import Announcer
from hostup_async._fleet.context import ClientParts, make_context
from hostup_async._fleet.engine import Engine
from hostup_async._fleet.journal import Journal
from hostup_async._fleet.meters import Meters
from hostup_async._fleet.pauses import follow_pauses
from hostup_async._fleet.plan import Plan
from hostup_async._fleet.policy import FleetPolicy
from hostup_async._fleet.record import StartingPoint, record_new, take_up
from hostup_async._fleet.report import FleetReport, RunSnapshot
from hostup_async._fleet.rollout import Rollout
from hostup_async._fleet.settle import lost_in_words
from hostup_async._fleet.summary import RunParts, make_report, make_snapshot
from hostup_async._fleet.trail import AuditTrail, ended_positions
from hostup_async._outcome import Outcome, StopCause
from hostup_async._store.base import Store
from hostup_async._store.open import open_store, store_for
from hostup_async._store.records import EntryState, RunState, new_run_id

_LOGGER: Final = logging.getLogger("hostup.fleet")
AnyStore = str | os.PathLike[str] | Store | None


class FleetRun:
    """A run of a fleet. It begins where its `async with` does, and has ended where that ends.

    At its end the `async with` waits for the run's end. If the loop over `outcomes()` was left
    before, by `break` for example, it stops the sending first, as `stop` does.

    Leaving the `async with` early, by an error or a cancellation, stops the sending at once and
    follows nothing more; an action that is being sent is let end, and everything is recorded. A
    `KeyboardInterrupt` stops the run as `stop` does; a second one leaves at once.
    """

    def __init__(
        self,
        client_parts: ClientParts,
        plan: Plan,
        policy: FleetPolicy,
        store: AnyStore,
        run_id: str | None,
        *,
        keeps_policy: bool = True,
    ) -> None:
        self._id: Final[str] = run_id or new_run_id()
        self._plan: Final = plan
        self._policy: Final = policy
        self._client_parts: Final = client_parts
        self._where: Final = store
        self._resumes: Final = run_id is not None
        self._keeps_policy: Final = keeps_policy
        self._rollout: Final = Rollout(policy, len(plan))
        self._stack = AsyncExitStack()
        self._parts: RunParts | None = None
        self._announcer: Final = Announcer(self._id, client_parts.requester.on_event)
        self._task: asyncio.Task[None] | None = None
        self._reader_left = self._block_left = False

    def __repr__(self) -> str:
        what = f"{self._plan.action} of {len(self._plan)} VPSes"
        # A copy, which is made at once: a facade reads it on another thread.
        counts = dict(self._parts.journal.counts) if self._parts else {}
        words = [f", {count} {state}" for state, count in sorted(counts.items()) if count]
        return f"<FleetRun {self._id}, {self._state}: {what}{''.join(words)}>"

    @property
    def _state(self) -> str:
        if self._parts is None or self._task is None:
            return "not begun"
        if self._task.done():
            return "ended"
        if self._rollout.is_stopped:
            return "stopping"
        return "paused" if self._parts.engine.is_paused else "sending"

    @property
    def id(self) -> str:
        """The run's id, for `client.fleet.resume`."""
        return self._id

    @property
    def plan(self) -> Plan:
        """What it does, and to which VPSes."""
        return self._plan

    @property
    def policy(self) -> FleetPolicy:
        """How it behaves."""
        return self._policy

    async def __aenter__(self) -> Self:
        if self._task is not None:
            msg = f"Run {self.id} was begun before: make a new run of the plan, or resume this one."
            raise ConfigurationError(msg)
        async with AsyncExitStack() as stack:
            where = store_for(self._where, self.plan.origin, self._client_parts.fingerprint)
            store = await stack.enter_async_context(open_store(where))
            await self._client_parts.memory.load(store)
            held = await self._record(store)
            self._stack = stack.pop_all()
        self._begin(store, held)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if exc is None:
                self._block_left = True
                self._stop_if_unread()
                await self._end_or_leave()
            else:
                await self._leave(exc)
        finally:
            await self._stack.aclose()

    async def outcomes(self) -> AsyncIterator[Outcome]:
        """Each VPS's outcome as it becomes known, once; ends with the run.

        A `break` stops nothing by itself. When the block of the run is left after it, nothing
        more is sent, and what is in flight is followed.

        Example:
            >>> async def show(client, plan):
            ...     async with client.fleet.run(plan) as run:
            ...         async for outcome in run.outcomes():
            ...             print(outcome.vps_id, outcome.status, outcome.reason or "")
        """
        try:
            async for outcome in self._begun().journal.outcomes():
                yield outcome
        except GeneratorExit:  # a `break`, perhaps noticed only after the block was left
            self._reader_left = True
            self._stop_if_unread()
            raise

    async def wait(self) -> FleetReport:
        """Wait for the run's end; partial success raises nothing (see `raise_for_failures`).

        A cancellation ends the waiting, not the run: that ends with its `async with`.
        """
        await self._end()
        return self._report()

    def stop(
        self, reason: str = "stop() was called", *, cause: StopCause = StopCause.STOPPED
    ) -> None:
        """Send nothing more; follow what is in flight, for at most the policy's `drain_timeout`.

        Args:
            reason: Why, in words, for the report's `stopped`.
            cause: Why, for programs: `INTERRUPTED` where a signal is the cause.
        """
        self._begun().engine.stop(cause, reason)

    def pause(self, reason: str | None = None) -> None:
        """Send nothing for now; what is in flight is followed. The audit trail has it.

        Another process can do so by the run's store, see `Store.pause`.

        Args:
            reason: Why, in words, for the audit trail.
        """
        parts = self._begun()
        if not parts.engine.is_paused:
            parts.engine.pause(on=True)
            parts.trail.paused(reason)

    def unpause(self) -> None:
        """Go on sending after a `pause`. The audit trail has it."""
        parts = self._begun()
        if parts.engine.is_paused:
            parts.engine.pause(on=False)
            parts.trail.unpaused()

    def snapshot(self) -> RunSnapshot:
        """Where the run stands."""
        parts = self._begun()
        return make_snapshot(self.id, self.plan, self._rollout, parts, self._client_parts)

    def _stop_if_unread(self) -> None:
        is_over = self._task is None or self._task.done()
        if self._reader_left and self._block_left and not is_over:
            self.stop("the loop over its outcomes was left")

    async def _record(self, store: Store) -> StartingPoint:
        with in_run(self.id):
            if self._resumes:
                return await take_up(
                    self.id,
                    self._plan,
                    None if self._keeps_policy else self._policy,
                    self._rollout,
                    store=store,
                    parts=self._client_parts,
                )
            return await record_new(
                self.id, self._plan, self._policy, store=store, parts=self._client_parts
            )

    def _begin(self, store: Store, held: StartingPoint) -> None:
        parts, plan, policy = self._client_parts, self.plan, self.policy
        self._announcer.begun(plan.action, len(plan), is_resumed=self._resumes)
        journal = Journal(store, self.id, held.entries, parts.requester.on_event)
        context = make_context(
            self.id,
            plan,
            policy,
            parts=parts,
            journal=journal,
            rollout=self._rollout,
            announcer=self._announcer,
            possible_loss_within=held.possible_loss_within,
        )
        trail = AuditTrail(store, self.id)
        engine, meters = Engine(context, held.steps), Meters(parts, held.entries)
        self._parts = RunParts(store, journal, engine, meters, trail)
        self._task = asyncio.create_task(self._work(self._parts), name=f"hostup run {self.id}")

    def _begun(self) -> RunParts:
        if self._parts is None:
            msg = f"Run {self.id} has not begun: use it inside `async with`."
            raise ConfigurationError(msg)
        return self._parts

    async def _work(self, parts: RunParts) -> None:
        on_pause = self._client_parts.requester.on_pause
        on_pause.append(parts.trail.rate_limited)
        lost = asyncio.create_task(self._stop_when_lost(parts), name="hostup store watch")
        saving = asyncio.create_task(
            self._client_parts.memory.keep_saving(parts.store), name="hostup memory"
        )
        pausing = asyncio.create_task(
            follow_pauses(parts.store, self.id, parts.engine, parts.trail), name="hostup pauses"
        )
        try:
            await parts.engine.run()
        finally:
            for task in (lost, saving, pausing):
                task.cancel()
            on_pause.remove(parts.trail.rate_limited)
            parts.meters.stop()
            counts, ended = parts.journal.counts.copy(), ended_positions(parts.journal)
            parts.journal.close(self._rollout.stop_reason or "the run was left")
            with anyio.CancelScope(shield=True):
                await self._close_in_store(parts, counts, ended)
            self._announce_end(parts)

    def _announce_end(self, parts: RunParts) -> None:
        counts = Counter(one.status for one in parts.journal.all_outcomes())
        self._announcer.ended(counts, parts.meters.seconds, self._rollout.stop_cause)

    async def _stop_when_lost(self, parts: RunParts) -> None:
        """Send nothing more once another process has taken the run, or its store is gone."""
        try:
            error = await parts.store.wait_until_lost(self.id)
        except StoreError as lost_already:
            error = lost_already
        parts.engine.stop(StopCause.STORE_LOST, lost_in_words(error))

    async def _close_in_store(
        self, parts: RunParts, counts: Counter[EntryState], ended: str
    ) -> None:
        """Record the run's end; if the store is lost, the outcomes are told all the same."""
        store, is_done = parts.store, all(state.is_terminal for state, n in counts.items() if n)
        detail = {
            "counts": counts,
            "stopped": self._rollout.stop_reason,
            "cause": self._rollout.stop_cause,
            "seconds": parts.meters.seconds,
            "ended": ended,
        }
        try:
            await parts.trail.close()
            await parts.journal.catch_up()
            await self._client_parts.memory.save(store)
            state = RunState.FINISHED if is_done else RunState.STOPPED
            await store.release(self.id, state, detail=json.dumps(detail))
        except HostUpError as error:
            _LOGGER.warning("Run %s could not be closed in its store: %s", self.id, error)

    async def _end(self) -> None:
        """Wait for the run's end."""
        engine = self._begun().engine
        if self._task is not None:
            await asyncio.shield(self._task)
        if engine.internal_error is not None:
            raise engine.internal_error

    async def _end_or_leave(self) -> None:
        try:
            await self._end()
        except BaseException as error:
            await self._leave(error)
            raise

    async def _leave(self, exc: BaseException) -> None:
        """End the run because its `async with` was left by an error; only then return.

        Raises:
            CancelledError: It was cancelled meanwhile, and was not left by a cancellation.
        """
        if self._parts is None or self._task is None:
            return
        engine, reason = self._parts.engine, f"the run was left: {type(exc).__name__}"
        match exc:
            case KeyboardInterrupt():
                # Drains. A second Ctrl-C cancels the wait, and then it leaves at once.
                engine.stop(StopCause.INTERRUPTED, "interrupted")
            case asyncio.CancelledError():
                engine.leave(StopCause.INTERRUPTED, reason)
            case _:
                engine.leave(StopCause.ERROR, reason)
        try:
            await finish(self._task, on_cancel=partial(engine.leave, StopCause.INTERRUPTED, reason))
        except asyncio.CancelledError as again:
            again.add_note(self._parting_note())
            if not isinstance(exc, asyncio.CancelledError):
                raise
        finally:
            exc.add_note(self._parting_note())

    def _parting_note(self) -> str:
        """What the exception that left the run says of it."""
        statuses = Counter(one.status for one in self._begun().journal.all_outcomes())
        counts = ", ".join(f"{count} {status}" for status, count in sorted(statuses.items()))
        return (
            f"Run {self.id} was left: {counts}. Go on with what is unsettled by "
            f"client.fleet.resume({self.id!r}, store=...): nothing is sent twice."
        )

    def _report(self) -> FleetReport:
        return make_report(self.id, self.plan, self._rollout, self._begun())
