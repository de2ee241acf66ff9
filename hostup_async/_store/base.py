"""Where a fleet keeps what it has done, so that another process can go on: the protocol."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Final, Self

from hostup_async._errors import ConfigurationError, RunHeld, StoreError
from hostup_async._models import Action
from hostup_async._store.records import AuditRecord, Entry, RunRecord, RunState

ABANDONED: Final = "the run was abandoned"


class Store(ABC):
    """A store of runs; use it as a context manager, or let `open_store` do so.

    A run is held by one store at a time: by the one that created or acquired it, until that
    releases it, closes, or dies. Only its holder can save. Each call is done as a whole or not at
    all, also where its caller is cancelled; what a call has returned from is durable (in the
    memory store: until the process ends). Moments are seconds since the epoch.

    Every call raises `StoreError` where the store cannot be used, and `ConfigurationError` for a
    run that it does not have.
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
        """Whether it is open."""

    @abstractmethod
    async def open(self) -> None:
        """Open the store; one that is open stays so."""

    @abstractmethod
    async def aclose(self) -> None:
        """Write what is still queued, let go of the runs held, and close; again is harmless.

        A run that was not released before stays as it is, for anyone to resume at once.
        """

    @abstractmethod
    async def create(
        self, run: RunRecord, entries: Sequence[Entry], *, cooldown: float
    ) -> list[Entry]:
        """Record a new run with its entries, and hold it.

        Looking for obstacles and recording are one step: of two runs that two processes begin
        at once, one sees the other. A caller that is cancelled meanwhile leaves no open run.

        Args:
            run: The run; its state, counts and end are the store's to keep.
            entries: One for each VPS.
            cooldown: For how many seconds a VPS is left alone after any run at the same origin
                acted on it; 0 for none. What the API refused does not count.

        Returns:
            The entries as they were recorded: a planned VPS that another open run at the same
            origin holds, or whose cooldown is not over, is `skipped`, and its reason says why.

        Raises:
            ConfigurationError: A VPS or a position stands twice.
        """

    @abstractmethod
    async def save(self, run_id: str, entries: Sequence[Entry]) -> None:
        """Record entries of a run that is held, each in place of the one at its position.

        They are durable when it returns. What concurrent callers save is committed together.
        An entry in a last state must not go back to an earlier one: another run may have its
        VPS by then.

        Raises:
            StoreError: They are not recorded; whatever the intent was for must not be sent.
            RunHeld: Likewise: the run is in other hands now, or was never in ours.
        """

    @abstractmethod
    async def acquire(self, run_id: str, *, who: str = "") -> RunRecord:
        """Hold a run that was cut off or stopped, so as to resume it.

        Returns:
            The run with its state before; its entries come from `entries`.

        Raises:
            RunHeld: Its holder is alive, or cannot be known to be dead yet.
            ConfigurationError: It is finished or abandoned.
        """

    @abstractmethod
    async def release(self, run_id: str, state: RunState, *, detail: str = "{}") -> None:
        """End the holding of a run, which stays in `state`.

        Args:
            run_id: A run that is held.
            state: `STOPPED` while something is left to do, else `FINISHED`.
            detail: More for the audit trail, as JSON.

        Raises:
            RunHeld: The run is in other hands now.
        """

    @abstractmethod
    async def abandon(self, run_id: str, *, who: str = "", reason: str = "") -> RunRecord:
        """Give up an open run that nobody holds, and free its VPSes.

        What was planned becomes `not_sent`, what was being sent `ambiguous`, and what was
        accepted `timed_out`.

        Raises:
            RunHeld: Its holder is alive, or cannot be known to be dead yet.
            ConfigurationError: It is finished or abandoned already.
        """

    @abstractmethod
    async def run(self, run_id: str) -> RunRecord:
        """A run as it stands."""

    @abstractmethod
    async def runs(self, limit: int = 20) -> list[RunRecord]:
        """The newest runs, newest first, without their plans and policies."""

    @abstractmethod
    def entries(self, run_id: str) -> AsyncIterator[Entry]:
        """The entries of a run in the order of their positions, read piece by piece."""

    @abstractmethod
    async def note(self, run_id: str, what: str, *, who: str = "", detail: str = "{}") -> None:
        """Add a line to a run's audit trail; `detail` is JSON."""

    @abstractmethod
    async def audit(self, run_id: str) -> list[AuditRecord]:
        """A run's audit trail, oldest first."""

    @abstractmethod
    async def load_durations(self, origin: str, action: Action) -> str | None:
        """What was learnt of how long an action takes at an origin, as JSON; None if nothing."""

    @abstractmethod
    async def save_durations(self, origin: str, action: Action, text: str) -> None:
        """Keep what was learnt, in place of what was kept before."""


def not_open() -> StoreError:
    """The store is closed, or not open yet."""
    return StoreError("The store is not open: use it inside `async with`.")


def not_here(run_id: str) -> ConfigurationError:
    """The store has no such run."""
    return ConfigurationError(
        f"This store has no run {run_id!r}: list its runs, or look in another store."
    )


def taken(run_id: str) -> ConfigurationError:
    """A new run has the id of another."""
    return ConfigurationError(
        f"This store has a run {run_id!r} already: give the new one an id of its own."
    )


def not_ours(run_id: str) -> RunHeld:
    """We would write to a run, and do not hold it."""
    return RunHeld(
        f"Run {run_id} is not held by this client (any more): nothing was recorded. Stop sending; "
        "whoever holds it goes on with it, or else resume it."
    )


def in_other_hands(run_id: str, holder: str) -> RunHeld:
    """Someone else holds the run."""
    return RunHeld(
        f"Run {run_id} is in the hands of {holder}: let that end, or end it, and try again."
    )


def refuse_ended(run_id: str, state: RunState) -> None:
    """Refuse to go on with a run that has ended."""
    if not state.is_open:
        msg = f"Run {run_id} is {state.value}: nothing of it is left to do. Begin a new run."
        raise ConfigurationError(msg)


def refuse_unknown(run_id: str, entries: Sequence[Entry], found: int) -> None:
    """Refuse to have saved entries that the run does not have."""
    if found != len(entries):
        ids = ", ".join(sorted({entry.vps_id for entry in entries})[:3])
        msg = f"Run {run_id} has no such entries ({ids}, ...): save what its store returned."
        raise StoreError(msg)
