"""The demo's summary: what the client says, what the books say, and whether they agree."""

from collections.abc import Mapping
from typing import Final

from rich.console import Console
from rich.text import Text

from hostup_async import OutcomeStatus
from hostup_async.cli._demo.comparison import ActualResult, Report, requests_in_words
from hostup_async.cli._output.screen import table, truncate
from hostup_async.cli._output.words import STYLES, in_words

_MOST_PROBLEMS: Final = 10
_HEADINGS: Final = ("The client says", "VPSes", "The sandbox's books say")


def print_summary(console: Console, report: Report) -> None:
    """Print all of it; the verdict comes last."""
    how = "Interrupted after" if report.interrupted else "Done in"
    console.print(f"{how} {report.seconds:.1f} s: {len(report.outcomes)} VPSes", style="bold")
    rows = [
        (_said(*key), str(sum(fates.values())), _in_words(fates))
        for key, fates in report.told.items()
    ]
    console.print("", table(_HEADINGS, rows), "", sep="\n")
    console.print(requests_in_words(report.books))
    _print_verdict(console, report)


def _said(status: OutcomeStatus, evidence: str | None) -> Text:
    words = f"{in_words(status)} ({_by(evidence)})" if evidence else in_words(status)
    return Text(words, STYLES[status.value])


def _by(evidence: str) -> str:
    what, _, field = evidence.rpartition(": ")
    return f"{what}, by its {field}" if what else f"shown by its {field}"


def _in_words(fates: Mapping[ActualResult, int]) -> str:
    return ", ".join(f"{fates[fate]} {fate}" for fate in ActualResult if fates.get(fate))


def _print_verdict(console: Console, report: Report) -> None:
    twice = len(report.books.reset_twice)
    style = "bold red" if twice else "bold green"
    console.print(f"VPSes reset twice: {twice} (by the sandbox's own books)", style=style)
    fates = report.unanswered
    if saved := fates.get(ActualResult.DONE, 0) + fates.get(ActualResult.RUNNING, 0):
        count = sum(fates.values())
        console.print(
            f"Sending the {count} again whose answer was lost would have reset {saved} twice.",
            soft_wrap=True,
        )
    for problem in truncate(report.problems(), _MOST_PROBLEMS):
        console.print(problem, style="red", soft_wrap=True)
