"""The demo's verdict: outcomes beside books, in which every contradiction is found."""

import pytest
from rich.console import Console

from hostup_async import Outcome, OutcomeStatus
from hostup_async.cli._demo.comparison import ActualResult, Report
from hostup_async.cli._demo.summary import print_summary
from hostup_async.sandbox import BookedJob, Books

DONE = Books(
    accepted={"vps_1": {"reset": 1}},
    performed={"vps_1": {"reset": 1}},
    jobs={"job_1": BookedJob("vps_1", "reset", "completed", 0.0, 1.0, performed=True)},
)
TWICE = Books(accepted={"vps_1": {"reset": 2}}, performed={"vps_1": {"reset": 2}})
RUNNING = Books(
    accepted={"vps_1": {"reset": 1}},
    jobs={"job_1": BookedJob("vps_1", "reset", "queued", 0.0, None, performed=False)},
)
UPTIME = "uptime"


def report(
    status: OutcomeStatus,
    books: Books,
    evidence: str | None = None,
    *,
    interrupted: bool = False,
) -> Report:
    return Report((Outcome("vps_1", status, evidence=evidence),), books, 1.0, interrupted)


@pytest.mark.parametrize(
    ("status", "books", "evidence"),
    [
        (OutcomeStatus.COMPLETED, DONE, None),
        (OutcomeStatus.COMPLETED, DONE, UPTIME),
        (OutcomeStatus.AMBIGUOUS, DONE, None),
        (OutcomeStatus.AMBIGUOUS, Books(), None),
        (OutcomeStatus.NOT_DONE, Books(), UPTIME),
        (OutcomeStatus.FAILED, Books(), None),
        (OutcomeStatus.REFUSED, Books(), None),
    ],
)
def test_a_good_end(status: OutcomeStatus, books: Books, evidence: str | None) -> None:
    assert report(status, books, evidence).exit_code == 0


@pytest.mark.parametrize(
    ("status", "books", "evidence", "words"),
    [
        (OutcomeStatus.COMPLETED, TWICE, None, "Reset twice: vps_1"),
        (OutcomeStatus.COMPLETED, Books(), None, "says completed, the books say not done"),
        (OutcomeStatus.COMPLETED, RUNNING, UPTIME, "says completed, the books say running"),
        (OutcomeStatus.NOT_DONE, DONE, UPTIME, "says not_done, the books say done"),
        (OutcomeStatus.NOT_DONE, RUNNING, UPTIME, "says not_done, the books say running"),
        (OutcomeStatus.FAILED, DONE, None, "says failed, the books say done"),
        (OutcomeStatus.NOT_SENT, DONE, None, "says not_sent, the books say done"),
        (OutcomeStatus.NOT_SENT, Books(), None, "has no outcome: not_sent"),
        (OutcomeStatus.TIMED_OUT, RUNNING, None, "has no outcome: timed_out"),
    ],
)
def test_what_must_not_be(
    status: OutcomeStatus, books: Books, evidence: str | None, words: str
) -> None:
    bad = report(status, books, evidence)
    assert bad.exit_code == 1
    assert any(words in problem for problem in bad.problems())
    console = Console(width=80)
    with console.capture() as told:
        print_summary(console, bad)
    assert words in told.get()


def test_many_problems_are_cut_short() -> None:
    outcomes = tuple(Outcome(f"vps_{n}", OutcomeStatus.COMPLETED) for n in range(13))
    console = Console(width=80)
    with console.capture() as told:
        print_summary(console, Report(outcomes, Books(), 1.0, interrupted=False))
    assert told.get().count("books say not done") == 10
    assert "... and 3 more" in told.get()


def test_an_interruption_is_no_failure() -> None:
    stopped = report(OutcomeStatus.NOT_SENT, Books(), interrupted=True)
    assert (stopped.exit_code, list(stopped.problems())) == (130, [])


def test_what_sending_again_would_have_done() -> None:
    assert report(OutcomeStatus.COMPLETED, DONE, UPTIME).unanswered == {ActualResult.DONE: 1}
    assert report(OutcomeStatus.AMBIGUOUS, RUNNING).unanswered == {ActualResult.RUNNING: 1}
    assert report(OutcomeStatus.COMPLETED, DONE).unanswered == {}
