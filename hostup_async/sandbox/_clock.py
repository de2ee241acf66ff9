"""Time as the server sees it."""

import asyncio
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import formatdate
from functools import lru_cache

from attrs import define, field

from ._settings import at_least


def iso(wall: float) -> str:
    """ISO 8601 in UTC with milliseconds, rounded up so that a wait until then is long enough."""
    moment = datetime.fromtimestamp(math.ceil(wall * 1000) / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@lru_cache(maxsize=4)
def _http_date(second: int) -> str:
    return formatdate(second, usegmt=True)


def machine_time() -> float:
    """The machine's monotonic clock, also where a test has frozen `time.monotonic`."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)


def loop_time() -> Callable[[], float]:
    """The clock of the running loop where that keeps a time of its own, or else the machine's.

    On a loop whose time jumps, a client's waits are over at once; its jobs have to be, too.
    """
    loop = asyncio.get_running_loop()
    # The loop's usual `time` is `time.monotonic`, which freezegun replaces; uvloop's is the same
    # clock, read seldom. Neither is a time of its own.
    is_usual = type(loop).time is asyncio.BaseEventLoop.time
    is_uvloop = type(loop).__module__.partition(".")[0] == "uvloop"
    return machine_time if is_usual or is_uvloop else loop.time


@define(eq=False)
class Clock:
    """A clock that starts at 0 and can be moved on or stopped, and the wall time that goes with it.

    Attributes:
        skew: Seconds by which this server's wall clock is ahead of the machine's.
        epoch: Wall time at the start, in seconds since 1970, without the skew.
        source: The clock that moves this one while it is not frozen, in seconds.
        frozen: Whether it stands still at first.
    """

    skew: float = 0.0
    epoch: float = field(factory=lambda: time.time())  # noqa: PLW0108 - a test may have frozen it
    source: Callable[[], float] = machine_time
    frozen: bool = False
    # The time is `_base`, and what `source` has counted since `_since`; frozen if that is None.
    _base: float = field(default=0.0, init=False)
    _since: float | None = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._since = None if self.frozen else self.source()

    def now(self) -> float:
        """Seconds since the start."""
        return self._base if self._since is None else self._base + self.source() - self._since

    def advance(self, seconds: float) -> None:
        """Move on by this much at once."""
        at_least(0)(self, _Seconds(), seconds)
        self._base += seconds

    def freeze(self) -> None:
        """Stand still from now on, except for `advance`."""
        self._base, self._since = self.now(), None

    def unfreeze(self) -> None:
        """Go on with `source`."""
        if self._since is None:
            self._since = self.source()

    def wall(self, at: float) -> float:
        """The server's wall time `at` seconds after the start."""
        return self.epoch + self.skew + at

    def stamp(self, at: float) -> str:
        """That wall time as the API writes it."""
        return iso(self.wall(at))

    def date(self, at: float) -> str:
        """That wall time as the `Date` header has it."""
        return _http_date(int(self.wall(at)))


class _Seconds:
    name = "seconds"
