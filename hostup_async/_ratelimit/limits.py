"""What a user may say of a rate limit, and in which order requests go."""

from enum import StrEnum
from math import inf
from typing import Any, ClassVar, Final

from attrs import field, frozen, validators

from hostup_async._config import Seconds, seconds
from hostup_async._errors import ConfigurationError
from hostup_async._json import JsonReady


def _window(value: Seconds) -> float:
    return seconds(value, name="a rate limit's window")


def _at_least_one(_: object, __: object, value: Any) -> None:  # noqa: ANN401 - that is what it checks
    if not (type(value) is int and value >= 1):
        msg = f"A rate limit must allow a whole number of requests from 1 up, not {value!r}."
        raise ConfigurationError(msg)


@frozen
class RateLimit(JsonReady):
    """A limit that you know: at most `requests` in any window of `window` seconds.

    Example:
        >>> RateLimit(600, 60)
        RateLimit(requests=600, window=60.0)
    """

    UNLIMITED: ClassVar["RateLimit"]
    """No limit at all; a 429 that comes all the same is still waited out."""

    requests: float = field(validator=_at_least_one)
    window: float = field(converter=_window)


with validators.disabled():
    RateLimit.UNLIMITED = RateLimit(inf, 1.0)


class RequestClass(StrEnum):
    """What a request is for, from the most urgent to the least."""

    ACTION = "action"
    POLL = "poll"
    PREFLIGHT = "preflight"


AGING_SECONDS: Final = {
    RequestClass.ACTION: 0.0,
    RequestClass.POLL: 5.0,
    RequestClass.PREFLIGHT: 25.0,
}
"""Requests go in the order in which they queued, but each class as if it had queued this many
seconds later. So an action passes polls that queued less than 5 s before it, and none starves."""


class WaitReason(StrEnum):
    """Why requests wait for a permit."""

    NONE = "none"
    """Nothing waits."""
    LIMITED = "limited"
    """The API answered one with 429, and said for how long."""
    USED_UP = "used_up"
    """The limit of this window is used up, by our own count."""
    LEARNING = "learning"
    """The limit is not known yet: few are in flight at once, until it is."""
