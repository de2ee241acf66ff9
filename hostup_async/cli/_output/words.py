"""The words and the bar that the views of a run show."""

from typing import Final

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from hostup_async import EntryState, Outcome, OutcomeStatus, RunSnapshot
from hostup_async.cli._output.format import format_duration
from hostup_async.cli._shell_words import in_shell_words

STYLES: Final = {
    "completed": "green",
    "failed": "red",
    "refused": "red",
    "timed_out": "red",
    "not_followed": "cyan",
    "not_done": "red",
    "ambiguous": "yellow",
    "skipped": "magenta",
    "accepted": "cyan",
    "intent": "cyan",
    "planned": "bright_black",
    "not_sent": "bright_black",
}
_WORDS: Final = {
    "intent": "unanswered",
    "not_done": "not done",
    "timed_out": "timed out",
    "not_followed": "not followed",
    "not_sent": "not sent",
}
_ALWAYS: Final = frozenset({"completed", "failed", "accepted", "planned"})


def in_words(state: str) -> str:
    """A state or a status, for people."""
    return _WORDS.get(state, state)


def describe(outcome: Outcome) -> str:
    """The outcome of one VPS and its whole reason, in one line.

    Example:
        >>> describe(Outcome("vps_1", OutcomeStatus.FAILED, reason="No host."))
        'failed: No host.'
    """
    status, reason = in_words(outcome.status.value), reason_of(outcome)
    return f"{status}: {in_shell_words(reason)}" if reason else status


def reason_of(outcome: Outcome) -> str:
    """Why: in short where evidence settles it, since the reason tells of the lost answer first."""
    if outcome.status is OutcomeStatus.NOT_DONE and outcome.evidence:
        return f"its {outcome.evidence} shows that the action did not take place"
    return outcome.reason or ""


def _shown(snapshot: RunSnapshot) -> list[tuple[str, int]]:
    """States and their counts, in the order of the bar; some also when they are 0."""
    counted = [(state, snapshot.counts.get(EntryState(state), 0)) for state in STYLES]
    return [(state, count) for state, count in counted if count or state in _ALWAYS]


def counts(snapshot: RunSnapshot) -> str:
    """The number of VPSes in each state, for a line of text."""
    return ", ".join(f"{count} {in_words(state)}" for state, count in _shown(snapshot))


def legend(snapshot: RunSnapshot) -> Text:
    """The number of VPSes in each state, in the colours of the bar."""
    parts = [Text(f"{count} {in_words(state)}", STYLES[state]) for state, count in _shown(snapshot)]
    return Text("  ").join(parts)


def times(snapshot: RunSnapshot, rate: float) -> str:
    """Elapsed time, share of known outcomes, pace, and the time left."""
    share = 100 * snapshot.known // snapshot.total if snapshot.total else 100
    left, is_over = snapshot.seconds_left, snapshot.known >= snapshot.total
    ends = "" if left is None or is_over else f", {format_duration(left)} left"
    return f"{format_duration(snapshot.seconds)}  {share} % known, {rate:.1f} VPSes/s{ends}"


def traffic(snapshot: RunSnapshot) -> str:
    """The number of VPSes in flight, its bound, and the 429 responses until now."""
    slowed = " (--max-in-flight slows this run down)" if snapshot.is_held_back else ""
    refused = f", {snapshot.budget.limited} refused with 429" if snapshot.budget.limited else ""
    return f"{_in_flight(snapshot)}{slowed}{refused}"


def _in_flight(snapshot: RunSnapshot) -> str:
    """The number of VPSes in flight, and what it has to do with the next send."""
    number = f"{snapshot.in_flight} in flight"
    if snapshot.in_flight <= snapshot.window:
        return f"{number} of at most {snapshot.window}"
    if snapshot.stopping or not snapshot.counts.get(EntryState.PLANNED):
        return number
    return f"{number}; no more are sent until it is below {snapshot.window}"


class Bar:
    """All VPSes as one line, coloured by their states."""

    def __init__(self, snapshot: RunSnapshot) -> None:
        self._snapshot: Final = snapshot

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        full, empty = ("#", "-") if options.ascii_only else ("━", "─")
        line, total = Text(no_wrap=True), max(1, self._snapshot.total)
        counted = drawn = 0
        for state, style in STYLES.items():
            counted += self._snapshot.counts.get(EntryState(state), 0)
            end = counted * options.max_width // total
            line.append((empty if state == "planned" else full) * (end - drawn), style)
            drawn = end
        yield line
