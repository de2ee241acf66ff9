"""Rate limits of the kinds that servers use.

A limiter gets the time as an argument and has no clock, so tests can make up the time.
"""

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeAlias, get_args

from attrs import define, field, frozen

from ._settings import above, maybe, one_of, to_json_types, whole

# Added to what flows into a bucket, in tokens: the sums of moments are not exact.
_ROUNDING: Final = 1e-9

LimitKind: TypeAlias = Literal["fixed", "clock", "sliding", "counter", "bucket", "concurrent"]


@frozen(kw_only=True)
class Limit:
    """How many requests are answered in what time.

    Attributes:
        requests: Requests allowed in a window; for a bucket, those that flow in meanwhile.
        seconds: Length of the window; it means nothing to `concurrent`.
        kind: `fixed` opens a window with the first request after the last window closed; `clock`
            has windows that begin at multiples of `seconds` of wall time; `sliding` counts the
            last `seconds` at any moment; `counter` estimates that from the counts of this window
            of the clock and of the one before, as gateways do; `bucket` is a token bucket that
            starts full; `concurrent` allows `requests` that are not answered yet.
        burst: The size of a bucket, `requests` unless said. With 1 it is a gap between requests,
            as nginx without `burst` has it.
        counts_refused: Whether a counter counts what it refuses as well, as HAProxy's do.
        resets_full: Whether a bucket says as its reset when it will be full again, and not when
            the next request is allowed.

    Example:
        >>> Limit(requests=600, seconds=60, kind="sliding").requests
        600
    """

    requests: int = field(validator=whole(1))
    seconds: float = field(validator=above(0))
    kind: LimitKind = field(default="fixed", validator=one_of(get_args(LimitKind)))
    burst: int | None = field(default=None, validator=maybe(whole(1)))
    counts_refused: bool = False
    resets_full: bool = False

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


class Limiter(ABC):
    """Something that allows or refuses requests."""

    @abstractmethod
    def take(self, now: float) -> LimitCheck:
        """Ask for one request at `now`, in seconds that never fall."""
        ...

    def release(self) -> None:  # noqa: B027 - most do not count what is under way
        """A request that was allowed is answered."""


@define(eq=False)
class FixedWindow(Limiter):
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
class SlidingWindow(Limiter):
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
class WindowCounter(Limiter):
    """Estimates the last window from two counts, as if the older requests had come evenly."""

    limit: Limit
    _window: int | None = None
    _used: int = 0
    _used_before: int = 0

    def take(self, now: float) -> LimitCheck:
        """Allow a request when the estimate leaves room for it."""
        seconds, requests = self.limit.seconds, self.limit.requests
        self._open(math.floor(now / seconds))
        older = 1 - now / seconds % 1  # the part of the window before that is in the last `seconds`
        room = requests - self._used - self._used_before * older
        allowed = room >= 1
        self._used += allowed or self.limit.counts_refused
        remaining = max(0, math.floor(room - allowed))
        reset = now + older * seconds
        fades = self._used_before / seconds  # requests that leave the estimate in each second
        missing = max(0.0, 1 - room + allowed)
        wait = min(reset - now, missing / fades) if fades else reset - now
        return LimitCheck(allowed, requests, remaining, reset, 0 if remaining else wait)

    def _open(self, window: int) -> None:
        if self._window != window:
            is_next = self._window is not None and window == self._window + 1
            self._used_before = self._used if is_next else 0
            self._window, self._used = window, 0


@define(eq=False)
class Bucket(Limiter):
    """A token bucket: bursts up to its size, then a steady rate."""

    limit: Limit
    _size: int = field(init=False)
    _tokens: float = field(init=False)
    _filled: float | None = None

    def __attrs_post_init__(self) -> None:
        self._size = self.limit.burst or self.limit.requests
        self._tokens = self._size

    def take(self, now: float) -> LimitCheck:
        """Allow a request when a whole token is there."""
        self._fill(now)
        allowed = self._tokens >= 1
        self._tokens -= allowed
        token = self.limit.seconds / self.limit.requests
        missing = 1 - self._tokens % 1 if self._tokens < self._size else 0
        next_token = now + missing * token
        wait = 0 if self._tokens >= 1 else next_token - now
        full = now + (self._size - self._tokens) * token
        reset = full if self.limit.resets_full else next_token
        return LimitCheck(allowed, self._size, int(self._tokens), reset, wait)

    def _fill(self, now: float) -> None:
        since = now - (now if self._filled is None else self._filled)
        grown = self._tokens + since * self.limit.requests / self.limit.seconds
        self._tokens = min(self._size, grown + _ROUNDING)
        self._filled = now


@define(eq=False)
class Concurrent(Limiter):
    """Allows a number of requests at once; how long each takes is for the server to say."""

    limit: Limit
    _under_way: int = 0

    def take(self, now: float) -> LimitCheck:
        """Allow a request when fewer than `limit.requests` are under way."""
        allowed = self._under_way < self.limit.requests
        self._under_way += allowed
        remaining = self.limit.requests - self._under_way
        return LimitCheck(allowed, self.limit.requests, remaining, now, 0)

    def release(self) -> None:
        """One is answered."""
        self._under_way -= 1


_KINDS: Final[dict[LimitKind, Callable[[Limit], Limiter]]] = {
    "fixed": FixedWindow,
    "clock": FixedWindow,
    "sliding": SlidingWindow,
    "counter": WindowCounter,
    "bucket": Bucket,
    "concurrent": Concurrent,
}


def limiter(limit: Limit | None) -> Limiter | None:
    """The limiter that keeps `limit`."""
    return None if limit is None else _KINDS[limit.kind](limit)


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

    def of_route(self, *, action: bool) -> Limiter | None:
        """The limiter of actions, or of the rest; None where nothing limits them."""
        return self._actions if action and self._actions else self._general
