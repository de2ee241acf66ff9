"""What was learnt of a rate limit, as a value that outlasts its process.

The estimator exports it (`LimitEstimate.learnt`), a store keeps it, and another process begins with
it (`LimitEstimate.restore`). Nothing else knows both of them.
"""

import json
from enum import StrEnum
from math import ceil, inf
from typing import Any, Final, Self

from attrs import asdict, field, frozen, validators

from hostup_async._json import JsonReady

_MOST: Final = 1e9  # requests, and seconds: what is beyond was not learnt but damaged
_BOUNDS: Final[Any] = (validators.gt(0), validators.lt(_MOST))


class LimitStyle(StrEnum):
    """In which dimension a limit is."""

    WINDOW = "window"
    """A count of requests in a window."""
    RATE = "rate"
    """An even rate: a bucket, a gap between requests, or a sliding counter."""
    AT_ONCE = "at_once"
    """A number of requests in flight."""


@frozen
class LearntLimit(JsonReady):
    """One limit, as far as it was learnt.

    Attributes:
        style: In which dimension it is.
        requests: Requests a window, requests a second or requests in flight.
        window: The length of the window in seconds; 1.0 for the other two.
        age: Seconds since the API last showed that it holds, by a 429 or by headers.
        is_named: Whether the API named the number of requests.
        is_fixed: Whether the requests of a window come back all at once; None where unknown.
    """

    style: LimitStyle = field(converter=LimitStyle)
    requests: float = field(validator=_BOUNDS, converter=float)
    window: float = field(default=1.0, validator=_BOUNDS, converter=float)
    age: float = field(default=0.0, eq=False)
    is_named: bool = False
    is_fixed: bool | None = field(default=None, eq=False)

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


@frozen
class LearntLimits(JsonReady):
    """The limit of actions and that of reads; the same one where they share a limit.

    Attributes:
        actions: That of actions, None where nothing was learnt.
        reads: That of reads, None where nothing was learnt.
        is_split: Whether they were found to be two.

    Example:
        >>> limit = LearntLimit("window", 60, 60)
        >>> again = LearntLimits.from_json(LearntLimits(limit, limit).to_json(), age=3600)
        >>> again.actions.requests, again.actions.age, again.is_split
        (60.0, 3600, False)
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
    def age(self) -> float:
        """Seconds since the API last showed that one of them holds; infinite without one."""
        return min((limit.age for limit in (self.actions, self.reads) if limit), default=inf)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was learnt."""
        return self.actions is None and self.reads is None


def _read(known: dict[str, Any] | None, age: float) -> LearntLimit | None:
    if known is None:
        return None
    return LearntLimit(**known, age=age)
