"""Whether an announced reset means "full again", as some token buckets have it. Pure.

Such a bucket names the moment at which all its requests will be back, and so a later one with each
request: the time left grows in proportion to what was used, while that of a window only shrinks.
What was used over the time left is the rate. Waiting for such a reset would leave all but the first
bucketful unused. Units: requests, seconds, requests a second.

Rejected: to try a request after one token's time; where it is a window after all, that one is
refused, and telling the two apart needs none.
"""

from typing import Final

from attrs import frozen

from hostup_async._ratelimit.headers import RateLimitReading

_ROUNDING: Final = 2.0
"""Seconds by which rounding may make one time left longer than another."""

_TIMES: Final = 2
"""The use must have grown by this factor, since rounding blurs what a few requests tell."""


@frozen
class _Use:
    """How many requests were used, and how long until they are back."""

    used: int
    back_in: float


class RefillDetector:
    """Watches the resets of successes."""

    __slots__ = ("_first", "_most")

    def __init__(self) -> None:
        self._first: _Use | None = None
        self._most = 0  # used, when the rate was told last

    def observe(self, reading: RateLimitReading) -> float | None:
        """The rate at which a bucket refills; None where nothing new shows that it is one."""
        if reading.limit is None or reading.remaining is None or reading.reset_after is None:
            return None
        use = _Use(reading.limit - reading.remaining, reading.reset_after)
        first = self._first
        if first is None or use.used < first.used:
            self._first = use
            return None
        is_proof = use.used >= _TIMES * first.used and use.back_in > first.back_in + _ROUNDING
        if not is_proof or use.used < _TIMES * self._most:
            return None
        self._most = use.used
        return use.used / use.back_in
