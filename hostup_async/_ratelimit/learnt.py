"""What was learnt of a rate limit, as a value that outlasts its process.

The estimator exports it (`LimitEstimate.learnt`), a store keeps it, and another process begins with
it (`LimitEstimate.begin_with`). Nothing else knows both of them.
"""

import json
from enum import StrEnum
from math import ceil, inf, isfinite
from typing import Any, Final, Self

from attrs import asdict, field, frozen, validators

_MOST: Final = 1e9  # requests, and seconds: what is beyond was not learnt but damaged
_BOUNDS: Final[Any] = (validators.gt(0), validators.lt(_MOST))


class LimitStyle(StrEnum):
    """What a rate limit counts."""

    WINDOW = "window"
    """Requests in a window of time."""
    RATE = "rate"
    """Requests a second: buckets, gaps between requests."""
    AT_ONCE = "at_once"
    """Requests in flight at once."""


@frozen(kw_only=True)
class LearntLimit:
    """One limit, as it was learnt.

    Attributes:
        style: What it counts.
        requests: How many requests it allows, in `window` seconds or at once.
        window: Seconds; 1.0 where the style is `AT_ONCE`, which has no window.
        age: Seconds since it was learnt; 0.0 for what is exported.
    """

    style: LimitStyle = field(default=LimitStyle.WINDOW, converter=LimitStyle)
    requests: float = field(validator=_BOUNDS, converter=float)
    window: float = field(default=1.0, validator=_BOUNDS, converter=float)
    age: float = field(default=0.0, eq=False)

    @property
    def rate(self) -> float | None:
        """Requests a second; None where the style is `AT_ONCE`."""
        return None if self.style is LimitStyle.AT_ONCE else self.requests / self.window

    def least_seconds(self, requests: int) -> float:
        """The least seconds that this many requests take, begun with a fresh window."""
        if self.style is LimitStyle.WINDOW:
            return max(0, ceil(requests / self.requests) - 1) * self.window
        return requests / self.rate if self.rate else 0.0

    def as_count(self) -> tuple[int, float] | None:
        """It as a whole number of requests in some seconds; None where the style is `AT_ONCE`."""
        if self.style is LimitStyle.AT_ONCE:
            return None
        whole = ceil(self.requests)
        return whole, self.window * whole / self.requests


@frozen(kw_only=True)
class LearntLimits:
    """The limits of one key at one API.

    Attributes:
        actions: The limit of actions, and of all requests where it is not split; None if unknown.
        reads: The limit of requests that only read, where it is split; None if unknown.
        is_split: Whether actions and reads have limits of their own.

    Example:
        >>> known = LearntLimits(actions=LearntLimit(requests=60, window=60))
        >>> LearntLimits.from_json(known.to_json(), age=3600).actions
        LearntLimit(style=<LimitStyle.WINDOW: 'window'>, requests=60.0, window=60.0, age=3600)
    """

    actions: LearntLimit | None = None
    reads: LearntLimit | None = None
    is_split: bool = False

    def to_json(self) -> str:
        """The limits as a text for `from_json`, without their age."""
        return json.dumps(asdict(self, filter=lambda one, _: one.name != "age"))

    @classmethod
    def from_json(cls, text: str, *, age: float = 0.0) -> Self:
        """What was learnt `age` seconds ago; a text that makes no sense teaches nothing."""
        try:
            known = json.loads(text)
            actions, reads = (_read(known.get(name), age) for name in ("actions", "reads"))
            return cls(actions=actions, reads=reads, is_split=known.get("is_split") is True)
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            return cls()

    def least_seconds(self, actions: int, reads: int) -> float | None:
        """The least seconds that these requests take; None where no limit is known."""
        if self.is_empty:
            return None
        if not self.is_split:
            actions, reads = actions + reads, 0
        sides = (self.actions, actions), (self.reads, reads)
        return max(limit.least_seconds(count) for limit, count in sides if limit)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was learnt."""
        return self.actions is None and self.reads is None


def _read(known: dict[str, Any] | None, age: float) -> LearntLimit | None:
    if known is None:
        return None
    return LearntLimit(**known, age=age if isfinite(age) and age >= 0 else inf)
