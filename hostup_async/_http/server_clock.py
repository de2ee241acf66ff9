"""The server's clock, read from the `Date` of its answers.

Two moments that two processes, or two machines, have seen can be compared only by a clock that
all of them see. Wall clocks are not one: they are set, and may be hours off. The server's is.

What an answer shows. `Date` is the server's time in whole seconds at some moment between the send
and the receipt: `Date <= server time < Date + 1`. So the offset, server time less our monotonic
time, was at least `Date - received` and less than `Date + 1 - sent`. Each further answer is
another such interval, and all hold at once; their intersection narrows to some hundredths of a
second, since the seconds of the server begin at other moments of ours each time.

What is added, so that the interval never claims too much:

- Drift. Clocks are slewed by up to 500 ppm each, the server's and ours: a bound that was observed
  `n` seconds ago, or later, is `n / 1000` seconds wider.
- Several servers. Behind one address there may be servers whose clocks differ, and any of them
  may give the next answer. Intersecting their intervals would soon leave a narrow one that holds
  for none of them. Where their clocks differ by at most `SPREAD`, each interval widened by that
  much holds for all; so the intersection is widened, and what is left of it may be empty by as
  much. One process may see one server and the next process another: no number of agreeing
  answers would justify less.
- Steps. Where intervals contradict each other by more than that, the server's clock was set, or
  this whole machine stood still. The intervals begin anew, and no moment before that is converted
  any more. What is given right after an answer always contains all that this answer allows, so it
  is true even where a small step has not been noticed yet; moments that matter are therefore
  converted when they happen.
- Suspension. Our monotonic clock may stop while the machine sleeps, and the wall clock does not.
  Every moment is read from both (`Moment`). Where they disagree, the machine slept or the wall
  clock was set, and what was known of the offset cannot be carried across. That alone does not
  mean that the server's clock stepped: its time may have gone on by no more than the disagreement
  explains, and then no step is counted.

Because of what is added, a `ServerTime` is 4.5 s wide at the best. Two moments of one process whose
clocks agree (`Moment.agrees`) are better compared by the monotonic clock, which is exact; the
server's clock is for moments that another process, or this one before it slept, has seen.

Times are in seconds; server times are seconds since the epoch. Everything here is pure but for
`Moment.now`. Rejected: the middle of the round trip, as in NTP, an estimate without a bound, which
whole seconds make worthless; and the wall clock as a second opinion, which is wrong just when it
matters.
"""

from collections.abc import Mapping
from functools import cache
from math import inf
from typing import Final

from attrs import frozen

from hostup_async import _clock
from hostup_async._fork import lock_for_forks
from hostup_async._ratelimit.timestamps import parse_moment

# How far the clocks of the servers behind one address may differ. Servers that keep time by NTP
# differ by milliseconds, one that has lost its source for weeks by a second or two.
SPREAD: Final = 2.0
# How far two clocks drift apart at most, in seconds a second: each is slewed by up to 500 ppm (the
# kernel's and NTP's bound).
DRIFT: Final = 1e-3
# Our two clocks agree to within this: they are read one after the other, and the wall clock is
# corrected in small steps. A suspension as short as this is not noticed, and is allowed for.
_AGREEMENT: Final = 0.25
# A `Date` tells whole seconds.
_SECOND: Final = 1.0


@frozen
class Moment:
    """A moment on this machine, by both of its clocks.

    Attributes:
        monotonic: `time.monotonic()`.
        wall: `time.time()`.
    """

    monotonic: float
    wall: float

    @classmethod
    def now(cls) -> "Moment":
        """The present moment."""
        return cls(_clock.monotonic(), _clock.wall())

    def agrees(self, other: "Moment") -> bool:
        """Whether as much time lies between the two by either clock."""
        passed = self.monotonic - other.monotonic
        return abs(self.wall - other.wall - passed) <= _AGREEMENT


@frozen
class ServerTime:
    """A moment by the server's clock, which another process can compare with its own.

    Attributes:
        earliest: The server's clock had reached this, in seconds since the epoch.
        latest: It had not passed this.
    """

    earliest: float
    latest: float


@frozen
class _Offset:
    """Bounds of server time less monotonic time, and the monotonic times that they hold at."""

    lower: float
    lower_at: float
    upper: float
    upper_at: float

    def bounds(self, at: float) -> tuple[float, float]:
        """The bounds at another monotonic time."""
        lower = self.lower - DRIFT * abs(at - self.lower_at)
        return lower, self.upper + DRIFT * abs(at - self.upper_at)

    def narrowed(self, other: "_Offset", at: float) -> "_Offset":
        """The intersection of both, compared at a time by which both were observed."""
        (lower, upper), (its_lower, its_upper) = self.bounds(at), other.bounds(at)
        low = other if its_lower > lower else self
        high = other if its_upper < upper else self
        return _Offset(low.lower, low.lower_at, high.upper, high.upper_at)


