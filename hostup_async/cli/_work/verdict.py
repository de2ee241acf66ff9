"""What a run came to: its exit code, and the summary that people read."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from rich.console import Console
from rich.text import Text

from hostup_async import FleetPolicy, FleetReport, Outcome, OutcomeStatus
from hostup_async._text import printable
from hostup_async.cli._exits import RANKED, ExitCode
from hostup_async.cli._output.format import format_duration
from hostup_async.cli._output.screen import vpses
from hostup_async.cli._output.words import STYLES, describe, in_words
from hostup_async.cli._work.run import FinishedRun

_FAILURES = frozenset({OutcomeStatus.FAILED, OutcomeStatus.REFUSED, OutcomeStatus.TIMED_OUT})


def exit_code(
    ended: FinishedRun, policy: FleetPolicy, *, key_refused: bool, left_out: bool
) -> ExitCode:
    """The exit code that a run ends with.

    Args:
        ended: The run.
        policy: Its bounds.
        key_refused: Whether the API answered 401 or 403.
        left_out: Whether a VPS that was asked for by its id is not in the plan.
    """
    counts = ended.report.counts
    done = counts[OutcomeStatus.COMPLETED]
    true = {
        ExitCode.INTERRUPTED: ended.interrupted,
        ExitCode.AUTHENTICATION: key_refused and not done,
        ExitCode.BUDGET: is_over_budget(ended.report, policy),
        ExitCode.AMBIGUOUS: bool(counts[OutcomeStatus.AMBIGUOUS]),
        ExitCode.FAILED: left_out or done < len(ended.report.outcomes),
        ExitCode.COMPLETED: True,
    }
    return next(code for code in RANKED if true[code])


def is_over_budget(report: FleetReport, policy: FleetPolicy) -> bool:
    """Whether a failure budget is used up, or a canary did not complete."""
    counts, total = report.counts, len(report.outcomes)
    failures = sum(counts[status] for status in _FAILURES)
    for known, allowed in (
        (failures, policy.failures_allowed(of=total)),
        (counts[OutcomeStatus.AMBIGUOUS], policy.ambiguous_allowed(of=total)),
    ):
        if allowed is not None and known >= allowed:
            return True
    return bool(report.stopped) and any(
        one.status is not OutcomeStatus.COMPLETED for one in _canaries(report.outcomes, policy)
    )


def _canaries(outcomes: Iterable[Outcome], policy: FleetPolicy) -> list[Outcome]:
    """Those that were sent first, where anything was left unsent after them."""
    sent = sorted((one.sent_at, one.vps_id, one) for one in outcomes if one.sent_at is not None)
    unsent = any(one.status is OutcomeStatus.NOT_SENT for one in outcomes)
    return [one for *_, one in sent[: policy.canary]] if unsent else []


def show_report(console: Console, report: FleetReport) -> None:
    """Print what became of all."""
    console.print(
        f"{vpses(len(report.outcomes))} in {format_duration(report.seconds)}", style="bold"
    )
    show_counts(console, report.counts)
    for reason, count in reasons(report.outcomes):
        console.print(f"  {count:6}  {reason}", soft_wrap=True)
    if report.stopped:
        console.print(f"Stopped: {report.stopped}", style="yellow", soft_wrap=True)
    for sentence in _economy(report):
        console.print(sentence, style="dim", soft_wrap=True)


def show_counts(console: Console, counts: Mapping[OutcomeStatus, int]) -> None:
    """Print how many ended how."""
    for status in OutcomeStatus:
        if counts.get(status):
            words = Text(f"{counts[status]:8}  {in_words(status)}", STYLES[status.value])
            console.print(words)


def reasons(outcomes: Iterable[Outcome], most: int = 5) -> list[tuple[str, int]]:
    """The commonest reasons of what did not complete, cut short."""
    told = (
        printable(describe(one))
        for one in outcomes
        if one.reason and one.status not in {OutcomeStatus.COMPLETED, OutcomeStatus.NOT_SENT}
    )
    return Counter(told).most_common(most)


def _economy(report: FleetReport) -> Iterator[str]:
    requests = sum(report.requests.values())
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(report.requests.items()))
    yield f"{requests} requests ({kinds or 'none'}), {report.limited} limited (429)"
    if report.ratio:
        yield f"{report.ratio:.2f} times the least that this rate limit allows"
    if report.held_back > 1:
        yield f"--max-in-flight left requests unused for {format_duration(report.held_back)}"
