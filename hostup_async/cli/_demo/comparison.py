"""Compares the client's outcomes with the sandbox's own books."""

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
    {
        OutcomeStatus.FAILED,
        OutcomeStatus.REFUSED,
        OutcomeStatus.NOT_DONE,
        OutcomeStatus.SKIPPED,
        OutcomeStatus.NOT_SENT,
    }
)


@frozen(slots=False)
class Report:
    """A demo that is over.

    Attributes:
        outcomes: The client's outcomes, one for each VPS.
        books: The sandbox's books.
        seconds: How long the client took.
        interrupted: Whether it was stopped before its end.
    """

    outcomes: tuple[Outcome, ...]
    books: Books
    seconds: float
    interrupted: bool

    @cached_property
    def results(self) -> Mapping[str, ActualResult]:
        """What really happened, by VPS id."""
        jobs = self.books.jobs.values()
        running = {job.vps_id: ActualResult.RUNNING for job in jobs if job.finished is None}
        done = dict.fromkeys(self.books.resets, ActualResult.DONE)
        return {o.vps_id: ActualResult.NOT_DONE for o in self.outcomes} | running | done

    @cached_property
    def results_by_outcome(
        self,
    ) -> Mapping[tuple[OutcomeStatus, str | None], Mapping[ActualResult, int]]:
        """How often each result happened, by the client's outcome and its evidence."""
        found: dict[tuple[OutcomeStatus, str | None], Counter[ActualResult]] = {}
        for one in self.outcomes:
            results = found.setdefault((one.status, one.evidence), Counter())
            results[self.results[one.vps_id]] += 1
        statuses = list(OutcomeStatus)
        keys = sorted(found, key=lambda key: (statuses.index(key[0]), key[1] or ""))
        return {key: found[key] for key in keys}

    @property
    def unanswered(self) -> Mapping[ActualResult, int]:
        """How often each result happened, among the VPSes whose answer was lost."""
        found = Counter[ActualResult]()
        for (status, evidence), results in self.results_by_outcome.items():
            if evidence or status is OutcomeStatus.AMBIGUOUS:
                found += Counter(results)
        return found

    @property
    def exit_code(self) -> ExitCode:
        """130 when it was interrupted, 1 when there is a problem, else 0."""
        if self.interrupted:
            return ExitCode.INTERRUPTED
        return ExitCode.FAILED if any(self.problems()) else ExitCode.COMPLETED

    def problems(self) -> Iterator[str]:
        """Sentences about what must not happen."""
        if twice := self.books.reset_twice:
            yield f"Reset twice: {', '.join(twice)}."
        for outcome in self.outcomes:
            result = self.results[outcome.vps_id]
            if _contradict(outcome, result):
                yield f"{outcome.vps_id}: the client says {outcome.status}, the books say {result}."
            elif outcome.status in _WITHOUT_OUTCOME and not self.interrupted:
                yield f"{outcome.vps_id} has no outcome: {outcome.status}. {outcome.reason}"


def requests_in_words(books: Books) -> str:
    """The requests by kind, and how many of them the limit refused."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(books.requests.items()))
    return (
        f"Requests: {books.total_requests} ({kinds or 'none'}), refused with 429: {books.refused}."
    )


def _contradict(outcome: Outcome, result: ActualResult) -> bool:
    if outcome.status is OutcomeStatus.COMPLETED:
        return result is not ActualResult.DONE
    return outcome.status in _MEANS_NOT_DONE and result is not ActualResult.NOT_DONE
