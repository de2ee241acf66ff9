"""A report's table: one row for each VPS, and the reasons they share."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from attrs import frozen

from hostup_async import Entry, EntryState
from hostup_async.cli._output.format import format_utc
from hostup_async.cli._output.reasons import shared_words
from hostup_async.cli._shell_words import in_shell_words

_TO_TENTHS: Final = -5  # of microseconds
MEANINGS: Final = {
    EntryState.COMPLETED: "accepted, and the job ended well",
    EntryState.FAILED: "accepted, and the job failed",
    EntryState.REFUSED: "refused by the API; nothing was done",
    EntryState.SKIPPED: "not sent, on purpose",
    EntryState.AMBIGUOUS: "perhaps sent; whether it took place is unknown",
    EntryState.NOT_DONE: "perhaps sent; the VPS's status shows that it did not take place",
    EntryState.TIMED_OUT: "accepted; not over by the deadline, and may still end",
    EntryState.NOT_FOLLOWED: "accepted; the run ended before its job did, and did not follow it",
    EntryState.NOT_SENT: "the run stopped before its turn",
    EntryState.PLANNED: "not sent yet",
    EntryState.INTENT: "being sent, or perhaps sent",
    EntryState.ACCEPTED: "accepted; its job is still running",
}


@frozen
class Row:
    """One VPS; what is not known is empty.

    Attributes:
        number: Its place in the plan, from 1.
        state: How far the run came with it.
        reason: Why, in words.
        group: The number of its reason among the reasons, from 1; 0 where it has none.
        is_first: Whether it is the first row with that reason.
        sent: When it was last sent.
        took: Seconds from accepted to known.
    """

    number: int
    vps_id: str
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
        number: From 1, the most common first.
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
    """The reasons, the most common first."""
    shared = Counter((one.state, shared_words(one)) for one in entries if one.reason)
    return [
        Reason(number, state, words, count)
        for number, ((state, words), count) in enumerate(shared.most_common(), 1)
    ]


def make_rows(entries: Sequence[Entry], reasons: Iterable[Reason]) -> Iterator[Row]:
    """The rows, in the order of the plan."""
    numbers = {(one.state, one.words): one.number for one in reasons}
    form = _form_for(entries)
    shown = {0}
    for one in entries:
        group = numbers[one.state, shared_words(one)] if one.reason else 0
        yield _make_row(one, group, form, is_first=group not in shown)
        shown.add(group)


def _make_row(one: Entry, group: int, form: str, *, is_first: bool) -> Row:
    seconds = took(one)
    return Row(
        number=one.position + 1,
        vps_id=one.vps_id,
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
