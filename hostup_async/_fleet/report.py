"""The snapshot of a run under way, and the report of one that ended."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from hostup_async._errors import HostUpError
from hostup_async._json import JsonReady, json_ready
from hostup_async._models import Action
from hostup_async._outcome import Outcome, OutcomeStatus, StopCause
from hostup_async._ratelimit.snapshot import BudgetSnapshot
from hostup_async._store.records import EntryState


@frozen(kw_only=True)
class RunSnapshot(JsonReady):
    """A run at one moment.

    Attributes:
        run_id: The run.
        total: VPSes in the plan.
        counts: How many VPSes are in which state.
        in_flight: VPSes that something may have been sent to, and whose outcome is not known.
        window: How many VPSes may be in flight at present.
        is_held_back: Whether `max_in_flight` is what costs time, and not the rate limit.
        seconds: How long the run has been going on in this process.
        seconds_left: How many seconds it still takes, with the pause, the ramp and the windows
            of the rate limit that it needs, as far as they are known; None while nothing is known
            of how long jobs take.
        stopping: Why nothing more is sent, in a sentence; None while more may be.
        stop_cause: Why nothing more is sent, for programs; None while more may be.
        budget: Where the rate limit stands; `budget.why` says why requests wait.
        canaries: The canaries in flight, while nothing more is sent before their outcome is known.
        in_doubt: VPSes whose answer was lost, and whose own status is read to see what happened.
        doubt_seconds: About how many seconds until that is known of all of them; None where there
            are none.
        is_paused: Whether its operator paused it: nothing is sent, and what is in flight is
            followed.
    """

    run_id: str
    total: int
    counts: Mapping[EntryState, int]
    in_flight: int
    window: int
    is_held_back: bool
    seconds: float
    seconds_left: float | None
    stopping: str | None
    stop_cause: StopCause | None = None
    budget: BudgetSnapshot
    canaries: tuple[str, ...] = ()
    in_doubt: int = 0
    doubt_seconds: float | None = None
    is_paused: bool = False

    @property
    def known(self) -> int:
        """VPSes whose outcome is known."""
        return sum(count for state, count in self.counts.items() if state.is_terminal)

    def to_dict(self) -> dict[str, Any]:
        """The snapshot as JSON can carry it, with `known`."""
        return super().to_dict() | {"known": self.known}


@frozen(kw_only=True)
class FleetReport(JsonReady):
    """What became of a fleet.

    Attributes:
        run_id: The run.
        action: What was done to each VPS.
        outcomes: One for each VPS, in the order of the plan.
        seconds: How long the run took in this process.
        stopped: Why the sending was stopped, in a sentence; None where it was not.
        stop_cause: Why the sending was stopped, for programs; None where it was not.
        requests: How many requests this client sent during the run, by kind.
        limited: How many of them were answered with 429.
        rate: Requests a second that the rate limit allows; None where no limit is known.
        floor: The least seconds that this takes at the rate limit, however it is done: one request
            for each action that this process sent, and one for each job that it followed, in as
            few windows as the API allows. None where no limit is known.
        held_back: Seconds in which `max_in_flight` left requests unused.
    """

    run_id: str
    action: Action
    outcomes: tuple[Outcome, ...] = field(repr=False)
    seconds: float
    stopped: str | None = None
    stop_cause: StopCause | None = None
    requests: Mapping[str, int] = field(factory=dict[str, int])
    limited: int = 0
    rate: float | None = None
    floor: float | None = None
    held_back: float = 0.0

    @property
    def counts(self) -> Mapping[OutcomeStatus, int]:
        """How many VPSes ended how."""
        return Counter(outcome.status for outcome in self.outcomes)

    @property
    def succeeded(self) -> bool:
        """Whether every VPS is `completed`, or `skipped` on purpose."""
        return not set(self.counts) - {OutcomeStatus.COMPLETED, OutcomeStatus.SKIPPED}

    @property
    def ratio(self) -> float | None:
        """How many times the floor it took; None where a single window of the limit is enough."""
        return self.seconds / self.floor if self.floor else None

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON can carry it, with `counts`, `floor` and `ratio`."""
        more = {"counts": json_ready(self.counts), "floor": self.floor, "ratio": self.ratio}
        return super().to_dict() | more

    def raise_for_failures(self) -> None:
        """Raise unless every VPS is `completed`, or `skipped` on purpose.

        Raises:
            FleetFailed: It carries this report.
        """
        if self.succeeded:
            return
        counts = ", ".join(f"{count} {status}" for status, count in sorted(self.counts.items()))
        why = f" Stopped: {self.stopped}." if self.stopped else ""
        what = f"Run {self.run_id} of {len(self.outcomes)} VPSes"
        msg = f"{what}: {counts}.{why} See `report.outcomes`."
        raise FleetFailed(msg, report=self)


class FleetFailed(HostUpError):
    """Not every VPS of a fleet run completed; only `raise_for_failures()` raises this.

    Attributes:
        report: What became of each VPS; None in an error that you made yourself, without one.
    """

    def __init__(self, message: str, *, report: FleetReport | None = None) -> None:
        super().__init__(message)
        self.report = report

    @property
    def run_id(self) -> str | None:
        """The run."""
        return self.report.run_id if self.report else None

    @property
    def counts(self) -> Mapping[OutcomeStatus, int] | None:
        """How many VPSes ended how."""
        return self.report.counts if self.report else None
