"""What the demo found out: the client's outcomes beside the sandbox's own books."""

from collections import Counter
from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import cached_property
from typing import Final

from attrs import frozen

from hostup_async import Outcome, OutcomeStatus
from hostup_async.cli._exits import ExitCode
from hostup_async.sandbox import Books


class ActualResult(StrEnum):
    """What really happened to a VPS, by the sandbox's books."""

    DONE = "done"
    NOT_DONE = "not done"
    RUNNING = "running"


_WITHOUT_OUTCOME: Final = frozenset(
    {OutcomeStatus.TIMED_OUT, OutcomeStatus.SKIPPED, OutcomeStatus.NOT_SENT}
)
_MEANS_NOT_DONE: Final = frozenset(
    {OutcomeStatus.FAILED, OutcomeStatus.REFUSED, OutcomeStatus.SKIPPED, OutcomeStatus.NOT_SENT}
)
_NOT_DONE: Final = "not done"  # how evidence to the contrary begins


@frozen(slots=False)
class Report:
    """A demo that is over.

    Attributes:
        outcomes: What the client says, for each VPS.
        books: What the sandbox says.
        seconds: How long the client took.
        interrupted: Whether it was stopped before its end.
    """

    outcomes: tuple[Outcome, ...]
    books: Books
    seconds: float
    interrupted: bool

    @cached_property
    def fates(self) -> Mapping[str, ActualResult]:
        """What the sandbox says, by VPS id."""
        jobs = self.books.jobs.values()
        running = {job.vps_id: ActualResult.RUNNING for job in jobs if job.finished is None}
        done = dict.fromkeys(self.books.resets, ActualResult.DONE)
        return {o.vps_id: ActualResult.NOT_DONE for o in self.outcomes} | running | done

    @cached_property
    def told(self) -> Mapping[tuple[OutcomeStatus, str | None], Mapping[ActualResult, int]]:
        """What really happened, by what the client says and by which evidence it does."""
        found: dict[tuple[OutcomeStatus, str | None], Counter[ActualResult]] = {}
        for one in self.outcomes:
            fates = found.setdefault((one.status, one.evidence), Counter())
            fates[self.fates[one.vps_id]] += 1
        return {key: found[key] for key in sorted(found, key=_place)}

    @property
    def unanswered(self) -> Mapping[ActualResult, int]:
        """What really happened to those whose answer was lost, one way or another."""
        found = Counter[ActualResult]()
        for (status, evidence), fates in self.told.items():
            if evidence or status is OutcomeStatus.AMBIGUOUS:
                found += Counter(fates)
        return found

    @property
    def exit_code(self) -> ExitCode:
        """Whether it was interrupted, anything is wrong, or all is accounted for."""
        if self.interrupted:
            return ExitCode.INTERRUPTED
        return ExitCode.FAILED if any(self.problems()) else ExitCode.COMPLETED

    def problems(self) -> Iterator[str]:
        """What must not be."""
        if twice := self.books.reset_twice:
            yield f"Reset twice: {', '.join(twice)}."
        for outcome in self.outcomes:
            fate = self.fates[outcome.vps_id]
            if _contradict(outcome, fate):
                yield f"{outcome.vps_id}: the client says {outcome.status}, the books say {fate}."
            elif outcome.status in _WITHOUT_OUTCOME and not self.interrupted:
                yield f"{outcome.vps_id} has no outcome: {outcome.status}. {outcome.reason}"


def requests_in_words(books: Books) -> str:
    """The requests by kind, and how many of them the limit refused."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(books.requests.items()))
    return (
        f"Requests: {books.total_requests} ({kinds or 'none'}), refused with 429: {books.refused}."
    )


def _place(key: tuple[OutcomeStatus, str | None]) -> tuple[int, str]:
    status, evidence = key
    return list(OutcomeStatus).index(status), evidence or ""


def _contradict(outcome: Outcome, fate: ActualResult) -> bool:
    if outcome.status is OutcomeStatus.COMPLETED:
        return fate is not ActualResult.DONE
    proved = (outcome.evidence or "").startswith(_NOT_DONE)
    return (proved or outcome.status in _MEANS_NOT_DONE) and fate is not ActualResult.NOT_DONE
