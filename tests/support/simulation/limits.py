"""The rate limits that a history may be behind, and the headers that tell of them.

Each style was met in the field: windows that follow the first request or the clock, sliding ones
and their cheap approximation by two counters, token buckets (which tell when the next token comes,
or when they are full), spacing without any burst, and a bound on requests at once. One limit for
everything, one for actions and one for reads, or one for each route; told of on every answer, on
refusals only, or never; refused with 429 or 503; and perhaps shared with a neighbour, or changed
while a run is under way.
"""

import math
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import formatdate
from functools import partial
from typing import Final

from attrs import define, evolve, field, frozen

from hostup_async.sandbox import Limit
from hostup_async.sandbox._limiters import Bucket, FixedWindow, LimitCheck, Limiter, SlidingWindow
from simulation.chance import Chance

# Seconds after the beginning at which a limit changes.
_CHANGE: Final = 30.0


@frozen(kw_only=True)
class LimitStyle:
    """A limit, and how it is told of.

    Attributes:
        kind: A key of `_LIMITERS`.
        requests: How many in a window; for `at_once`, how many at once.
        seconds: The window.
        scope: What it counts together: "all", "action" (actions apart from reads), or "route".
        status: What a refused request is answered with.
        headers: On which answers the limit is told: "429", "always" or "never".
        names: The family of headers: HostUp's "x-ratelimit-", another one, or "draft7", "draft8".
        reset: How a reset is written: "iso", "epoch", "epoch_ms" or "delta".
        retry_after: "seconds", "zero", "absent", "date", "ms", "body", or "always": in seconds,
            and on successes, too.
        neighbour: The share of the limit that someone else on the same key uses up.
        factor: What `requests` is multiplied by half a minute after the beginning.
    """

    kind: str
    requests: int
    seconds: float
    scope: str = "all"
    status: int = 429
    headers: str = "429"
    names: str = "x-ratelimit-"
    reset: str = "iso"
    retry_after: str = "seconds"
    neighbour: float = 0.0
    factor: float = 1.0

    @property
    def is_simple(self) -> bool:
        """Whether a user who knows `requests` and `seconds` knows all about it."""
        return self.scope == "all" and self.factor >= 1 and self.kind in _SIMPLE

    def group(self, kind: str) -> str:
        """The requests that are counted together with one of this kind."""
        if self.scope == "action":
            return "action" if kind == "reset" else "read"
        return kind if self.scope == "route" else ""


def draw_limit(chance: Chance) -> LimitStyle | None:
    """Draw the limit of a history."""
    if chance.draw("limited") < 0.35:
        return None
    return LimitStyle(
        kind=chance.pick("kind", tuple(_LIMITERS)),
        requests=chance.pick("requests", (3, 10, 30)),
        seconds=chance.pick("window", (2.0, 5.0, 20.0)),
        scope=chance.pick("scope", ("all", "all", "all", "action", "route")),
        status=503 if chance.draw("503") < 0.1 else 429,
        headers=chance.pick("headers", ("429", "always", "never")),
        names=chance.pick("names", _NAMES),
        reset=chance.pick("reset", ("iso", "epoch", "epoch_ms", "delta")),
        retry_after=chance.pick("retry_after", _RETRY_AFTER),
        neighbour=chance.pick("neighbour", (0.0, 0.0, 0.0, 0.3)),
        factor=chance.pick("factor", (1.0, 1.0, 1.0, 3.0, 0.4)),
    )


@define(eq=False)
class Spacing(Limiter):
    """One request in each interval, and no burst."""

    limit: Limit
    _next: float = 0.0

    def take(self, now: float) -> LimitCheck:
        allowed = now >= self._next
        if allowed:
            self._next = now + self.limit.seconds / self.limit.requests
        return LimitCheck(allowed, self.limit.requests, 0, self._next, self._next - now)


@define(eq=False)
class AtOnce(Limiter):
    """Only some requests at the same time, each of which takes its while."""

    limit: Limit
    lasts: float
    _ends: deque[float] = field(factory=deque[float])

    def take(self, now: float) -> LimitCheck:
        while self._ends and self._ends[0] <= now:
            self._ends.popleft()
        most = min(self.limit.requests, 4)
        allowed = len(self._ends) < most
        if allowed:
            self._ends.append(now + self.lasts)
        left = most - len(self._ends)
        reset = self._ends[0]
        return LimitCheck(allowed, most, left, reset, 0.0 if left else reset - now)


