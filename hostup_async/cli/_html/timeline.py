"""When things happened in a run, read from its records."""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from statistics import median
from typing import Any, Final, cast

from attrs import frozen

from hostup_async import AuditEvent, AuditRecord, Entry, RunRecord

_OPENS: Final = frozenset({AuditEvent.STOPPED, AuditEvent.PAUSED})
_CLOSES: Final = frozenset({AuditEvent.RESUMED, AuditEvent.UNPAUSED, AuditEvent.ABANDONED})
# Of pauses that are not named by their line; its detail's `until` tells when the pause ends.
_NAMES: Final[dict[str, str]] = {AuditEvent.RATE_LIMITED: "rate limited (429)"}
# A time without a send is worth showing when it is long for a person, in this run, and at its pace.
_LEAST_SECONDS: Final = 1.0
_LEAST_SHARE: Final = 0.02
_LEAST_SPACINGS: Final = 10
_FIRST_STEP: Final = 2  # VPSes sent at once after the canaries; each further step doubles


@frozen
class Pause:
    """A time in which nothing was sent, though something was left to do.

    Attributes:
        begin: When it began.
        end: When it ended.
        why: What caused it; None where the store does not say.
    """

    begin: float
    end: float
    why: str | None = None

    @property
    def seconds(self) -> float:
        """How long it was."""
        return self.end - self.begin


@frozen
class Timeline:
    """The moments of a run, each list in order.

    Attributes:
        begin: When the run was begun.
        end: The last moment that anything is known of.
        sent: When a VPS was sent its action.
        accepted: When the API accepted one.
        known: When the outcome of a VPS that was sent the action became known.
        in_flight: How many were sent and not known, from each moment on.
        pauses: The times without a send.
    """

    begin: float
    end: float
    sent: tuple[float, ...]
    accepted: tuple[float, ...]
    known: tuple[float, ...]
    in_flight: tuple[tuple[float, int], ...]
    pauses: tuple[Pause, ...]

    @property
    def named_pauses(self) -> tuple[Pause, ...]:
        """Those whose cause is known."""
        return tuple(pause for pause in self.pauses if pause.why)

    @property
    def most_in_flight(self) -> int:
        """The most results that were unknown at once."""
        return max((level for _, level in self.in_flight), default=0)


def read_members(text: str) -> dict[str, Any]:
    """The members of a JSON object; empty where the text is anything else.

    Example:
        >>> read_members('{"why": "429"}'), read_members("[]"), read_members("")
        ({'why': '429'}, {}, {})
    """
    try:
        found: object = json.loads(text)
    except ValueError:
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def read_timeline(
    run: RunRecord, entries: Sequence[Entry], audit: Sequence[AuditRecord]
) -> Timeline:
    """The timeline of a run."""
    sent = sorted(one.sent_at for one in entries if one.sent_at is not None)
    accepted = sorted(one.accepted_at for one in entries if one.accepted_at is not None)
    known = sorted(filter(None, map(_known_at, entries)))
    moments = sorted([run.created_at, *sent, *accepted, *known])
    end = max([moments[-1], run.finished_at or 0.0, *(line.at for line in audit)])
    named = [*_named(audit, moments, end), *_canary(run, sent)]
    gaps = list(_gaps(run, sent))
    free = [gap for gap in gaps if not any(_overlap(gap, pause) for pause in named)]
    return Timeline(
        begin=moments[0],
        end=end,
        sent=tuple(sent),
        accepted=tuple(accepted),
        known=tuple(known),
        in_flight=tuple(_levels(sent, known)),
        pauses=tuple(sorted([*named, *_standing_out(free)], key=lambda pause: pause.begin)),
    )


def _known_at(entry: Entry) -> float | None:
    """When its end was known; never before it was sent, whatever two machines' clocks say."""
    if entry.sent_at is None or entry.finished_at is None or not entry.state.is_terminal:
        return None
    return max(entry.sent_at, entry.finished_at)


def _levels(sent: Sequence[float], known: Sequence[float]) -> Iterator[tuple[float, int]]:
    level = 0
    steps = [(at, -1) for at in sent] + [(at, 1) for at in known]
    for at, less in sorted(steps):
        level -= less
        yield at, level


def _named(audit: Iterable[AuditRecord], moments: Sequence[float], end: float) -> Iterator[Pause]:
    """The pauses that the audit trail tells of; an operator's that is not over lasts to the end."""
    opened: AuditRecord | None = None
    for line in audit:
        if line.what in _CLOSES:
            begin, why = (opened.at, _why(opened)) if opened else _cut_off(line, moments)
            opened = None
            if line.at > begin:
                yield Pause(begin, line.at, why)
        elif line.what in _OPENS:
            opened = opened or line
        elif line.what == AuditEvent.RATE_LIMITED:
            until = read_members(line.detail).get("until")
            if isinstance(until, float | int) and min(until, moments[-1]) > line.at:
                yield Pause(line.at, min(until, moments[-1]), _why(line))
    if opened and opened.what == AuditEvent.PAUSED and end > opened.at:
        yield Pause(opened.at, end, _why(opened))


def _cut_off(line: AuditRecord, moments: Sequence[float]) -> tuple[float, str]:
    """What lies before a run is taken up that was never stopped: it was killed, or crashed."""
    before = [at for at in moments if at <= line.at]
    return before[-1] if before else line.at, "cut off (a crash or a kill)"


def _why(line: AuditRecord) -> str:
    detail = read_members(line.detail)
    why = next((detail[name] for name in ("why", "stopped", "reason") if detail.get(name)), None)
    name = _NAMES.get(line.what) or line.what.replace("_", " ")
    return f"{name}: {why}" if why else name


def _canary(run: RunRecord, sent: Sequence[float]) -> Iterator[Pause]:
    """The time between the canaries and what was sent once they were known."""
    count = read_members(run.policy).get("canary")
    if isinstance(count, int) and 0 < count < len(sent):
        yield Pause(sent[count - 1], sent[count], f"canary: {_results(count)} awaited")


def _results(count: int) -> str:
    return "its result was" if count == 1 else f"the results of {count} were"


def _gaps(run: RunRecord, sent: Sequence[float]) -> Iterator[Pause]:
    """The times between two sends; those before a step of the ramp have its name."""
    canaries, steps = read_members(run.policy).get("canary"), dict[int, str]()
    if isinstance(canaries, int) and canaries > 0:
        begin, size = canaries + _FIRST_STEP, 2 * _FIRST_STEP
        while begin < len(sent):
            steps[begin] = f"ramp: {size} more, once half of the {size // 2} before were known"
            begin, size = begin + size, 2 * size
    for number, (one, other) in enumerate(pairwise(sent), 1):
        yield Pause(one, other, steps.get(number))


def _standing_out(gaps: Sequence[Pause]) -> Iterator[Pause]:
    """Of the times between two sends, those that are pauses."""
    if not gaps:
        return
    seconds = [gap.seconds for gap in gaps]
    least = max(_LEAST_SECONDS, _LEAST_SHARE * sum(seconds), _LEAST_SPACINGS * median(seconds))
    yield from (gap for gap in gaps if gap.seconds >= least)


def _overlap(one: Pause, other: Pause) -> bool:
    return one.begin < other.end and other.begin < one.end
