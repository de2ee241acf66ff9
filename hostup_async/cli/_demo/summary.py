"""The demo's summary: the client's outcomes beside the sandbox's books, and a verdict."""

from collections.abc import Mapping
from typing import Final

from rich.console import Console
from rich.text import Text

from hostup_async import OutcomeStatus
from hostup_async.cli._demo.comparison import ActualResult, Report, requests_in_words
from hostup_async.cli._output.screen import truncate, vpses
from hostup_async.cli._output.table import table
from hostup_async.cli._output.words import STYLES, in_words

_MOST_PROBLEMS: Final = 10
_HEADINGS: Final = ("The client says", "VPSes", "The sandbox's books say")


def print_summary(console: Console, report: Report) -> None:
    """Print the summary, with the verdict last."""
    end = "Interrupted after" if report.interrupted else "Done in"
    console.print(f"{end} {report.seconds:.1f} s: {len(report.outcomes)} VPSes", style="bold")
    rows = [
        (_outcome_words(*key), str(sum(results.values())), _in_words(results))
        for key, results in report.results_by_outcome.items()
    ]
    console.print("", table(_HEADINGS, rows), "", sep="\n")
    console.print(requests_in_words(report.books))
    _print_verdict(console, report)


def _outcome_words(status: OutcomeStatus, evidence: str | None) -> Text:
    shown = f" (shown by its {evidence})" if evidence else ""
    return Text(in_words(status) + shown, STYLES[status.value])


def _in_words(results: Mapping[ActualResult, int]) -> str:
    return ", ".join(f"{results[one]} {one}" for one in ActualResult if results.get(one))


def _print_verdict(console: Console, report: Report) -> None:
    twice = len(report.books.reset_twice)
    style = "bold red" if twice else "bold green"
    console.print(f"VPSes reset twice: {twice} (as the sandbox's own books say)", style=style)
    results = report.unanswered
    if saved := results.get(ActualResult.DONE, 0) + results.get(ActualResult.RUNNING, 0):
        lost = vpses(sum(results.values()))
        console.print(
            f"No answer came for {lost}. Sending again would have reset {saved} of them twice.",
            soft_wrap=True,
        )
    for problem in truncate(report.problems(), _MOST_PROBLEMS):
        console.print(problem, style="red", soft_wrap=True)
