"""A run: the handle that users hold, from its beginning in a store to its report."""

import asyncio
import json
import logging
import os
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from math import inf
from types import TracebackType
from typing import Final, Self

import anyio

from hostup_async._errors import ConfigurationError, HostUpError
from hostup_async._fleet.context import ClientParts, RunContext
from hostup_async._fleet.engine import Engine
from hostup_async._fleet.evidence import Evidence
from hostup_async._fleet.journal import Journal
from hostup_async._fleet.plan import Plan
from hostup_async._fleet.policy import FleetPolicy
from hostup_async._fleet.report import FleetReport, RunSnapshot
from hostup_async._fleet.rollout import Rollout
from hostup_async._outcome import Outcome
from hostup_async._polling.durations import DurationModel
from hostup_async._store.base import Store
from hostup_async._store.open import open_store, store_for
from hostup_async._store.owner import whoami
from hostup_async._store.records import Entry, EntryState, RunRecord, RunState, new_run_id

_LOGGER: Final = logging.getLogger("hostup")
AnyStore = str | os.PathLike[str] | Store | None


class FleetRun:
    """A run of a fleet. It begins where its `async with` does, and has ended where that ends.

    Leaving the `async with` early, by an error or a cancellation, stops the sending at once and
    follows nothing more; what is being sent is let end, and the store has it all. A
    `KeyboardInterrupt` is followed by what `stop` does; a second one leaves at once.

    Attributes:
        id: The run's id, for `client.fleet.resume`.
        plan: What it does.
        policy: How.
    """

    def __init__(
        self,
        client_parts: ClientParts,
        plan: Plan,
        policy: FleetPolicy,
        store: AnyStore,
        run_id: str | None,
    ) -> None:
        self.id: Final[str] = run_id or new_run_id()
        self.plan: Final = plan
        self.policy: Final = policy
        self._client_parts: Final = client_parts
        self._where: Final = store
        self._resumes: Final = run_id is not None
        self._rollout: Final = Rollout(policy, len(plan))
        self._stack = AsyncExitStack()
        self._parts: tuple[Store, Journal, Engine] | None = None
        self._task: asyncio.Task[None] | None = None
        self._began = self._took = 0.0
        self._requests_before: Counter[str] = Counter()
        self._limited_before = 0
        self._held_before = 0.0

    def __repr__(self) -> str:
        return f"<FleetRun {self.id}: {self.plan.action} of {len(self.plan)} VPSes>"

    async def __aenter__(self) -> Self:
        if self._task is not None:
            msg = f"Run {self.id} was begun before: make another run of the plan, or resume it."
            raise ConfigurationError(msg)
        async with AsyncExitStack() as stack:
            where = store_for(self._where, self.plan.origin, self._client_parts.fingerprint)
            store = await stack.enter_async_context(open_store(where))
            await self._relearn(store)
            entries = await self._record(store)
            self._stack = stack.pop_all()
        self._begin(store, entries)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if exc is None:
                await self._end()
        except BaseException as error:
            exc = error
            raise
        finally:
            if exc is not None:
                await self._leave(exc)
            await self._stack.aclose()

    async def outcomes(self) -> AsyncIterator[Outcome]:
        """Each VPS's outcome as it becomes known, once; ends with the run.

        Example:
            >>> async def show(client, plan):
            ...     async with client.fleet.run(plan) as run:
            ...         async for outcome in run.outcomes():
            ...             print(outcome.vps_id, outcome.status, outcome.reason or "")
        """
        async for outcome in self._begun()[1].outcomes():
            yield outcome

    async def wait(self) -> FleetReport:
        """Wait for the run's end; partial success is no error (see `raise_for_failures`).

        A cancellation ends the waiting, not the run: that ends with its `async with`.
        """
        await self._end()
        return self._report()

    async def _end(self) -> None:
        _, _, engine = self._begun()
        if self._task is not None:
            await asyncio.shield(self._task)
        if engine.internal_error is not None:
            raise engine.internal_error

    def stop(self, reason: str = "stop() was called") -> None:
        """Send nothing more; follow what is in flight, for at most the policy's `drain_timeout`.

        Args:
            reason: Why, for the report.
        """
        self._begun()[2].stop(reason)

    def pause(self) -> None:
        """Send nothing more for now; what is in flight is followed."""
        self._begun()[2].pause(on=True)

    def unpause(self) -> None:
        """Go on sending."""
        self._begun()[2].pause(on=False)

    def snapshot(self) -> RunSnapshot:
        """Where the run stands."""
        _, journal, engine = self._begun()
        rate = self._rate()
        left = 2 * journal.counts[EntryState.PLANNED] + engine.in_flight
        return RunSnapshot(
            run_id=self.id,
            total=len(self.plan),
            counts=dict(journal.counts),
            in_flight=engine.in_flight,
            window=engine.window(),
            is_held_back=engine.window() < self._client_parts.poller.window().wanted,
            seconds=self._took or time.monotonic() - self._began,
            seconds_left=left / rate if rate else None,
            stopping=self._rollout.stop_reason,
            budget=self._client_parts.budget.snapshot(),
        )

    async def _record(self, store: Store) -> list[Entry]:
        """The run's entries, new or as they were left; from now on the run is in our hands."""
        if self._resumes:
            before = await store.acquire(self.id, who=whoami())
            entries = [entry async for entry in store.entries(self.id)]
            if before.state is RunState.RUNNING:
                self._rollout.restore(entries)
            return entries
        run = RunRecord(
            id=self.id,
            action=self.plan.action,
            origin=self.plan.origin,
            fingerprint=self._client_parts.fingerprint,
            plan_hash=self.plan.hash,
            plan=self.plan.to_json(),
            policy=self.policy.to_json(),
            who=whoami(),
            reason=self.policy.reason,
        )
        entries = [Entry(vps_id, position) for position, vps_id in enumerate(self.plan.ids)]
        return await store.create(run, entries, cooldown=self.policy.cooldown)

    async def _relearn(self, store: Store) -> None:
        text = await store.load_durations(self.plan.origin, self.plan.action)
        if text is not None:
            self._client_parts.poller.restore_durations(
                self.plan.action, DurationModel.from_json(text)
            )

    def _begin(self, store: Store, entries: list[Entry]) -> None:
        client_parts = self._client_parts
        journal = Journal(store, self.id, entries, client_parts.requester.on_event)
        engine = Engine(
            RunContext(
                self.plan,
                self.policy,
                client_parts.requester,
                client_parts.poller,
                client_parts.vps,
                journal,
                self._rollout,
                Evidence(
                    self.plan.action,
                    client_parts.vps,
                    client_parts.poller,
                    self.policy.evidence_interval,
                ),
            )
        )
        self._parts = store, journal, engine
        self._began = time.monotonic()
        self._requests_before = Counter(client_parts.requester.requests)
        self._limited_before = client_parts.budget.snapshot().limited
        self._held_before = client_parts.poller.held_back
        self._task = asyncio.create_task(self._work(), name=f"hostup run {self.id}")

    def _begun(self) -> tuple[Store, Journal, Engine]:
        if self._parts is None:
            msg = f"Run {self.id} has not begun: use it inside `async with`."
            raise ConfigurationError(msg)
        return self._parts

    async def _work(self) -> None:
        store, journal, engine = self._begun()
        try:
            await engine.run()
        finally:
            self._took = time.monotonic() - self._began
            counts = journal.counts.copy()
            journal.close(self._rollout.stop_reason or "the run was left")
            with anyio.CancelScope(shield=True):
                await self._put_away(store, journal, counts)

    async def _put_away(self, store: Store, journal: Journal, counts: Counter[EntryState]) -> None:
        """What the store must have in the end; if it is lost, the outcomes are still told."""
        is_done = all(state.is_terminal for state, count in counts.items() if count)
        detail = {"counts": counts, "stopped": self._rollout.stop_reason, "seconds": self._took}
        durations = self._client_parts.poller.durations(self.plan.action)
        try:
            await journal.catch_up()
            await store.save_durations(self.plan.origin, self.plan.action, durations.to_json())
            state = RunState.FINISHED if is_done else RunState.STOPPED
            await store.release(self.id, state, detail=json.dumps(detail))
        except HostUpError as error:
            _LOGGER.warning("Run %s could not be closed in its store: %s", self.id, error)

    async def _leave(self, exc: BaseException) -> None:
        """The body of the `async with` failed: stop, and tell what was begun."""
        if self._parts is None or self._task is None:
            return
        _, journal, engine = self._parts
        drained = await _drain(engine, self._task) if isinstance(exc, KeyboardInterrupt) else None
        engine.leave("the run was left: " + type(exc).__name__)
        again = await _to_its_end(self._task) or drained
        counts = Counter(outcome.status for outcome in journal.all_outcomes())
        told = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
        for error in filter(None, (exc, again)):
            error.add_note(
                f"Run {self.id} was left: {told}. What is unsettled goes on with "
                f"client.fleet.resume({self.id!r}, store=...), and nothing is sent twice."
            )
        if again is not None and not isinstance(exc, asyncio.CancelledError):
            raise again

    def _rate(self) -> float | None:
        """Requests a second that the limit allows, where there is one, and it is known."""
        rate = self._client_parts.requester.limiter.rate()
        return None if rate == inf else rate

    def _report(self) -> FleetReport:
        client_parts = self._client_parts
        requests = client_parts.requester.requests - self._requests_before
        return FleetReport(
            run_id=self.id,
            action=self.plan.action,
            outcomes=tuple(self._begun()[1].all_outcomes()),
            seconds=self._took,
            stopped=self._rollout.stop_reason,
            requests=dict(requests),
            limited=client_parts.budget.snapshot().limited - self._limited_before,
            rate=self._rate(),
            held_back=client_parts.poller.held_back - self._held_before,
        )


async def _drain(engine: Engine, task: asyncio.Task[None]) -> asyncio.CancelledError | None:
    """Ctrl-C: follow what is in flight; a second one, which cancels this, leaves at once."""
    engine.stop("interrupted")
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError as again:
        return again
    return None


async def _to_its_end(task: asyncio.Task[None]) -> asyncio.CancelledError | None:
    """Wait for the end of a task, however often we are cancelled; returns the last of those."""
    cancellation = None
    with anyio.CancelScope(shield=True):  # anyio's scopes would cancel again at every await
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError as again:
                cancellation = again
    return cancellation
