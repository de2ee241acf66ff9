"""What a run waits for, in words: from its snapshots, and from the events of its requests."""

import re
import time
from collections.abc import Iterator, Mapping
from typing import Final

from hostup_async import (
    Accepted,
    Event,
    InDoubt,
    RequestDone,
    Retrying,
    RunSnapshot,
    WaitReason,
)
from hostup_async._text import printable
from hostup_async.cli._output.format import format_clock, format_units

# Requests in a row that got no response: one alone is chance, and is retried at once.
_UNREACHABLE: Final = 2
_CAUSE: Final = re.compile(r"could not be reached \((.*?)\)\. Nothing was sent")
_INNER: Final = re.compile(r"\[(.*)\]")
_MOST_NAMED: Final = 3  # canaries


class Waits:
    """What a run waits for. Its `listen` is the client's listener.

    Args:
        patience: Seconds for which a request without a response is tried again.

    Attributes:
        names: Names of VPSes by id, as far as known.
    """

    def __init__(self, patience: float) -> None:
        self.names: Mapping[str, str] = {}
        self._patience: Final = patience
        self._failures = 0
        self._failing_since = 0.0
        self._cause = ""
        self._was_anything_sent = False

    def listen(self, event: Event) -> None:
        """Take an event of the client into account."""
        match event:
            case RequestDone(status=None):
                self._failing_since = self._failing_since if self._failures else event.at
                self._failures += 1
            case RequestDone():
                self._failures = 0
                self._was_anything_sent |= event.method == "POST"
            case Retrying():
                self._cause = _brief(event.reason)
            case Accepted() | InDoubt():
                self._was_anything_sent = True
            case _:
                pass

    def in_words(self, snapshot: RunSnapshot) -> str:
        """What it waits for, the cause that holds up most first; empty while it does not wait."""
        reasons = "; ".join(self._reasons(snapshot))
        if snapshot.stopping:
            return f"stopping: {snapshot.stopping}; {reasons or 'everything has ended'}"
        return reasons

    def _reasons(self, snapshot: RunSnapshot) -> Iterator[str]:
        if self._failures >= _UNREACHABLE:
            yield self._unreachable()
        elif snapshot.budget.queued or snapshot.budget.wait:
            yield f"waiting: {_budget(snapshot)}"
        if snapshot.is_paused:
            yield f"paused: nothing is sent until hostup fleet unpause {snapshot.run_id}"
        if snapshot.in_doubt:
            yield _doubts(snapshot)
        if snapshot.canaries:
            yield f"waiting for the canary: {self._canaries(snapshot)}"
        elif jobs := snapshot.in_flight - snapshot.in_doubt:
            yield f"waiting for jobs to end: {jobs}"

    def _unreachable(self) -> str:
        since, until = self._failing_since, self._failing_since + self._patience
        nothing = "" if self._was_anything_sent else "; nothing was sent"
        patience = format_units(self._patience).removesuffix(" 0 s")
        return (
            f"the API cannot be reached since {format_clock(since)} ({self._cause}): trying for "
            f"{patience}, until {format_clock(until)}{nothing}"
        )

    def _canaries(self, snapshot: RunSnapshot) -> str:
        shown = snapshot.canaries[:_MOST_NAMED]
        named = (f"{one} ({self.names[one]})" if one in self.names else one for one in shown)
        more = len(snapshot.canaries) - len(shown)
        return printable(", ".join(named)) + (f" and {more} more" if more else "")


def budget_in_words(reason: WaitReason, seconds: float, why: str) -> str:
    """A wait for the rate limit, with the time of day at which it ends, as far as it is known.

    Args:
        reason: Why it waits.
        seconds: How long.
        why: The reason and the seconds in words, without the time of day.
    """
    if reason not in {WaitReason.LIMITED, WaitReason.USED_UP} or seconds < 1:
        return why
    return f"{why}, until {format_clock(time.time() + seconds)}"


def _budget(snapshot: RunSnapshot) -> str:
    budget = snapshot.budget
    return budget_in_words(budget.reason, budget.wait, budget.why)


def _doubts(snapshot: RunSnapshot) -> str:
    until = ""
    if snapshot.doubt_seconds is not None:
        until = f" until about {format_clock(time.time() + snapshot.doubt_seconds)}"
    return f"no answer for {snapshot.in_doubt}: their own status is watched{until}"


def _brief(reason: str) -> str:
    """The cause of a failed request in few words."""
    found = _CAUSE.search(reason)
    cause = found[1] if found else reason
    brief, separator, _ = cause.partition("; ")
    inner = _INNER.search(cause)
    return printable(brief if separator else inner[1] if inner else brief)
