"""What the views of a run say, and its bar."""

from typing import Final

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from hostup_async import EntryState, Outcome, RunSnapshot
from hostup_async.cli._output.pace import format_duration

STYLES: Final = {
    "completed": "green",
    "failed": "red",
    "refused": "red",
    "timed_out": "red",
    "ambiguous": "yellow",
    "skipped": "magenta",
    "accepted": "cyan",
    "intent": "cyan",
    "planned": "bright_black",
    "not_sent": "bright_black",
}
_WORDS: Final = {"intent": "unanswered", "timed_out": "timed out", "not_sent": "not sent"}
_NOT_DONE: Final = "not done: "
_LONG: Final = 140
_ALWAYS: Final = frozenset({"completed", "failed", "accepted", "planned"})


def in_words(state: str) -> str:
    """A state or a status, for people."""
    return _WORDS.get(state, state)


def told_of(outcome: Outcome) -> str:
    """What became of a VPS and why, in a line; the whole reason is in the store.

    Example:
        >>> from hostup_async import OutcomeStatus
        >>> told_of(Outcome("vps_1", OutcomeStatus.FAILED, reason="No host."))
        'failed: No host.'
    """
    status, evidence = in_words(outcome.status.value), outcome.evidence or ""
    if evidence.startswith(_NOT_DONE):
        return f"{status}: its {evidence.removeprefix(_NOT_DONE)} shows that it was not done"
    reason = outcome.reason or ""
    if len(reason) > _LONG:
        reason = f"{reason[:_LONG].rstrip()} ..."
    return f"{status}: {reason}" if reason else status


def _shown(snapshot: RunSnapshot) -> list[tuple[str, int]]:
    counted = [(state, snapshot.counts.get(EntryState(state), 0)) for state in STYLES]
    return [(state, count) for state, count in counted if count or state in _ALWAYS]


def counts(snapshot: RunSnapshot) -> str:
    """How many are how far."""
    return ", ".join(f"{count} {in_words(state)}" for state, count in _shown(snapshot))


def legend(snapshot: RunSnapshot) -> Text:
    """Likewise, in the colours of the bar."""
    parts = [Text(f"{count} {in_words(state)}", STYLES[state]) for state, count in _shown(snapshot)]
    return Text("  ").join(parts)


def times(snapshot: RunSnapshot, rate: float, left: float | None) -> str:
    """How long, how far, how fast, and how much longer."""
    share = 100 * snapshot.known / snapshot.total if snapshot.total else 100.0
    ends = (
        f", {format_duration(left)} left"
        if left is not None and snapshot.known < snapshot.total
        else ""
    )
    return f"{format_duration(snapshot.seconds)}  {share:.0f} % known, {rate:.1f} VPSes/s{ends}"


def traffic(snapshot: RunSnapshot) -> str:
    """What is out, and what bounds it."""
    whose = " (your --max-in-flight is what costs time)" if snapshot.is_held_back else ""
    limited = f", {snapshot.budget.limited} limited (429)" if snapshot.budget.limited else ""
    return f"{snapshot.in_flight} unknown of at most {snapshot.window}{whose}{limited}"


def wait(snapshot: RunSnapshot) -> str:
    """Why it waits."""
    if snapshot.stopping:
        return f"stopping: {snapshot.stopping}; waiting for {snapshot.in_flight} to end"
    if snapshot.budget.queued or snapshot.budget.wait:
        return f"waiting: {snapshot.budget.why}"
    if snapshot.in_flight:
        return f"waiting for jobs to end: {snapshot.in_flight}"
    return ""


class Bar:
    """All VPSes as one line, coloured by how far they are."""

    def __init__(self, snapshot: RunSnapshot) -> None:
        self._snapshot: Final = snapshot

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        full, empty = ("#", "-") if options.ascii_only else ("━", "─")
        line, total = Text(no_wrap=True), max(1, self._snapshot.total)
        seen = drawn = 0
        for state, style in STYLES.items():
            seen += self._snapshot.counts.get(EntryState(state), 0)
            end = seen * options.max_width // total
            line.append((empty if state == "planned" else full) * (end - drawn), style)
            drawn = end
        yield line
