"""How more than a limit's count is asked for, after a calm time. Pure: the time is an argument.

1, 2, 4 ... requests a window, up to the limit and beyond: others may have gone, or the limit been
raised, and no header need say so. Back to a limit that is known it is quick, past it slow. This is
AIMD with an exponential probe upwards, as in TCP. Units: seconds, requests a window.
"""

from math import inf
from typing import Final

_DELAY: Final = 30.0
"""Seconds without a 429 before we ask for more: each try may cost a window's tail of 429s."""

_DELAY_WINDOWS: Final = 4
"""Also this number of windows, if that is longer: with long windows 30 s prove nothing."""

_LONGEST_DELAY: Final = 3600.0
"""Seconds. The delay doubles with each try that failed, up to this."""


class Growth:
    """When more is asked for, and how much."""

    __slots__ = ("_delay", "_from", "_grows_at", "_step")

    def __init__(self) -> None:
        self._delay = _DELAY
        self._grows_at = inf
        self._step: float = 1
        self._from = 0.0  # what went well before, 0.0 while no more is asked for

    def put_off(self, now: float, window: float) -> None:
        """Ask for no more for a while."""
        self._step, self._from = 1, 0.0
        self._grows_at = now + max(self._delay, _DELAY_WINDOWS * window)

    def next_cap(
        self, cap: float, most: float, window: float, now: float, *, beyond: bool
    ) -> float:
        """What to allow ourselves after a window was used up without a 429.

        Args:
            cap: What we allow ourselves now.
            most: What is ours of the limit that is known.
            window: Its window.
            now: The present moment.
            beyond: Whether more than that may be asked for.
        """
        if now < self._grows_at:
            return cap
        more = cap + self._step
        if cap < most <= more or (more > most and not beyond):
            self.put_off(now, window)
            return most
        self._from, self._step = self._from or cap, 2 * self._step
        return more

    @property
    def is_under_way(self) -> bool:
        """Whether more is asked for at present."""
        return self._from > 0

    def fail(self) -> float:
        """A 429 came: what went well before more was asked for, or 0.0 where none was."""
        if self._from:
            self._delay = min(2 * self._delay, _LONGEST_DELAY)
        return self._from
