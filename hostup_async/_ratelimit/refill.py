"""Whether an announced reset means "full again", as some token buckets have it. Pure.

Such a bucket names the moment at which all its requests will be back, and so a later one with each
request: the time left grows in proportion to what was used, while that of a window only shrinks.
What was used over the time left is the rate. Waiting for such a reset would leave all but the first
bucketful unused. Units: requests, seconds, requests a second.

Rejected: to try a request after one token's time; where it is a window after all, that one is
refused, and telling the two apart needs none.
"""

from collections import deque
from typing import Final

from hostup_async._ratelimit.headers import RateLimitReading

_ROUNDING: Final = 2.0
"""Seconds by which a moment and the `Date` that it is counted from, both rounded, make a time left
wrong."""

_SEEN: Final = 16
"""The newest successes that are looked at: enough for what is in flight to overtake each other."""

_ENOUGH: Final = 8
"""Different numbers used, as many of which lie on one line: fewer could be two windows."""

_TIMES: Final = 2
"""The use must have grown by this factor, since rounding blurs what a few requests tell."""


class RefillDetector:
    """Watches what successes tell: requests used, and seconds until they are back."""

    __slots__ = ("_most", "_seen")

    def __init__(self) -> None:
        self._seen: deque[tuple[int, float]] = deque(maxlen=_SEEN)
        self._most = 0  # used, when the rate was told last

    def observe(self, reading: RateLimitReading) -> float | None:
        """The rate at which a bucket refills; None where nothing new shows that it is one."""
        if reading.limit is None or reading.remaining is None or reading.reset_after is None:
            return None
        self._seen.append((reading.limit - reading.remaining, reading.reset_after))
        (least, soonest), (most, latest) = min(self._seen), max(self._seen)
        is_grown = most >= _TIMES * max(least, 1) and latest > soonest + _ROUNDING
        if not is_grown or most < _TIMES * self._most or len(set(self._seen)) < _ENOUGH:
            return None
        each = latest / most
        if any(abs(back_in - used * each) > _ROUNDING for used, back_in in self._seen):
            return None
        self._most = most
        return 1 / each
