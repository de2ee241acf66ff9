"""What a run came to: its exit code, and the summary that people read."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from attrs import evolve
from rich.console import Console
from rich.text import Text

from hostup_async import FleetReport, Outcome, OutcomeStatus, RunState, StopCause
from hostup_async._text import printable
from hostup_async.cli._exits import RANKED, ExitCode
from hostup_async.cli._output.format import format_duration
from hostup_async.cli._output.reasons import share_reasons
from hostup_async.cli._output.screen import truncate, vpses
from hostup_async.cli._output.words import STYLES, in_words, reason_of
from hostup_async.cli._shell_words import in_shell_words
from hostup_async.cli._work.recorded import RecordedRun, last_end
from hostup_async.cli._work.run import FinishedRun

_SHOWN: Final = 10  # reasons
# The counts say enough of these.
_UNTOLD: Final = frozenset({OutcomeStatus.COMPLETED, OutcomeStatus.NOT_SENT})
# A stop without a row here has the exit code of the outcomes that it leaves.
_OF_CAUSE: Final = {
    StopCause.INTERRUPTED: ExitCode.INTERRUPTED,
    StopCause.KEY_REFUSED: ExitCode.AUTHENTICATION,
    StopCause.STORE_LOST: ExitCode.FAILED,
    StopCause.CANARY: ExitCode.BUDGET,
    StopCause.MAX_FAILURES: ExitCode.BUDGET,
    StopCause.MAX_AMBIGUOUS: ExitCode.BUDGET,
}
_OF_STATUS: Final = {
    OutcomeStatus.COMPLETED: ExitCode.COMPLETED,
    OutcomeStatus.FAILED: ExitCode.FAILED,
    OutcomeStatus.REFUSED: ExitCode.FAILED,
    OutcomeStatus.SKIPPED: ExitCode.FAILED,
    OutcomeStatus.NOT_DONE: ExitCode.FAILED,
    OutcomeStatus.TIMED_OUT: ExitCode.FAILED,
    OutcomeStatus.NOT_FOLLOWED: ExitCode.FAILED,
    OutcomeStatus.NOT_SENT: ExitCode.FAILED,
    OutcomeStatus.AMBIGUOUS: ExitCode.AMBIGUOUS,
}


def exit_code(ended: FinishedRun, *, left_out: bool) -> ExitCode:
    """The exit code that a run ends with: of all that apply, the first of `RANKED`.

    Args:
        ended: The run.
        left_out: Whether a VPS that was asked for by its id is not in the plan.
    """
    counts, cause = ended.report.counts, ended.report.stop_cause
    if cause is StopCause.CANARY and OutcomeStatus.NOT_SENT not in counts:
        cause = None  # the canaries were the whole fleet, so it stopped nothing
    codes = {ExitCode.COMPLETED, *(_OF_STATUS[status] for status in counts)}
    if cause is not None and (code := _OF_CAUSE.get(cause)):
        codes.add(code)
    if ended.interrupted:
        codes.add(ExitCode.INTERRUPTED)
    if left_out:
        codes.add(ExitCode.FAILED)
    return next(code for code in RANKED if code in codes)


def recorded_run(run: RecordedRun) -> FinishedRun:
    """A recorded run as if this process had just finished with it."""
    end = None if run.record.state is RunState.RUNNING else last_end(run)
    detail: dict[str, Any] = {} if end is None else json.loads(end.detail)
    cause = StopCause(detail["cause"]) if detail.get("cause") else None
    report = FleetReport(
        run_id=run.record.id,
        action=run.record.action,
        outcomes=tuple(entry.outcome() for entry in run.entries),
        seconds=detail.get("seconds", 0.0),
        stopped=detail.get("stopped"),
        stop_cause=cause,
    )
    return FinishedRun(report, run.record.is_interrupted or cause is StopCause.INTERRUPTED)


def show_report(console: Console, report: FleetReport, names: Mapping[str, str]) -> None:
    """Print what became of all, with the names of the VPSes that are known."""
    console.print(
        f"{vpses(len(report.outcomes))} in {format_duration(report.seconds)}", style="bold"
    )
    show_counts(console, report.counts)
    for line in truncate(_reasons(report.outcomes, names), _SHOWN):
        console.print(printable(line), soft_wrap=True)
    if report.stopped:
        stopped = printable(in_shell_words(report.stopped))
        console.print(f"Stopped: {stopped}", style="yellow", soft_wrap=True)
    for sentence in _economy(report):
        console.print(sentence, style="dim", soft_wrap=True)


def show_counts(console: Console, counts: Mapping[OutcomeStatus, int]) -> None:
    """Print how many ended how."""
    for status in OutcomeStatus:
        if counts.get(status):
            words = Text(f"{counts[status]:8}  {in_words(status)}", STYLES[status.value])
            console.print(words)


def _reasons(outcomes: Iterable[Outcome], names: Mapping[str, str]) -> Iterator[str]:
    """The reasons of what did not complete, the most common first, and whose they are."""
    told = (one for one in outcomes if one.status not in _UNTOLD and reason_of(one))
    shared = share_reasons(
        (in_words(one.status), evolve(one, reason=reason_of(one))) for one in told
    )
    return (reason.line(names) for reason in shared)


def _economy(report: FleetReport) -> Iterator[str]:
    requests = sum(report.requests.values())
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(report.requests.items()))
    yield f"{requests} requests ({kinds or 'none'}), {report.limited} limited (429)"
    if report.ratio:
        yield f"{report.ratio:.2f} times the least that this rate limit allows"
    if report.held_back > 1:
        yield f"--max-in-flight left requests unused for {format_duration(report.held_back)}"
