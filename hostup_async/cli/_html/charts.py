"""The charts of a report, as SVG to stand inside its page; no text in them is from elsewhere.

Matplotlib draws them, since its SVG needs neither a script nor a font of its own. The colours are
Okabe and Ito's, which colour-blind people can tell apart, and each line has a dash of its own.
"""

# Matplotlib's types leave its keywords open.
# pyright: reportUnknownMemberType=false

import re
from collections.abc import Mapping, Sequence
from io import StringIO
from itertools import groupby
from statistics import median
from typing import TYPE_CHECKING, Any, Final, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, StrMethodFormatter

from hostup_async.cli._html.axis import Axis, make_axis
from hostup_async.cli._html.figures import DurationFigures
from hostup_async.cli._html.timeline import Timeline
from hostup_async.cli._output.format import format_units

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

# Drawn as these, and written as variables of these names, which the page sets for light and dark.
_COLOURS: Final = {
    "ink": "#1a1b1c",
    "faint": "#d0d1d2",
    "pause": "#8b8c8d",
    "blue": "#0072b2",
    "red": "#d55e00",
    "green": "#009e73",
}
_INK: Final = _COLOURS["ink"]
_NAMES: Final = {colour: name for name, colour in _COLOURS.items()}
_SETTINGS: Final[dict["RcKeyType", Any]] = {
    "svg.fonttype": "none",  # text stays text: it is found, and shown in the page's own font
    "font.size": 10,
    "hatch.linewidth": 0.7,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "grid.color": _COLOURS["faint"],
    "legend.frameon": False,
}
_NO_METADATA: Final = dict.fromkeys(("Creator", "Date", "Format", "Type"))
_WIDTH: Final = 9.5  # inches; the page scales it to its own width, and text to about its size
_MOST_POINTS: Final = 500  # of a curve: more do not show at this width, and make the page large
_MOST_BARS: Final = 50  # of a histogram: narrower ones are hard to tell apart
_APART: Final = 4  # points between a line and its words
_MARGIN: Final = 1.01  # of the length of the axis: the last mark is not cut in half
_SKEWED: Final = 12  # longest to median: from here on, a logarithmic axis shows more
_LEAST: Final = 0.01  # seconds, since a logarithmic axis has no 0
_BARS: Final = {"completed": (_COLOURS["blue"], ""), "failed": (_COLOURS["red"], "////")}


def draw_timeline(timeline: Timeline) -> str:
    """How many were sent, accepted and known by when; below, how many were in flight."""
    axis = make_axis(timeline)
    with mpl.rc_context({**_SETTINGS, "svg.hashsalt": "timeline"}):
        figure = Figure(figsize=(_WIDTH, 5), layout="constrained")
        upper: Axes = figure.add_subplot(5, 1, (1, 3))
        lower: Axes = figure.add_subplot(5, 1, (4, 5), sharex=upper)
        for plot in (upper, lower):
            _draw_pauses(plot, timeline, axis)
        _draw_totals(upper, timeline, axis)
        _draw_in_flight(lower, timeline, axis)
        _count_up(upper)
        _count_up(lower)
        _mark_pauses(upper, lower, timeline, axis)
        _label_time(upper, lower, axis)
        return _to_svg(figure)


def draw_durations(durations: DurationFigures) -> str:
    """How long jobs took, by how they ended."""
    drawn = {
        name: [max(time, _LEAST) for time in times]
        for name, times in durations.groups.items()
        if times
    }
    with mpl.rc_context({**_SETTINGS, "svg.hashsalt": "durations"}):
        figure = Figure(figsize=(_WIDTH, 3), layout="constrained")
        plot: Axes = figure.add_subplot()
        _draw_bars(plot, drawn)
        _mark(plot, "half within", durations.within(0.5), ":", "right")
        _mark(plot, "95 % within", durations.within(0.95), "--", "left")
        _count_up(plot)
        plot.set_xlabel("seconds from accepted to known")
        plot.set_ylabel("VPSes")
        return _to_svg(figure)


def _draw_bars(plot: Axes, groups: Mapping[str, Sequence[float]]) -> None:
    plot.hist(
        list(groups.values()),
        bins=_edges(plot, [time for times in groups.values() for time in times]),
        stacked=True,
        label=list(groups),
        color=[_BARS[name][0] for name in groups],
        hatch=[_BARS[name][1] for name in groups],
        edgecolor=_INK,
        linewidth=0.5,
    )
    plot.legend(loc="upper right")


def _draw_totals(plot: Axes, timeline: Timeline, axis: Axis) -> None:
    lines = (
        ("sent", timeline.sent, _COLOURS["blue"], "--", 1.8),
        ("accepted", timeline.accepted, _COLOURS["red"], ":", 2.2),
        ("known", timeline.known, _INK, "-", 1.2),
    )
    for name, moments, colour, dash, width in lines:
        steps = _outline([(at, count) for count, at in enumerate(moments, 1)], axis)
        plot.step(*steps, where="post", label=name, color=colour, linestyle=dash, linewidth=width)
    plot.set_ylabel("VPSes in all")
    plot.legend(loc="lower right")


