"""A limit that was learnt before, for as long as it is not known whether it still holds. Pure.

It is counted by from the first request, and tested by one request more than it allows. Refused, it
is learnt anew or shown to hold; accepted, it is doubted, and forgotten at twice its count. So a
wrong one costs a few 429s and no waiting, however long its window. A rate is tested as a count in
some seconds, since at its pace a rate that is far too low would never be found out. One early 429
is excused: what the process before this one sent may count still. Units: seconds, requests.
"""

from math import inf
from typing import Final

from hostup_async._ratelimit.headers import RateLimitReading
from hostup_async._ratelimit.learnt import LearntLimit, LimitStyle
from hostup_async._ratelimit.window import EARLY, Observation

FRESH: Final = 86_400.0
"""Seconds. A limit that was learnt within a day holds from the start where others are to be left
their share: testing it would take theirs. An older one may have changed."""

SHORT: Final = 60.0
"""Seconds. Only where its window is no longer than this, since a wrong one is waited for."""

_HELD: Final = 0.1
"""The part by which the count of a window may miss a limit that is taken to hold."""

_LIKELY: Final = 3.0
"""A rate is not believed where it would have let more than this many times as much pass."""


class Before:
    """A limit of before, under test.

    Args:
        limit: What was learnt; its style is a window or a rate.
        requests: It as a whole number of requests in a window.

    Attributes:
        limit: What was learnt.
        cap: How many requests a window may go at present.
    """

    __slots__ = ("_is_excused", "_requests", "cap", "limit")

    def __init__(self, limit: LearntLimit, requests: int) -> None:
        self.limit, self._requests = limit, requests
        self.cap = requests + 1
        self._is_excused = False

    def accept(self, accepted: int) -> bool:
        """Whether it may still hold, after this many were accepted within its window.

        A server whose windows follow a clock accepts up to twice the limit.
        """
        if accepted > self._requests:
            self.cap = 2 * self._requests + 1
        return accepted <= 2 * self._requests

    def excuses(self, reading: RateLimitReading, observed: Observation) -> bool:
        """Whether a 429 does not speak against it, as it counts what was sent before us."""
        is_early = len(observed.spent) < EARLY * self._requests
        is_same = reading.limit in {None, self._requests}
        is_excused = not self._is_excused and is_early and is_same
        self._is_excused = self._is_excused or is_excused
        return is_excused

    def holds(self, reading: RateLimitReading, observed: Observation) -> bool:
        """Whether a 429 shows that it does."""
        if reading.limit:
            return reading.limit == self._requests
        return abs(len(observed.spent) - self._requests) <= max(1, _HELD * self._requests)

    def rate(self, reading: RateLimitReading, observed: Observation) -> float:
        """The rate to search from after a 429; 0.0 where none is believed, or it is a count."""
        rate = self.limit.rate or 0.0
        began = min(observed.spent, default=observed.now)
        most = rate * (observed.now - began) if observed.spent else -inf
        is_likely = most <= _LIKELY * (len(observed.spent) + 1) and rate * SHORT >= 1
        is_rate = self.limit.style is LimitStyle.RATE and not reading.limit
        return rate if is_rate and is_likely else 0.0
