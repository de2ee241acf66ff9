"""The protocol of a store: where a fleet records its runs, so that another process can resume."""

import json
import math
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Final, Self

from hostup_async._errors import ConfigurationError, RunHeld, StoreError
from hostup_async._store.owner import whoami
from hostup_async._store.records import (
    AuditEvent,
    AuditRecord,
    Entry,
    LearntRecord,
    RunRecord,
    RunState,
)

ABANDONED: Final = "the run was abandoned"
# What begins a pause of a run, and what ends one.
PAUSE_EVENTS: Final = frozenset(
    {
        AuditEvent.PAUSED,
        AuditEvent.UNPAUSED,
        AuditEvent.RESUMED,
        AuditEvent.STOPPED,
        AuditEvent.FINISHED,
        AuditEvent.ABANDONED,
    }
)


class Store(ABC):
    """A store of runs; use it as a context manager, or call `open_store`, which does.

    One store at a time holds a run: the one that created or acquired it, until it releases the
    run, closes, or its process dies. Only the holder can save. Each call takes effect as a whole
    or not at all, even where its caller is cancelled. When a call returns, its effect is durable
    (in the memory store: until the process ends). Moments are seconds since the epoch.

    Every call raises `StoreError` where the store cannot be used, and `ConfigurationError` for a
    run that the store does not have. What is damaged raises `StoreError` too, and is named.
    """

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    @property
    @abstractmethod
    def is_open(self) -> bool:
        """Whether the store is open."""

    @property
    def send_window(self) -> float:
        """For how many seconds an action may be sent, from the beginning of its `save`.

        Until then no other store can have taken the run. Infinite where none can take it from a
        process that lives.
        """
        return math.inf

    @abstractmethod
    async def open(self) -> None:
        """Open the store; does nothing if it is open."""

    @abstractmethod
    async def aclose(self) -> None:
        """Write what is queued, give up the runs held, and close; a second call does nothing.

        A run that was not released before keeps its state, and can be resumed at once. The store
        is closed when this returns or raises, also where the caller is cancelled.
        """

    @abstractmethod
    async def create(
        self,
        run: RunRecord,
        entries: Sequence[Entry],
        *,
        cooldown: float,
        server_now: float | None = None,
    ) -> list[Entry]:
        """Record a new run with its entries, and hold it.

        Finding conflicts with other runs and recording are one step, so of two processes that
        begin a run at once, one sees the other's. A caller that is cancelled meanwhile leaves no
        open run.

        Args:
            run: The run; the store sets its state, counts and end.
            entries: One for each VPS.
            cooldown: Seconds for which a VPS is left alone after any run at this origin acted on
                it; 0 turns that off. An action that the API refused does not count.
            server_now: By the API server's clock, the earliest moment that now may be. The cooldown
                is measured by it where an entry's `sent_server_high` is known, and by this
                machine's clock otherwise.

        Returns:
            The entries as recorded: a planned VPS that another open run at this origin holds, or
            whose cooldown is not over, is `skipped`, and its reason says why.

        Raises:
            ConfigurationError: A VPS or a position is given twice.
        """

    @abstractmethod
    async def find_conflicts(
        self,
        origin: str,
        entries: Sequence[Entry],
        *,
        cooldown: float,
        server_now: float | None = None,
    ) -> list[Entry]:
        """The entries as `create` would record them now; nothing is recorded.

        Args:
            origin: The API of the run that would be created.
            entries: One for each VPS.
            cooldown: Seconds for which a VPS is left alone after any run acted on it.
            server_now: By the API server's clock, the earliest moment that now may be.
        """

    @abstractmethod
    async def save(self, run_id: str, entries: Sequence[Entry]) -> None:
        """Record entries of a run that is held, each in place of the one at its position.

        The entries are durable when this returns. Concurrent saves share a commit. An entry in a
        last state must not go back to an earlier one: another run may have its VPS by then.

        Raises:
            StoreError: The entries are not recorded: do not send the action that they announce.
            RunHeld: The entries are not recorded, because this store does not hold the run.
        """

    @abstractmethod
    def holds(self, run_id: str) -> bool:
        """Whether this store holds a run, as far as it knows without asking the database."""

    @abstractmethod
    async def wait_until_lost(self, run_id: str) -> StoreError:
        """Wait until this store can no longer record a run that it holds, and say why.

        That is a `RunHeld` where another process has taken the run, and a `StoreError` where the
        database is gone, for example because its file was deleted. It waits on when the run is
        released: cancel it then.

        Raises:
            RunHeld: This store does not hold the run.
        """

    @abstractmethod
    async def acquire(self, run_id: str, *, who: str = "", policy: str | None = None) -> RunRecord:
        """Hold a run that was cut off or stopped, to resume it.

        Where it cannot be known whether the run's holder still lives, this watches for the length
        of its lease whether it gives a sign of life.

        Args:
            run_id: The run.
            who: Who resumes it.
            policy: The run's policy from now on, as JSON. The audit trail has what it changes.
                None where it stays.

        Returns:
            The run with the state that it had before; `entries` gives its entries. If its
            `possible_loss` is not None, `planned` does not mean that nothing was sent. Its
            `fingerprint` is that of the key that it was begun with.

        Raises:
            RunHeld: Its holder is alive.
            StoreError: The run or an entry is damaged; the error names it.
            ConfigurationError: The run is finished or abandoned.
        """

    @abstractmethod
    async def release(self, run_id: str, state: RunState, *, detail: str = "{}") -> None:
        """Give up a run, and set its state.

        Args:
            run_id: A run that this store holds.
            state: `STOPPED` if something is left to do, else `FINISHED`.
            detail: Details for the audit trail, as a JSON object.

        Raises:
            RunHeld: This store does not hold the run.
        """

    @abstractmethod
    async def settle(self, run_id: str, entries: Sequence[Entry]) -> list[Entry]:
        """Record what became of entries of a run that no process works on, open or ended.

        Only an entry that is `accepted`, `timed_out` or `not_followed` in the store is replaced:
        what has an outcome keeps it, and what may still be sent is left to `acquire`.

        Args:
            run_id: The run.
            entries: Each in place of the one at its position, and in a last state.

        Returns:
            The entries that were recorded.

        Raises:
            RunHeld: A living process works on the run, and records its outcomes itself.
            ConfigurationError: An entry is not in a last state.
        """

    @abstractmethod
    async def abandon(self, run_id: str, *, who: str = "", reason: str = "") -> RunRecord:
        """End an open run that no living process holds, and free its VPSes.

        Its `planned` entries become `not_sent`, `intent` becomes `ambiguous`, and `accepted`
        becomes `not_followed`.

        Raises:
            RunHeld: Its holder is alive.
            ConfigurationError: The run is finished or abandoned already.
        """

    @abstractmethod
    async def run(self, run_id: str) -> RunRecord:
        """A run as it stands."""

    @abstractmethod
    async def runs(self, limit: int = 20) -> list[RunRecord]:
        """The newest runs, without their plans and policies, in the reverse order of `create`."""

    @abstractmethod
    def entries(self, run_id: str) -> AsyncIterator[Entry]:
        """The entries of a run in the order of their positions, read in pages."""

    @abstractmethod
    async def note(
        self, run_id: str, what: AuditEvent | str, *, who: str = "", detail: str = "{}"
    ) -> None:
        """Add an event to a run's audit trail.

        Args:
            run_id: The run.
            what: What happened.
            who: Who did it.
            detail: Details, as a JSON object.
        """

    @abstractmethod
    async def audit(self, run_id: str) -> list[AuditRecord]:
        """A run's audit trail, oldest first."""

    async def pause(self, run_id: str, *, who: str = "", reason: str | None = None) -> None:
        """Have the process that works on a run send nothing for now; it notices within seconds.

        What is in flight is followed. The run goes on at `unpause`, or when it is resumed.

        Args:
            run_id: The run.
            who: Who pauses it; this user if not given.
            reason: Why, in words, for the audit trail.

        Raises:
            ConfigurationError: No process works on the run, so nothing of it is sent anyway.
        """
        run = await self.run(run_id)
        if run.holder is None or run.state is not RunState.RUNNING:
            msg = f"Run {run_id} cannot be paused: no process works on it, so nothing is sent."
            raise ConfigurationError(msg)
        detail = json.dumps({"why": reason} if reason else {})
        await self.note(run_id, AuditEvent.PAUSED, who=who or whoami(), detail=detail)

    async def unpause(self, run_id: str, *, who: str = "") -> None:
        """Let a run go on sending after a pause; its process notices within seconds.

        Args:
            run_id: The run.
            who: Who lets it go on; this user if not given.

        Raises:
            ConfigurationError: The run is not paused.
        """
        if await self.pause_of(run_id) is None:
            msg = f"Run {run_id} is not paused."
            raise ConfigurationError(msg)
        await self.note(run_id, AuditEvent.UNPAUSED, who=who or whoami())

    async def pause_of(self, run_id: str) -> AuditRecord | None:
        """The line of the audit trail by which a run is paused; None where it is not.

        A pause ends when the run is unpaused, resumed or over.
        """
        lines = [line for line in await self.audit(run_id) if line.what in PAUSE_EVENTS]
        return lines[-1] if lines and lines[-1].what is AuditEvent.PAUSED else None

    @abstractmethod
    async def learnt(
        self, origin: str | None = None, fingerprint: str | None = None
    ) -> list[LearntRecord]:
        """What was learnt of the limits and durations, of every key and API that is not named.

        They are in the order of origin, fingerprint and `LearntRecord.what`.
        """

    @abstractmethod
    async def learn(self, records: Sequence[LearntRecord]) -> None:
        """Keep what was learnt, each in place of what was known of the same."""

    @abstractmethod
    async def forget(self, origin: str | None = None, fingerprint: str | None = None) -> int:
        """Forget what `learnt` returns; how many records that were."""


