"""How long a window is, from what an answer says of it and what the ledger counted. Pure.

Windows are told in whole seconds by people, so of the lengths that rounding leaves possible the
roundest is taken (`_roundest`): a `Date` is rounded down and a reset in epoch seconds up, which
makes 6 or 7 s of a window of 5 s. A wrong guess is refused once, and lengthened.
"""

from collections.abc import Sequence
from math import ceil, floor, inf
from typing import Final, Protocol

from attrs import frozen

from hostup_async._ratelimit.headers import RateLimitReading

SHORTEST_WINDOW: Final = 0.25
"""Seconds. A shorter window cannot be told from the latency of the answers."""

EARLY: Final = 0.9
"""A 429 with less than this part of the expected count comes early. Less strict than 1, as some of
those in flight count on one side and not yet on the other."""

_ROUNDING: Final = 2.0
"""Seconds by which a window is measured too long at most: a `Date` and a reset, both rounded."""

_ROUND_NUMBERS: Final = (3600, 1800, 900, 600, 300, 60, 30, 10, 5, 2, 1)
"""Seconds. A length is the rounder the earlier one of these divides it."""


_SHORTEST_TOKEN: Final = 0.1
"""Seconds. Less between two resets cannot be told from the jitter of answers."""


class Granted(Protocol):
    """A request that was granted, as the ledger knows it: when, and how many were in flight."""

    @property
    def granted_at(self) -> float: ...

    @property
    def at_once(self) -> int: ...


@frozen(kw_only=True)
class Observation:
    """What the ledger knows when an answer comes.

    Attributes:
        now: The moment of the answer.
        sent_at: When its request was sent.
        opened_at: When the first accepted request of the window was sent, None before any.
        accepted_since_opening: Requests accepted since the window opened.
        opened_by_count: Whether it opened by our own count, and not after a 429.
        accepted_since_429: Requests sent and accepted since the 429 before.
        seconds_since_429: Seconds since the 429 before, infinite for the first.
        paused: Seconds of that for which nothing could be sent.
        granted: Requests granted so far, ever.
        at_once: How many were in flight when it was sent, itself included.
        most_at_once: The most of which one was accepted.
        spent: When the requests were answered that count now, or in the last minute where no
            window is known.
        server_remaining: Requests left by the server's own count, infinite where it tells none.
    """

    now: float
    sent_at: float
    opened_at: float | None
    accepted_since_opening: int
    opened_by_count: bool
    accepted_since_429: int
    seconds_since_429: float
    paused: float
    granted: int
    at_once: int
    most_at_once: int
    spent: Sequence[float]
    server_remaining: float

    @property
    def counted(self) -> int:
        """Requests of a window that is used up, where nothing else tells them."""
        return min(len(self.spent), self.accepted_since_429 or len(self.spent))


def is_moment(reading: RateLimitReading) -> bool:
    """Whether a 429 names a moment; "try again in 0 s" names none."""
    return reading.reset_after is not None or bool(reading.retry_after)


def measure_window(reading: RateLimitReading, observed: Observation, limit: float) -> float:
    """The length of the window: from its first request to its announced end.

    Announced moments are rounded up, mostly to a second, and most windows are whole seconds long:
    so the whole seconds of what was measured are taken.
    """
    if reading.window:
        return reading.window
    wait = reading.wait or 0.0
    length = observed.sent_at + wait - _opened_at(observed, limit)
    if length < 1:
        return max(length, SHORTEST_WINDOW)
    return _roundest(length) if reading.is_rounded else floor(length)


def follow_reset(reading: RateLimitReading, observed: Observation, reset_at: float) -> float | None:
    """The length of the window, where it begins at the reset that was named last."""
    after_reset = observed.now + (reading.reset_after or 0.0) - reset_at
    is_next = reset_at - _ROUNDING < observed.sent_at and after_reset < inf
    return _roundest(after_reset) if is_next and after_reset > 1 else None


def follow_token(reading: RateLimitReading, observed: Observation, reset_at: float) -> float:
    """The rate of a bucket that names when its next request is allowed, 0.0 where unknown.

    It was empty at this reset and at the one named last, and what was accepted between them is what
    flowed into it. The `Date` from which a reset is counted is rounded down, which cancels out
    where both were, but not always.
    """
    after_reset = observed.now + (reading.reset_after or inf) - reset_at
    if not reading.is_rounded and _SHORTEST_TOKEN < after_reset < inf:
        return observed.accepted_since_429 / after_reset
    return 0.0


def _roundest(length: float) -> float:
    """The roundest whole number of seconds that rounding may have made this length of."""
    lengths = range(max(1, ceil(length - _ROUNDING + 1e-6)), floor(length) + 1)
    return max(lengths, key=_roundness)


def _roundness(seconds: int) -> tuple[int, int]:
    rank = next(n for n, number in enumerate(_ROUND_NUMBERS) if not seconds % number)
    return -rank, seconds


def _opened_at(observed: Observation, limit: float) -> float:
    """When the window opened: it holds no more requests than its limit."""
    opened_at = observed.sent_at if observed.opened_at is None else observed.opened_at
    return (
        max(opened_at, observed.spent[-int(limit)]) if len(observed.spent) >= limit else opened_at
    )
