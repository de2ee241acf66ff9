"""A report's table: one row for each VPS, and the reasons they share."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from attrs import frozen

from hostup_async import Entry, EntryState
from hostup_async.cli._output.format import format_utc
from hostup_async.cli._output.reasons import shared_words
from hostup_async.cli._shell_words import in_shell_words

_TO_TENTHS: Final = -5  # of microseconds
MEANINGS: Final = {
    EntryState.FAILED: "accepted, and the job failed",
    EntryState.REFUSED: "refused by the API; nothing was done",
    EntryState.NOT_DONE: "perhaps sent; the VPS's status shows that it did not take place",
    EntryState.TIMED_OUT: "accepted; not over by the deadline, and may still end",
    EntryState.AMBIGUOUS: "perhaps sent; whether it took place is unknown",
    EntryState.NOT_FOLLOWED: "accepted; the run ended before its job did, and did not follow it",
    EntryState.INTENT: "being sent, or perhaps sent",
    EntryState.ACCEPTED: "accepted; its job is still running",
    EntryState.NOT_SENT: "the run stopped before its turn",
    EntryState.SKIPPED: "not sent, on purpose",
    EntryState.PLANNED: "not sent yet",
    EntryState.COMPLETED: "accepted, and the job ended well",
}
"""What each state means, failures first: the order in which a page shows them."""
_RANKS: Final = {state: rank for rank, state in enumerate(MEANINGS)}


@frozen
class Row:
    """One VPS; what is not known is empty.

    Attributes:
        number: Its place in the plan, from 1.
        name: The VPS's name when the plan was made.
        state: How far the run came with it.
        reason: Why, in words.
        group: The number of its reason among the reasons, from 1; 0 where it has none.
        is_first: Whether it is the first row with that reason.
        sent: When it was last sent.
        took: Seconds from accepted to known.
    """

    number: int
    vps_id: str
    name: str
    state: EntryState
    reason: str
    group: int
    is_first: bool
    sent: str
    took: str
    attempts: int
    job: str
    requests: str
    evidence: str


@frozen
class Reason:
    """A reason that some VPSes share.

    Attributes:
        number: From 1, failures first.
        state: How far the run came with them.
        words: The reason, with an ellipsis for what names a single VPS.
        count: How many share it.
    """

    number: int
    state: EntryState
    words: str
    count: int


def took(entry: Entry) -> float | None:
    """Seconds from accepted to known; None where there is no such time."""
    if entry.accepted_at is None or entry.finished_at is None or not entry.state.is_terminal:
        return None
    return max(0.0, entry.finished_at - entry.accepted_at)


def group_reasons(entries: Iterable[Entry]) -> list[Reason]:
    """The reasons, failures first, and of those the most common first."""
    shared = Counter((one.state, shared_words(one)) for one in entries if one.reason)
    ordered = sorted(shared.most_common(), key=lambda one: _RANKS[one[0][0]])
    return [
        Reason(number, state, words, count)
        for number, ((state, words), count) in enumerate(ordered, 1)
    ]


def make_rows(
    entries: Sequence[Entry], reasons: Iterable[Reason], names: Mapping[str, str]
) -> Iterator[Row]:
    """The rows, failures first; those in one state in the order of the plan."""
    numbers = {(one.state, one.words): one.number for one in reasons}
    form = _form_for(entries)
    shown = {0}
    for one in sorted(entries, key=lambda entry: _RANKS[entry.state]):
        group = numbers[one.state, shared_words(one)] if one.reason else 0
        name = names.get(one.vps_id, "")
        yield _make_row(one, name, group, form, is_first=group not in shown)
        shown.add(group)


def _make_row(one: Entry, name: str, group: int, form: str, *, is_first: bool) -> Row:
    seconds = took(one)
    return Row(
        number=one.position + 1,
        vps_id=one.vps_id,
        name=name,
        state=one.state,
        reason=in_shell_words(one.reason or ""),
        group=group,
        is_first=is_first,
        sent=format_utc(one.sent_at, form)[:_TO_TENTHS],
        took="" if seconds is None else f"{seconds:.1f}",
        attempts=one.attempts,
        job=one.job_id or one.poll_url or "",
        requests=" ".join(one.request_ids),
        evidence=one.evidence or "",
    )


def _form_for(entries: Iterable[Entry]) -> str:
    """The time of day, and the day too where there are several."""
    days = {format_utc(one.sent_at, "%x") for one in entries if one.sent_at is not None}
    return "%H:%M:%S.%f" if len(days) <= 1 else "%Y-%m-%d %H:%M:%S.%f"
