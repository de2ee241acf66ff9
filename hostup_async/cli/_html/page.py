"""Writes a report's page; the template escapes all that it is given but the charts."""

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from hostup_async import AuditRecord, Entry, RunRecord, __version__
from hostup_async._text import visible
from hostup_async.cli._html import figures
from hostup_async.cli._html.axis import make_axis
from hostup_async.cli._html.charts import draw_durations, draw_timeline
from hostup_async.cli._html.rows import group_reasons, make_rows
from hostup_async.cli._html.timeline import Timeline, read_members, read_timeline
from hostup_async.cli._output.format import format_units, format_utc

_MOST_REASONS: Final = 100
_FEWEST_DRAWN: Final = 5  # jobs; the figures of fewer are better told than drawn
_PACKAGE: Final = "hostup_async.cli._html"
_FOLDER: Final = "assets"


def write_page(run: RunRecord, entries: Sequence[Entry], audit: Sequence[AuditRecord]) -> str:
    """The page for a run."""
    timeline = read_timeline(run, entries, audit)
    durations = figures.read_durations(entries)
    reasons = group_reasons(entries)
    plan = figures.read_plan(run)
    script = _asset("report.js")
    return _template().render(
        run=run,
        total=len(entries),
        version=__version__,
        style=_asset("report.css"),
        script=script,
        script_hash=_fingerprint(script),
        facts=list(figures.state_facts(run, timeline)),
        policy=read_members(run.policy),
        tiles=figures.count_states(entries),
        timeline=timeline,
        is_shortened=bool(make_axis(timeline).shortened),
        timeline_chart=_timeline_chart(timeline),
        unnamed_pauses=figures.tell_unnamed_pauses(timeline),
        durations=durations,
        durations_chart=_durations_chart(durations),
        reasons=reasons[:_MOST_REASONS],
        more_reasons=len(reasons[_MOST_REASONS:]),
        rows=make_rows(entries, reasons, plan.names),
        excluded=plan.excluded,
        names=plan.names,
        audit=[(line, figures.tell_detail(line)) for line in audit],
    )


def _template() -> Template:
    pages = Environment(
        loader=PackageLoader(_PACKAGE, _FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_show_all,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters.update(moment=format_utc, duration=format_units, words=_words)
    return pages.get_template("report.html")


def _show_all(value: object) -> object:
    """Spell out the invisible characters of each value that the template writes."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _words(name: str) -> str:
    return name.replace("_", " ")


def _asset(name: str) -> Markup:
    return Markup((files(_PACKAGE) / _FOLDER / name).read_text("utf-8"))  # noqa: S704 - it is ours


def _timeline_chart(timeline: Timeline) -> Markup | None:
    return Markup(draw_timeline(timeline)) if timeline.sent else None  # noqa: S704 - it holds no text from elsewhere


def _durations_chart(durations: figures.DurationFigures | None) -> Markup | None:
    if durations is None or durations.count < _FEWEST_DRAWN:
        return None
    return Markup(draw_durations(durations))  # noqa: S704 - it holds no text from elsewhere


def _fingerprint(script: str) -> str:
    """What the page's policy calls the one script that may run."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
