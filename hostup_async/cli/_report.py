"""What the demo found out: the client's outcomes beside the sandbox's own books."""

from collections import Counter
from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import cached_property
from typing import Final

from attrs import frozen

from hostup_async.cli._demo import Outcome, Status
from hostup_async.sandbox import Books


class Fate(StrEnum):
    """What really happened to a VPS, by the sandbox's books."""

    DONE = "done"
    NOT_DONE = "not done"
    RUNNING = "running"


_WITHOUT_OUTCOME: Final = frozenset({Status.QUEUED, Status.UNDER_WAY, Status.NOT_SENT})
_MEANS_NOT_DONE: Final = frozenset({Status.FAILED, Status.REFUSED, Status.NOT_SENT})


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
    def counts(self) -> Mapping[Status, int]:
        """VPSes by what the client says."""
        return Counter(outcome.status for outcome in self.outcomes)

    @cached_property
    def fates(self) -> Mapping[str, Fate]:
        """What the sandbox says, by VPS id."""
        jobs = self.books.jobs.values()
        running = {job.vps_id: Fate.RUNNING for job in jobs if job.finished is None}
        done = dict.fromkeys(self.books.resets, Fate.DONE)
        return {o.vps_id: Fate.NOT_DONE for o in self.outcomes} | running | done

    def fates_of(self, status: Status, reason: str | None = None) -> Mapping[Fate, int]:
        """What really happened to those with this outcome, and this reason where one is given."""
        return Counter(
            self.fates[outcome.vps_id]
            for outcome in self.outcomes
            if outcome.status is status and reason in {None, outcome.reason}
        )

    @property
    def exit_code(self) -> int:
        """130 when interrupted, 1 when anything is wrong, 0 when all is accounted for."""
        return 130 if self.interrupted else int(any(self.problems()))

    def problems(self) -> Iterator[str]:
        """What must not be."""
        if twice := self.books.reset_twice:
            yield f"Reset twice: {', '.join(twice)}."
        for outcome in self.outcomes:
            fate = self.fates[outcome.vps_id]
            if _contradict(outcome.status, fate):
                yield f"{outcome.vps_id}: the client says {outcome.status}, the books say {fate}."
            elif outcome.status in _WITHOUT_OUTCOME and not self.interrupted:
                yield f"{outcome.vps_id} has no outcome: {outcome.status}. {outcome.reason}"


def requests_in_words(books: Books) -> str:
    """The requests by kind, and how many of them the limit refused."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(books.requests.items()))
    return (
        f"Requests: {books.total_requests} ({kinds or 'none'}), refused with 429: {books.refused}."
    )


def _contradict(status: Status, fate: Fate) -> bool:
    if status is Status.COMPLETED:
        return fate is not Fate.DONE
    return status in _MEANS_NOT_DONE and fate is not Fate.NOT_DONE
