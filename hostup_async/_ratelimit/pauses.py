"""How long to pause after a 429. Pure: the time is an argument.

Where the 429 names a moment, until then. Where it names none, the pause is ours, and one request
probes when it is over: after half a second, and twice as long each time that a probe is refused,
stretched to the end of a window of a usual length. The probe that passes dates the window. Where a
rate or a window is known already, the pause ends when that gives the next request back.

Rejected: 30 s at once, as public clients of the API pause. Behind 100 requests in 5 s, each such
pause buys 100 requests where 600 could have gone. Units: seconds.
"""

from typing import Final

from hostup_async._ratelimit.estimate import LimitEstimate
from hostup_async._ratelimit.headers import RateLimitReading
from hostup_async._ratelimit.window import is_moment

FIRST_PAUSE: Final = 0.5
"""Seconds to pause after a 429 that names no moment; twice as long after each probe refused."""

LIKELY_WINDOWS: Final = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Seconds after its opening at which a window mostly ends."""

LONGEST_PAUSE: Final = 300.0
"""Such pauses grow up to this many seconds: a window longer than five minutes is rare."""

SHORTEST_PAUSE: Final = 0.1
"""Seconds to pause at least."""

_LONG: Final = 4.0
"""Seconds. After a probe at the end of a likely window of at least this length is refused, the next
one goes a little later: counters that count what they refuse open late."""

_NEAR: Final = 0.15
"""The part of the window by which it does."""

_STRETCH: Final = 3.0
"""A pause is stretched by up to this factor to end with such a window."""

_PROBE_MARGIN: Final = 0.05
"""Seconds by which a probe goes later than the window that it tests for: a usual jitter."""


class Pauses:
    """The pauses in a row, for as long as nothing passes between them."""

    __slots__ = ("_is_near_miss", "_refused")

    def __init__(self) -> None:
        self._refused = 0
        self._is_near_miss = False

    def end(self) -> None:
        """A request passed that was sent after the last pause."""
        self._refused = 0

    def after(
        self,
        reading: RateLimitReading,
        estimate: LimitEstimate,
        now: float,
        *,
        opened_at: float | None,
        opens_at: float,
        fresh: bool,
    ) -> float | None:
        """Seconds to pause after a 429; None where it adds nothing to the pause under way.

        Args:
            reading: What the 429 says.
            estimate: What is known of the limit.
            now: The present moment.
            opened_at: When the window was opened that is used up, None where that is unknown.
            opens_at: When our own count gives the next request back.
            fresh: Whether its request was sent after the last pause.
        """
        asked = reading.reset_after if reading.retry_after is None else reading.retry_after
        if asked or is_moment(reading):
            return max(asked or 0.0, SHORTEST_PAUSE)
        if not fresh:
            return None
        self._refused += 1
        if asked is not None and self._refused == 1:
            return SHORTEST_PAUSE  # it says "now": that is tried once
        at_least = FIRST_PAUSE * 2.0 ** (self._refused - 1)
        if estimate.pacer is not None:
            at_least = max(SHORTEST_PAUSE, at_least / FIRST_PAUSE / estimate.pacer.pace)
        elif not estimate.given:
            is_known = estimate.is_dated and not estimate.is_untested and self._refused == 1
            opening = max(at_least, opens_at - now)
            at_least = opening if is_known else self._probe(now, opened_at, at_least)
        return min(at_least, LONGEST_PAUSE)

    def _probe(self, now: float, opened_at: float | None, at_least: float) -> float:
        """Seconds until a probe goes: at the end of a likely window, if one ends soon enough."""
        since = 0.0 if opened_at is None else now - opened_at
        self._is_near_miss = self._refused > 1 and since >= _LONG and not self._is_near_miss
        if self._is_near_miss:
            self._refused -= 1
            return _NEAR * since
        likely = (length + _PROBE_MARGIN - since for length in LIKELY_WINDOWS)
        return next((wait for wait in likely if at_least <= wait <= _STRETCH * at_least), at_least)