def _draw_in_flight(plot: Axes, timeline: Timeline, axis: Axis) -> None:
    steps = _outline(timeline.in_flight, axis)
    plot.fill_between(*steps, step="post", color=_COLOURS["green"], alpha=0.35, linewidth=0)
    plot.step(*steps, where="post", color=_COLOURS["green"], linewidth=1)
    plot.set_ylabel("in flight")


def _outline(points: Sequence[tuple[float, int]], axis: Axis) -> tuple[list[float], list[int]]:
    """The places and heights of a step line from end to end of the axis.

    Of points that would be drawn as one, it keeps the highest and the last.
    """
    placed = [(axis.place(at), height) for at, height in points]
    kept = [(0.0, 0)]
    for _, group in groupby(placed, key=lambda one: one[0] * _MOST_POINTS // axis.length):
        together = list(group)
        kept += [max(together, key=lambda one: one[1]), together[-1]]
    kept.append((axis.length, kept[-1][1]))
    return [place for place, _ in kept], [height for _, height in kept]


def _draw_pauses(plot: Axes, timeline: Timeline, axis: Axis) -> None:
    for pause in timeline.pauses:
        plot.axvspan(
            axis.place(pause.begin),
            axis.place(pause.end),
            facecolor=(_COLOURS["pause"], 0.4 if pause.why else 0.2),
            linewidth=0,
        )


def _mark_pauses(upper: Axes, lower: Axes, timeline: Timeline, axis: Axis) -> None:
    """Number those that the page tells of, and show where the axis leaves time out."""
    for number, pause in enumerate(timeline.named_pauses, 1):
        _write(upper, _middle(axis, pause.begin, pause.end), str(number), "bottom")
    for begin, end in axis.shortened:
        _write(lower, _middle(axis, begin, end), "//", "center")


def _middle(axis: Axis, begin: float, end: float) -> float:
    return (axis.place(begin) + axis.place(end)) / 2


def _write(plot: Axes, x: float, words: str, side: Literal["bottom", "center"]) -> None:
    """Write at the upper or at the lower edge."""
    y = 1.01 if side == "bottom" else 0.0
    plot.text(x, y, words, ha="center", va=side, transform=plot.get_xaxis_transform())


def _label_time(upper: Axes, lower: Axes, axis: Axis) -> None:
    ticks = axis.ticks()
    lower.set_xticks([place for place, _ in ticks], [words for _, words in ticks])
    lower.set_xlim(0.0, _MARGIN * axis.length)
    lower.set_xlabel("UTC")
    upper.tick_params(labelbottom=False)


def _edges(plot: Axes, times: Sequence[float]) -> list[float]:
    """Where the bars begin and end; where a few took very long, on a logarithmic axis."""
    longest, least = max(times), min(times)
    if longest > _SKEWED * median(times):
        plot.set_xscale("log")
        plot.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        plot.xaxis.set_minor_formatter(NullFormatter())
        growth = (longest / least) ** (1 / _MOST_BARS)
        return [*(least * growth**bar for bar in range(_MOST_BARS)), longest]
    wanted = len(np.histogram_bin_edges(times, "auto")) - 1
    return [float(edge) for edge in np.histogram_bin_edges(times, min(wanted, _MOST_BARS))]


def _mark(plot: Axes, words: str, at: float, dash: str, side: Literal["left", "right"]) -> None:
    plot.axvline(at, color=_INK, linestyle=dash, linewidth=1.2)
    plot.annotate(
        f"{words} {format_units(at)}",
        (at, 1.01),
        (_APART if side == "left" else -_APART, 0),
        xycoords=plot.get_xaxis_transform(),
        textcoords="offset points",
        ha=side,
    )


def _count_up(plot: Axes) -> None:
    """An axis of whole numbers from 0, and a grid to read them by."""
    plot.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, steps=[1, 2, 5, 10]))
    plot.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    plot.set_ylim(bottom=0)
    plot.grid(axis="y")
    plot.set_axisbelow(True)


def _to_svg(figure: Figure) -> str:
    """The figure as an element for a page: no ids but those referred to, the page's colours."""
    buffer = StringIO()
    figure.savefig(buffer, format="svg", metadata=_NO_METADATA, transparent=True)
    drawn = buffer.getvalue()
    text = re.sub(r'<g id="[^"]*"', "<g", drawn[drawn.index("<svg") :])
    text = text.replace("<svg", '<svg aria-hidden="true"', 1)  # the page says it in words
    text = re.sub(r" font-family: [^;\"]*;?", "", text)
    return re.sub("|".join(_NAMES), lambda found: f"var(--{_NAMES[found[0]]})", text)
