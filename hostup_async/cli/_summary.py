"""The demo's summary: what the client says, what the books say, and whether they agree."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hostup_async.cli._demo import Status
from hostup_async.cli._report import Fate, Report, requests_in_words
from hostup_async.cli._views import STYLES

_ALWAYS: Final = frozenset({Status.COMPLETED, Status.FAILED, Status.UNKNOWN, Status.REFUSED})
_MOST_PROBLEMS: Final = 10
_WIDTH: Final = 34


def print_summary(console: Console, report: Report) -> None:
    """Print all of it; the verdict comes last."""
    console.print(_headline(report), style="bold")
    console.print("", _outcomes(report), "", sep="\n")
    if report.counts.get(Status.UNKNOWN):
        console.print(_unknown(report), "", sep="\n")
    console.print(requests_in_words(report.books))
    _print_verdict(console, report)


def _headline(report: Report) -> str:
    how = "Interrupted after" if report.interrupted else "Done in"
    return f"{how} {report.seconds:.1f} s: {len(report.outcomes)} VPSes"


def _table(heading: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column(heading, min_width=_WIDTH)
    table.add_column("VPSes", justify="right")
    table.add_column("The sandbox's books say")
    return table


def _outcomes(report: Report) -> Table:
    table = _table("The client says")
    for status in Status:
        count = report.counts.get(status, 0)
        if count or status in _ALWAYS:
            table.add_row(
                Text(status, STYLES[status]), str(count), _in_words(report.fates_of(status))
            )
    return table


def _unknown(report: Report) -> Table:
    table = _table("Unknown, because")
    reasons = Counter(o.reason for o in report.outcomes if o.status is Status.UNKNOWN)
    for reason, count in reasons.most_common():
        table.add_row(reason, str(count), _in_words(report.fates_of(Status.UNKNOWN, reason)))
    return table


def _in_words(fates: Mapping[Fate, int]) -> str:
    return ", ".join(f"{fates[fate]} {fate}" for fate in Fate if fates.get(fate))


def _print_verdict(console: Console, report: Report) -> None:
    twice = len(report.books.reset_twice)
    style = "bold red" if twice else "bold green"
    console.print(f"VPSes reset twice: {twice} (by the sandbox's own books)", style=style)
    fates = report.fates_of(Status.UNKNOWN)
    if saved := fates.get(Fate.DONE, 0) + fates.get(Fate.RUNNING, 0):
        count = sum(fates.values())
        console.print(
            f"Sending the {count} unknown ones again would have reset {saved} of them twice."
        )
    problems = list(report.problems())
    for problem in problems[:_MOST_PROBLEMS]:
        console.print(problem, style="red", soft_wrap=True)
    if len(problems) > _MOST_PROBLEMS:
        console.print(f"... and {len(problems) - _MOST_PROBLEMS} more.")