@define(eq=False)
class TwoCounters(Limiter):
    """A sliding window as two fixed ones approximate it."""

    limit: Limit
    _window: int = -1
    _before: int = 0
    _used: int = 0

    def take(self, now: float) -> LimitCheck:
        most, seconds = self.limit.requests, self.limit.seconds
        window = int(now // seconds)
        if window != self._window:
            self._before = self._used if window == self._window + 1 else 0
            self._window, self._used = window, 0
        passed = now / seconds - window
        estimate = self._before * (1 - passed) + self._used
        allowed = estimate < most
        self._used += allowed
        left = max(0, math.floor(most - estimate - allowed))
        reset = (window + 1) * seconds
        return LimitCheck(allowed, most, left, reset, 0.0 if left else reset - now)


@define(eq=False)
class FullBucket(Limiter):
    """A token bucket whose reset is the moment at which it is full again."""

    limit: Limit
    _bucket: Bucket = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._bucket = Bucket(self.limit)

    def take(self, now: float) -> LimitCheck:
        check = self._bucket.take(now)
        missing = check.limit - check.remaining
        full = now + missing * self.limit.seconds / self.limit.requests
        return evolve(check, reset=full)


def _clock_window(limit: Limit) -> FixedWindow:
    return FixedWindow(evolve(limit, kind="clock"))


_LIMITERS: Final[dict[str, Callable[[Limit], Limiter]]] = {
    "fixed": FixedWindow,
    "clock": _clock_window,
    "sliding": SlidingWindow,
    "bucket": Bucket,
    "full_bucket": FullBucket,
    "counters": TwoCounters,
    "spacing": Spacing,
    "at_once": partial(AtOnce, lasts=0.3),
}
LIMIT_KINDS: Final = tuple(_LIMITERS)
_SIMPLE: Final = frozenset({"fixed", "clock", "sliding", "bucket", "full_bucket", "counters"})
_NAMES: Final = (
    "x-ratelimit-", "x-ratelimit-", "x-rate-limit-", "ratelimit-", "draft7", "draft8",
)  # fmt: skip
_RETRY_AFTER: Final = (
    "seconds", "seconds", "absent", "zero", "date", "ms", "body", "always",
)  # fmt: skip


class Limits:
    """The limiters of one history."""

    def __init__(self, style: LimitStyle | None, began: float) -> None:
        self.style: Final = style
        self._began: Final = began
        self._limiters: Final[dict[tuple[str, bool], Limiter]] = {}
        self._neighbour_at: Final[dict[str, float]] = {}

    def take(self, kind: str, now: float) -> LimitCheck | None:
        """Ask for one request of a kind; None where nothing limits it."""
        style = self.style
        if style is None:
            return None
        group = style.group(kind)
        has_changed = style.factor != 1.0 and now - self._began > _CHANGE
        limiter = self._limiters.get((group, has_changed))
        if limiter is None:
            requests = max(1, int(style.requests * (style.factor if has_changed else 1.0)))
            limiter = _LIMITERS[style.kind](Limit(requests=requests, seconds=style.seconds))
            self._limiters[group, has_changed] = limiter
        if style.neighbour:
            self._let_neighbour(style, limiter, group, now)
        return limiter.take(now)

    def _let_neighbour(self, style: LimitStyle, limiter: Limiter, group: str, now: float) -> None:
        """Take what the neighbour took since the last time."""
        between = style.seconds / (style.requests * style.neighbour)
        first = self._neighbour_at.setdefault(group, now)
        due = min(style.requests, int((now - first) / between))
        for _ in range(due):
            limiter.take(now)
        if due:
            self._neighbour_at[group] = now


def write_headers(
    style: LimitStyle, check: LimitCheck, *, now: float, wall: float
) -> dict[str, str]:
    """The headers that tell of the limit.

    Args:
        style: Which ones.
        check: What the limiter said.
        now: The virtual time.
        wall: What the server's own clock shows.
    """
    is_told = style.headers == "always" or (style.headers == "429" and not check.allowed)
    headers = _quota(style, check, now, wall) if is_told else {}
    if style.headers != "never":
        headers |= _retry_after(style, check, wall)
    return headers


def wait_in_body(style: LimitStyle, check: LimitCheck) -> dict[str, object]:
    """What the body of a refusal says of the wait."""
    is_there = style.retry_after == "body" and style.headers != "never"
    return {"retryAfter": math.ceil(check.wait)} if is_there else {}


def _quota(style: LimitStyle, check: LimitCheck, now: float, wall: float) -> dict[str, str]:
    limit, left = str(check.limit), str(check.remaining)
    delta, window = str(math.ceil(check.reset - now)), f"{style.seconds:g}"
    if style.names == "draft7":
        fields = f"limit={limit}, remaining={left}, reset={delta}"
        return {"RateLimit": fields, "RateLimit-Policy": f"{limit};w={window}"}
    if style.names == "draft8":
        policy = f'"default";q={limit};w={window}'
        return {"RateLimit": f'"default";r={left};t={delta}', "RateLimit-Policy": policy}
    is_draft = style.names == "ratelimit-"
    reset = delta if is_draft else _moment(style.reset, check.reset - now, wall)
    values = {"Limit": limit, "Remaining": left, "Reset": reset}
    return {style.names + member: value for member, value in values.items()}


def _moment(form: str, ahead: float, wall: float) -> str:
    match form:
        case "iso":
            return iso(wall + ahead)
        case "epoch":
            return str(math.ceil(wall + ahead))
        case "epoch_ms":
            return str(math.ceil((wall + ahead) * 1000))
    return str(math.ceil(ahead))


def _retry_after(style: LimitStyle, check: LimitCheck, wall: float) -> dict[str, str]:
    if check.allowed and style.retry_after != "always":
        return {}
    match style.retry_after:
        case "seconds" | "always":
            return {"Retry-After": str(math.ceil(check.wait))}
        case "zero":
            return {"Retry-After": "0"}
        case "date":
            return {"Retry-After": formatdate(math.ceil(wall + check.wait), usegmt=True)}
        case "ms":
            return {"retry-after-ms": str(math.ceil(check.wait * 1000))}
    return {}


def iso(moment: float) -> str:
    """A moment in seconds since the epoch, as HostUp writes it."""
    text = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
