"""What `hostup fleet status` says of a run."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import attrs
from rich.console import Group
from rich.text import Text

from hostup_async import AuditEvent, AuditRecord, Entry, EntryState, FleetPolicy, Plan
from hostup_async._text import printable
from hostup_async.cli._output.format import format_local, format_units
from hostup_async.cli._output.reasons import in_columns, share_reasons
from hostup_async.cli._output.screen import truncate
from hostup_async.cli._output.words import STYLES, in_words
from hostup_async.cli._shell_words import in_shell_words
from hostup_async.cli._work.recorded import RecordedRun, in_flight, state_in_words

_SHOWN: Final = 20


def status_text(run: RecordedRun, resume: str, *, verbose: bool) -> Group:
    """The run in lines, the ones that ask for an action last but the audit trail.

    Args:
        run: The run.
        resume: The command that resumes it.
        verbose: Whether every VPS is shown.
    """
    return Group(*_lines(run, resume, verbose=verbose))


def _lines(run: RecordedRun, resume: str, *, verbose: bool) -> Iterator[Text]:
    record = run.record
    yield Text(printable(f"Run {record.id}: {record.action} at {record.origin}"), "bold")
    yield from _state(run)
    begun = f"Begun {format_local(record.created_at)} by {record.who}. {record.reason or ''}"
    yield Text(printable(begun).rstrip())
    yield Text(printable(f"Policy: {policy_in_words(FleetPolicy.from_json(record.policy))}"))
    for state, count in sorted(record.counts.items()):
        yield Text(f"{count:8}  {in_words(state.value)}", STYLES[state.value])
    names = Plan.from_json(record.plan).names
    if in_flight(run):
        yield Text("In flight:" if run.is_at_work else "In flight when its process ended:")
        yield from _cut(_in_flight(run, names), verbose=verbose)
    yield from _cut(_reasons(run.entries, names, verbose=verbose), verbose=verbose)
    if record.state.is_open and record.holder is None:
        yield Text(f"Resume with: {resume}")
    for line in run.audit:
        yield Text(printable(_audit_line(line)), "dim")


def _state(run: RecordedRun) -> Iterator[Text]:
    record = run.record
    if record.is_interrupted:
        yield Text(
            "State: interrupted. Its process ended without a word, killed perhaps; nothing is "
            "sent until it is resumed.",
            "yellow",
        )
        return
    by = f", worked on by {record.holder}" if record.holder else ""
    yield Text(printable(f"State: {state_in_words(record)}{by}"))
    if run.pause is not None:
        yield Text(printable(pause_in_words(run.pause)), "yellow")


def pause_in_words(pause: AuditRecord) -> str:
    """By whom a run is paused, since when, why, and how it goes on."""
    why = json.loads(pause.detail).get("why")
    reason = f" ({why})" if why else ""
    return (
        f"Paused by {pause.who} since {format_local(pause.at)}{reason}: nothing is sent until "
        f"hostup fleet unpause {pause.run_id}."
    )


def policy_in_words(policy: FleetPolicy) -> str:
    """A policy: its canary, and what differs from the defaults."""
    usual = FleetPolicy()
    names = [one.name for one in attrs.fields(FleetPolicy) if one.name != "reason"]
    values = {name: getattr(policy, name) for name in names}
    shown = (n for n in names if n == "canary" or values[n] != getattr(usual, n))
    return ", ".join(f"{name} {values[name]}" for name in shown)


def _in_flight(run: RecordedRun, names: Mapping[str, str]) -> Iterator[str]:
    """What was sent and has no outcome, the longest first, each with its age."""
    now = time.time()
    for one in sorted(in_flight(run), key=lambda entry: entry.sent_at or 0.0):
        age = f" for {format_units(max(0.0, now - one.sent_at))}" if one.sent_at else ""
        yield f"  {in_columns(one.vps_id, names)}  {in_words(one.state.value)}{age}"


def _reasons(entries: Iterable[Entry], names: Mapping[str, str], *, verbose: bool) -> Iterator[str]:
    """The reasons of what did not complete, equal ones as one; with --verbose each VPS."""
    if verbose:
        for one in entries:
            reason = in_shell_words(one.reason or "")
            yield f"{in_columns(one.vps_id, names)}  {in_words(one.state.value)}  {reason}"
        return
    told = ((in_words(one.state.value), one) for one in entries if _is_told(one))
    yield from (reason.line(names) for reason in share_reasons(told))


def _is_told(entry: Entry) -> bool:
    return bool(entry.reason) and entry.state is not EntryState.COMPLETED


def _cut(lines: Iterator[str], *, verbose: bool) -> Iterator[Text]:
    shown = list(lines)
    for line in truncate(shown, len(shown) if verbose else _SHOWN):
        yield Text(printable(line))


def _audit_line(line: AuditRecord) -> str:
    detail: dict[str, Any] = json.loads(line.detail)
    match line.what:
        case AuditEvent.RESUMED:
            more = _pairs(detail.get("policy", {}))
        case AuditEvent.FOLLOWED:
            more = _pairs(detail.get("counts", {}))
        case AuditEvent.PAUSED:
            more = detail.get("why", "")
        case _:
            more = ""
    return f"{format_local(line.at)}  {line.what}  {line.who}  {more}".rstrip()


def _pairs(members: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in members.items())
