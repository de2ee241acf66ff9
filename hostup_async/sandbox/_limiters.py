"""Rate limits of the four kinds that servers use.

A limiter gets the time as an argument and has no clock, so tests can make up the time.
"""

from collections import deque
from collections.abc import Mapping
from typing import Any, Literal, Protocol, TypeAlias, get_args

from attrs import define, field, frozen

from ._settings import above, one_of, to_json_types, whole

LimitKind: TypeAlias = Literal["fixed", "clock", "sliding", "bucket"]


@frozen(kw_only=True)
class Limit:
    """How many requests are answered in what time.

    Attributes:
        requests: Requests allowed in a window; for a bucket, its size.
        seconds: Length of the window; for a bucket, the time it takes to fill from empty.
        kind: `fixed` opens a window with the first request after the last window closed; `clock`
            has windows that begin at multiples of `seconds` of wall time; `sliding` counts the
            last `seconds` at any moment; `bucket` is a token bucket that starts full.

    Example:
        >>> Limit(requests=600, seconds=60, kind="sliding").requests
        600
    """

    requests: int = field(validator=whole(1))
    seconds: float = field(validator=above(0))
    kind: LimitKind = field(default="fixed", validator=one_of(get_args(LimitKind)))

    def to_dict(self) -> dict[str, Any]:
        """The limit as JSON can carry it; `Limit(**limit)` reads it back."""
        return to_json_types(self)


def as_limit(value: Limit | Mapping[str, Any] | None) -> Limit | None:
    """A limit, also from its dictionary made by `Limit.to_dict`."""
    return value if value is None or isinstance(value, Limit) else Limit(**value)


@frozen
class LimitCheck:
    """What a limiter says about one request; times are on the clock of the `now` it was given.

    Attributes:
        allowed: Whether the request is served; a refused one consumes nothing.
        limit: Requests allowed in a window.
        remaining: Requests that would still be allowed at this moment.
        reset: When the window ends, or for a bucket when the next token is there.
        wait: Seconds until a request is allowed again; 0 while some remain.
    """

    allowed: bool
    limit: int
    remaining: int
    reset: float
    wait: float


class Limiter(Protocol):
    """Something that allows or refuses requests."""

    def take(self, now: float) -> LimitCheck:
        """Ask for one request at `now`, in seconds that never fall."""
        ...


@define(eq=False)
class FixedWindow:
    """Counts requests in windows that follow the first request, or the clock."""

    limit: Limit
    _opened: float | None = None
    _used: int = 0

    def take(self, now: float) -> LimitCheck:
        """Allow `limit.requests` in each window."""
        end = self._open(now) + self.limit.seconds
        allowed = self._used < self.limit.requests
        self._used += allowed
        remaining = self.limit.requests - self._used
        return LimitCheck(
            allowed, self.limit.requests, remaining, end, 0 if remaining else end - now
        )

    def _open(self, now: float) -> float:
        if self._opened is None or now - self._opened >= self.limit.seconds:
            on_clock = self.limit.kind == "clock"
            self._opened = now - now % self.limit.seconds if on_clock else now
            self._used = 0
        return self._opened


@define(eq=False)
class SlidingWindow:
    """Remembers when each request was allowed; no window of this length ever holds too many."""

    limit: Limit
    _times: deque[float] = field(factory=deque[float])

    def take(self, now: float) -> LimitCheck:
        """Allow a request when fewer than `limit.requests` were allowed in the last window."""
        self._forget(now)
        allowed = len(self._times) < self.limit.requests
        if allowed:
            self._times.append(now)
        remaining = self.limit.requests - len(self._times)
        reset = self._times[0] + self.limit.seconds
        return LimitCheck(
            allowed, self.limit.requests, remaining, reset, 0 if remaining else reset - now
        )

    def _forget(self, now: float) -> None:
        while self._times and now - self._times[0] >= self.limit.seconds:
            self._times.popleft()


@define(eq=False)
class Bucket:
    """A token bucket: bursts up to its size, then a steady rate."""

    limit: Limit
    _tokens: float = field(init=False)
    _filled: float | None = None

    def __attrs_post_init__(self) -> None:
        self._tokens = self.limit.requests

    def take(self, now: float) -> LimitCheck:
        """Allow a request when a whole token is there."""
        self._fill(now)
        allowed = self._tokens >= 1
        self._tokens -= allowed
        missing = 1 - self._tokens % 1 if self._tokens < self.limit.requests else 0
        reset = now + missing * self.limit.seconds / self.limit.requests
        wait = 0 if self._tokens >= 1 else reset - now
        return LimitCheck(allowed, self.limit.requests, int(self._tokens), reset, wait)

    def _fill(self, now: float) -> None:
        since = now - (now if self._filled is None else self._filled)
        grown = self._tokens + since * self.limit.requests / self.limit.seconds
        self._tokens = min(self.limit.requests, grown)
        self._filled = now


def limiter(limit: Limit | None) -> Limiter | None:
    """The limiter that keeps `limit`."""
    if limit is None:
        return None
    if limit.kind == "sliding":
        return SlidingWindow(limit)
    return Bucket(limit) if limit.kind == "bucket" else FixedWindow(limit)


@define(eq=False)
class Limiters:
    """One limiter for everything, or one for actions and one for the rest."""

    _general: Limiter | None
    _actions: Limiter | None

    @classmethod
    def of(cls, limit: Limit | None, action_limit: Limit | None) -> "Limiters":
        """The limiters for two configured limits."""
        return cls(limiter(limit), limiter(action_limit))

    def change(self, limit: Limit | None) -> None:
        """Replace the general limit; counting starts again."""
        self._general = limiter(limit)

    def take(self, now: float, *, action: bool) -> LimitCheck | None:
        """Ask for one request; None where nothing limits it."""
        chosen = self._actions if action and self._actions else self._general
        return None if chosen is None else chosen.take(now)
