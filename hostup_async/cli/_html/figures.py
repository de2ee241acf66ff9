"""What a report says of a run in figures and words."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final, cast

from attrs import frozen

from hostup_async import (
    AuditRecord,
    ConfigurationError,
    Entry,
    EntryState,
    Plan,
    RunRecord,
)
from hostup_async.cli._html.rows import MEANINGS, took
from hostup_async.cli._html.timeline import Timeline, read_members
from hostup_async.cli._output.format import format_units, format_utc

_ENDED: Final = (EntryState.COMPLETED, EntryState.FAILED)


@frozen
class Tile:
    """How many VPSes are in a state, and what it means.

    Attributes:
        share: Of all VPSes, in percent.
    """

    state: EntryState
    count: int
    share: float
    meaning: str


@frozen
class DurationFigures:
    """How long jobs took, from accepted to known, in seconds.

    Attributes:
        groups: The durations, by how the jobs ended.
        given_up: How many were given up before their end.
    """

    groups: Mapping[str, Sequence[float]]
    given_up: int

    @property
    def count(self) -> int:
        """How many ended."""
        return sum(map(len, self.groups.values()))

    def within(self, share: float) -> float:
        """The shortest time within which this share of them ended, from 0 to 1."""
        times = sorted(time for group in self.groups.values() for time in group)
        return times[max(0, -int(-share * len(times) // 1) - 1)]

    def in_words(self) -> str:
        """The figures, for those who do not see the chart."""
        half, most, all_ = (format_units(self.within(share)) for share in (0.5, 0.95, 1))
        words = (
            f"Jobs that ended: {self.count:,}; half of them within {half}, 95 % within {most}, the "
            f"last after {all_}. Each end is the poll that found the job over, a little after it."
        )
        late = f" Given up before they ended: {self.given_up:,}."
        return words + late if self.given_up else words


def count_states(entries: Sequence[Entry]) -> list[Tile]:
    """The states that there are VPSes in."""
    counts = Counter(one.state for one in entries)
    return [
        Tile(state, counts[state], 100 * counts[state] / len(entries), meaning)
        for state, meaning in MEANINGS.items()
        if counts[state]
    ]


def read_durations(entries: Sequence[Entry]) -> DurationFigures | None:
    """How long the jobs took; None where none ended."""
    timed = [(one.state, seconds) for one in entries if (seconds := took(one)) is not None]
    groups = {end.value: [time for state, time in timed if state is end] for end in _ENDED}
    given_up = sum(1 for state, _ in timed if state is EntryState.TIMED_OUT)
    return DurationFigures(groups, given_up) if any(groups.values()) else None


def state_facts(run: RunRecord, timeline: Timeline) -> Iterator[tuple[str, str]]:
    """The facts at the top of the page, each with its name."""
    yield "State", run.state
    yield "Reason", run.reason or "none was given"
    yield "Begun by", run.who or "unknown"
    yield "Begun", format_utc(run.created_at) + " UTC"
    if run.finished_at is not None:
        yield "Ended", format_utc(run.finished_at) + " UTC"
    yield "Took", format_units(timeline.end - timeline.begin)
    yield "API", run.origin
    yield "Key fingerprint", run.fingerprint or "unknown"
    yield "Plan hash", run.plan_hash or "unknown"


def tell_unnamed_pauses(timeline: Timeline) -> str | None:
    """The pauses whose cause the store does not have, in a sentence; None where there are none."""
    lengths = [pause.seconds for pause in timeline.pauses if not pause.why]
    if not lengths:
        return None
    times = "once" if len(lengths) == 1 else f"{len(lengths)} times"
    return (
        f"Nothing was sent for a while {times}, {format_units(sum(lengths))} in all, at most "
        f"{format_units(max(lengths))} at a time. The store does not say why; usual causes are the "
        "rate limit, and results that had to be known first."
    )


def read_plan(run: RunRecord) -> Plan:
    """The plan; an empty one where it cannot be read."""
    with suppress(ConfigurationError):
        return Plan.from_json(run.plan)
    return Plan(action=run.action, origin=run.origin, ids=())


def tell_detail(line: AuditRecord) -> str:
    """The detail of a line of the audit trail, in words."""
    detail = read_members(line.detail)
    if not detail:
        return "" if line.detail == "{}" else line.detail
    return "; ".join(
        f"{name}: {_tell(value)}" for name, value in detail.items() if value is not None
    )


def _tell(value: object) -> str:
    if isinstance(value, dict):
        counts = cast("dict[str, object]", value)
        return ", ".join(f"{count} {name}" for name, count in counts.items())
    return f"{value:.1f}" if isinstance(value, float) else str(value)