class ServerClock:
    """What is known of the clock of the servers behind one address.

    Args:
        name: Whose clock it is, for its `repr`.
        spread: How far the clocks of those servers may differ, in seconds.

    Attributes:
        steps: How many steps of the server's clock were noticed.

    Example:
        >>> clock = ServerClock("a")
        >>> clock.observe(1_000_000.0, Moment(20.0, 0.0), Moment(20.5, 0.5))
        >>> moment = clock.at(Moment(20.5, 0.5))
        >>> moment.earliest < 1_000_000.0 < moment.latest
        True
    """

    def __init__(self, name: str, *, spread: float = SPREAD) -> None:
        self.name: Final = name
        self.steps: int = 0
        self._margin: Final = spread + _AGREEMENT
        self._offset: _Offset | None = None  # the intersection of all that was observed
        self._last: _Offset | None = None  # the last observation alone
        self._reference = self._received = Moment(-inf, -inf)  # of the first and the last of them
        self._since = -inf  # the monotonic time from which on all this holds
        self._lock: Final = lock_for_forks(self)  # clients on several loops share it

    def __repr__(self) -> str:
        if self._offset is None:
            return f"<ServerClock {self.name!r}: no Date seen>"
        lower, upper = self._bounds(self._offset, self._received.monotonic)
        return f"<ServerClock {self.name!r}: within {upper - lower:.2f} s, {self.steps} steps>"

    def observe(self, date: float | None, sent: Moment, received: Moment) -> None:
        """Learn from an answer.

        Args:
            date: Its `Date`, in seconds since the epoch. None where it has none, or was kept by a
                cache (`Age`): nothing is learnt.
            sent: When the request was sent, or a moment before.
            received: When the answer's headers had come, or a moment after.
        """
        if date is None or not received.agrees(sent):
            return
        with self._lock:
            self._learn(date, sent, received)

    def _learn(self, date: float, sent: Moment, received: Moment) -> None:
        observed = _Offset(
            date - received.monotonic,
            received.monotonic,
            date + _SECOND - sent.monotonic,
            sent.monotonic,
        )
        known = self._offset
        if known is None:
            self._begin(observed, received, since=-inf)
        elif not self._fits(known, observed, received):
            self.steps += 1
            self._begin(observed, received, since=sent.monotonic)
        elif not received.agrees(self._reference):
            self._begin(observed, received, since=self._received.monotonic)
        else:
            self._offset = known.narrowed(observed, received.monotonic)
        self._last, self._received = observed, received

    def at(self, moment: Moment) -> ServerTime | None:
        """What the server's clock showed at a moment; None where that is not known.

        It is not known before the first answer with a `Date`, across a step of the server's clock,
        or across a suspension of this machine.
        """
        with self._lock:
            at, known = moment.monotonic, self._offset
            if known is None or at < self._since or not moment.agrees(self._reference):
                return None
            lower, upper = self._bounds(known, at)
        return ServerTime(at + lower, at + upper)

    def _begin(self, observed: _Offset, received: Moment, *, since: float) -> None:
        """Know only what one answer shows."""
        self._offset, self._reference, self._since = observed, received, since

    def _fits(self, known: _Offset, observed: _Offset, received: Moment) -> bool:
        """Whether an answer agrees with those before; a suspension may have added to the offset."""
        passed = received.monotonic - self._reference.monotonic
        suspended = received.wall - self._reference.wall - passed
        at = received.monotonic
        (lower, upper), (its_lower, its_upper) = known.bounds(at), observed.bounds(at)
        most = upper + self._margin + (suspended if suspended > _AGREEMENT else 0.0)
        return its_lower <= most and its_upper >= lower - self._margin

    def _bounds(self, known: _Offset, at: float) -> tuple[float, float]:
        """The offset's bounds for any of the servers; never narrower than the last answer's."""
        lower, upper = known.bounds(at)
        last = (self._last or known).bounds(at)
        return min(lower - self._margin, last[0]), max(upper + self._margin, last[1])


@cache
def shared_clock(origin: str) -> ServerClock:
    """The one clock of an origin's servers in this process."""
    return ServerClock(origin)


def read_date(headers: Mapping[str, str]) -> float | None:
    """An answer's `Date`, in seconds since the epoch; None without one, and from a cache."""
    if headers.get("Age", "0").strip() != "0":
        return None
    return parse_moment(headers.get("Date", ""))
