"""The axis of a timeline: moments to places, with the long interruptions shortened."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

from attrs import frozen

from hostup_async.cli._html.timeline import Timeline
from hostup_async.cli._output.format import MINUTE, format_utc

# An interruption that takes more than this share of the axis hides what happened around it; it is
# drawn with this share of what is left, which is wide enough for its mark.
_LONG_SHARE: Final = 0.2
_SHORT_SHARE: Final = 0.06
# The words of a tick ("14:05:30") are about this share of the axis wide, and would overlap.
_LEAST_APART: Final = 0.09
_MOST_TICKS: Final = 8  # with room between them
# Seconds between two ticks: the moments that people call round.
_STEPS: Final = (
    *(1, 2, 5, 10, 20, 30),
    *(MINUTE * m for m in (1, 2, 5, 10, 20, 30, 60, 120, 180, 360, 720)),
)


@frozen
class Axis:
    """Where each moment stands; a place is a second on the axis, from 0.

    Attributes:
        knots: Moments and their places; what lies between two of them is spread evenly.
        shortened: The interruptions that are drawn shorter than they were, as moments.
    """

    knots: tuple[tuple[float, float], ...]
    shortened: tuple[tuple[float, float], ...]

    @property
    def length(self) -> float:
        """The last place."""
        return self.knots[-1][1]

    def place(self, at: float) -> float:
        """Where a moment stands."""
        after = bisect_left(self.knots, at, 1, len(self.knots) - 1, key=lambda knot: knot[0])
        (begin, low), (end, high) = self.knots[after - 1], self.knots[after]
        return low + (high - low) * (at - begin) / (end - begin) if end > begin else low

    def places(self, moments: Iterable[float]) -> list[float]:
        """Where moments stand."""
        return [self.place(at) for at in moments]

    def ticks(self) -> list[tuple[float, str]]:
        """Places to mark, at round moments, and the words for them."""
        step = next((one for one in _STEPS if self.length / one <= _MOST_TICKS), _STEPS[-1])
        form = "%H:%M:%S" if step < MINUTE else "%H:%M"
        ticks = list[tuple[float, str]]()
        for begin, end in self._drawn_in_full():
            for count in range(-int(-begin // step), int(end // step) + 1):
                place = self.place(count * step)
                if not ticks or place - ticks[-1][0] > _LEAST_APART * self.length:
                    ticks.append((place, format_utc(count * step, form)))
        return ticks

    def _drawn_in_full(self) -> list[tuple[float, float]]:
        return [pair for pair in pairwise(at for at, _ in self.knots) if pair not in self.shortened]


def make_axis(timeline: Timeline) -> Axis:
    """The axis for a timeline."""
    begin, end = timeline.begin, max(timeline.end, timeline.begin + 1.0)
    long = _LONG_SHARE * (end - begin)
    found = [(one.begin, one.end) for one in timeline.pauses if one.why and one.seconds > long]
    shortened = _apart(found)
    full = (end - begin) - sum(stop - start for start, stop in shortened)
    short = _SHORT_SHARE * (full or 1.0)
    knots = [(begin, 0.0)]
    for start, stop in shortened:
        reached = knots[-1][1] + (start - knots[-1][0])
        knots += [(start, reached), (stop, reached + short)]
    knots.append((end, knots[-1][1] + (end - knots[-1][0])))
    return Axis(tuple(knots), tuple(shortened))


def _apart(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The spans that do not reach into one before."""
    kept = list[tuple[float, float]]()
    for span in spans:
        if not kept or span[0] >= kept[-1][1]:
            kept.append(span)
    return kept
