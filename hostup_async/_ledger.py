"""What is believed of the rate limit: pure bookkeeping on a clock that is passed in.

A ledger answers one question, "from when on may the next request go?", from what was sent and
what the API answered. It knows nothing of tasks, queues or sockets.
"""

from collections import deque
from math import inf
from typing import Final, Protocol

from attrs import field, frozen

from hostup_async._config import Seconds, seconds
from hostup_async._errors import ConfigurationError
from hostup_async._ratelimit import RateLimitReading

# A 429 that names no moment: public clients of the API wait so long, then double it.
FIRST_PAUSE: Final = 30.0
LONGEST_PAUSE: Final = 300.0


def _window(value: Seconds) -> float:
    return seconds(value, name="a rate limit's window")


def _at_least_one(_: object, __: object, value: int) -> None:
    if value.__class__ is not int or value < 1:
        msg = f"A rate limit must allow a whole number of requests from 1 up, not {value!r}."
        raise ConfigurationError(msg)


@frozen
class RateLimit:
    """A limit that you know: so many requests in any window of so many seconds.

    Example:
        >>> RateLimit(600, 60)
        RateLimit(requests=600, window=60.0)
    """

    requests: int = field(validator=_at_least_one)
    window: float = field(converter=_window)


class Ledger(Protocol):
    """How a limit is kept."""

    def ready_at(self, now: float) -> float:
        """The moment from which one more request may go; not after `now` means at once."""
        ...

    def left(self, now: float) -> float:
        """Requests that may go before the next wait; infinite where no limit is known."""
        ...

    def spend(self, now: float) -> None:
        """A request is about to go."""
        ...

    def refund(self) -> None:
        """The last request that was spent never went."""
        ...

    def learn(self, reading: RateLimitReading, now: float) -> None:
        """An answer told something of the limit."""
        ...


class KnownLimit:
    """A limit that the user told: never more than so many in any window, wherever it begins."""

    def __init__(self, limit: RateLimit) -> None:
        self._limit = limit
        self._spent: deque[float] = deque(maxlen=limit.requests)

    def ready_at(self, now: float) -> float:
        """When the oldest of the last `requests` sends is a window old."""
        full = len(self._spent) == self._limit.requests
        return self._spent[0] + self._limit.window if full else now

    def left(self, now: float) -> float:
        """The limit less what was sent within the last window."""
        begin = now - self._limit.window
        return self._limit.requests - sum(1 for moment in self._spent if moment > begin)

    def spend(self, now: float) -> None:
        """Note a send."""
        self._spent.append(now)

    def refund(self) -> None:
        """Forget the oldest send: whichever one never went, this errs on the safe side."""
        if self._spent:
            self._spent.popleft()

    def learn(self, reading: RateLimitReading, now: float) -> None:
        """Nothing: the user knows better."""


class LearnedLimit:
    """A limit that the API tells, perhaps only when it refuses: a window that is counted along."""

    def __init__(self) -> None:
        self._limit: float = inf
        self._window: float = inf
        self._used = 0
        self._opened_at = -inf
        self._resets_at = -inf

    def ready_at(self, now: float) -> float:
        """Now, or the end of the window that is used up."""
        return now if self._used < self._limit else max(now, self._resets_at)

    def left(self, now: float) -> float:
        """What the window still allows."""
        return self._limit if now >= self._resets_at else max(0, self._limit - self._used)

    def spend(self, now: float) -> None:
        """Count a send, in a new window where the last one is over."""
        if now >= self._resets_at:
            self._opened_at, self._resets_at = now, now + self._window
            self._used = 0
        self._used += 1

    def refund(self) -> None:
        """Uncount a send."""
        self._used = max(0, self._used - 1)

    def learn(self, reading: RateLimitReading, now: float) -> None:
        """Take the limit, what it leaves, and the length of its window from an answer."""
        reset_after = reading.retry_after if reading.reset_after is None else reading.reset_after
        if reset_after is None:
            return  # a limit without a window is no limit that could be kept
        if reading.limit:
            self._limit = reading.limit
        self._resets_at = now + reset_after
        self._window = reading.window or max(self._resets_at - self._opened_at, 1.0)
        if reading.remaining is not None and reading.limit is not None:
            self._used = max(self._used, reading.limit - reading.remaining)