def store_closed() -> StoreError:
    """The error for a store that is closed, or not open yet."""
    return StoreError("The store is not open: use it inside `async with`.")


def run_not_found(run_id: str) -> ConfigurationError:
    """The error for a run that the store does not have."""
    return ConfigurationError(
        f"This store has no run {run_id!r}: list its runs, or look in another store."
    )


def run_exists(run_id: str) -> ConfigurationError:
    """The error for a new run whose id another run has."""
    return ConfigurationError(
        f"This store already has a run {run_id!r}: give the new run another id."
    )


def run_not_held(run_id: str, holder: str | None = None) -> RunHeld:
    """The error for writing to a run that this store does not hold; `holder` does, if known."""
    by = f" It is held by {holder} now." if holder else ""
    return RunHeld(
        f"Run {run_id} is not held by this client, or no longer: nothing was recorded.{by} Stop "
        "sending. If no other process goes on with the run, resume it."
    )


def run_held_by(run_id: str, holder: str) -> RunHeld:
    """The error for a run that another process or client holds."""
    return RunHeld(
        f"Run {run_id} is held by {holder}. Wait until it ends, or stop it, then try again."
    )


def damaged(run_id: object, what: str) -> StoreError:
    """The error for a part of a run that is not as it was recorded."""
    return StoreError(
        f"The store is damaged at {what} of run {run_id}, which is not as it was recorded. Keep a "
        "copy of the store, and restore a backup or use another one. Before you reset a VPS of "
        "this run again, see by its uptime whether it was reset."
    )


def refuse_ended(run_id: str, state: RunState) -> None:
    """Refuse to resume or abandon a run that has ended."""
    if not state.is_open:
        msg = f"Run {run_id} is {state.value}, so nothing is left to do. Begin a new run."
        raise ConfigurationError(msg)


def refuse_unsettled(run_id: str, entries: Sequence[Entry]) -> None:
    """Refuse to settle entries as something that is not an outcome."""
    for entry in entries:
        if not entry.state.is_terminal:
            msg = f"{entry.vps_id} of run {run_id} cannot be settled as {entry.state.value}."
            raise ConfigurationError(msg)


def refuse_unknown(run_id: str, entries: Sequence[Entry], found: int) -> None:
    """Refuse to save entries that the run does not have."""
    if found != len(entries):
        ids = ", ".join(sorted({entry.vps_id for entry in entries})[:3])
        msg = (
            f"Run {run_id} has no such entries ({ids}, ...): save entries that its store returned."
        )
        raise StoreError(msg)
