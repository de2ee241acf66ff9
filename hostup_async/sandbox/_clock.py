"""Time as the server sees it."""

import math
import time
from datetime import UTC, datetime
from email.utils import formatdate
from functools import lru_cache

from attrs import field, frozen


def iso(wall: float) -> str:
    """ISO 8601 in UTC with milliseconds, rounded up so that a wait until then is long enough."""
    moment = datetime.fromtimestamp(math.ceil(wall * 1000) / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@lru_cache(maxsize=4)
def _http_date(second: int) -> str:
    return formatdate(second, usegmt=True)


@frozen
class Clock:
    """A steady clock that starts at 0, and the wall time that goes with it.

    Attributes:
        skew: Seconds by which this server's wall clock is ahead of the machine's.
        epoch: Wall time at the start, in seconds since 1970, without the skew.
        started: Reading of the monotonic clock at the start.
    """

    skew: float = 0.0
    epoch: float = field(factory=time.time)
    started: float = field(factory=time.monotonic)

    def now(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    def wall(self, at: float) -> float:
        """The server's wall time `at` seconds after the start."""
        return self.epoch + self.skew + at

    def stamp(self, at: float) -> str:
        """That wall time as the API writes it."""
        return iso(self.wall(at))

    def date(self, at: float) -> str:
        """That wall time as the `Date` header has it."""
        return _http_date(int(self.wall(at)))
