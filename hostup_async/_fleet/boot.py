"""When a VPS last booted, and what that shows of an action. Pure.

What one read of the status shows. The API tells the uptime in whole seconds, rounded in a way that
it does not document, so the true one is within `SECOND` of it, at some moment between the request
and the response. The boot was therefore between `requested - uptime - SECOND` and `answered -
uptime + SECOND`. Further reads of the same boot give further intervals, whose intersection narrows,
since the seconds of an uptime begin at other moments than those of our reads.

What is concluded. An action that lies in an interval of its own happened before the boot if the
whole of the boot's interval lies after the whole of the action's, and after it if the reverse
holds. Whatever makes an interval wider (a slow answer, a suspended process) can only make the
finding inconclusive. An uptime that fell between two reads proves a boot between them, too.

What is not believed. Only a running VPS has an uptime; one of 0 may mean "not known"; and one that
does not grow from one read to the next is stuck. A reboot that the guest was asked for (`restart`)
need not set back what the hypervisor counts, so a long uptime proves nothing about it.

Moments are in seconds of any one clock that goes on while the machine sleeps.
"""

from enum import Enum, auto
from math import inf, isfinite
from typing import Final

from attrs import frozen

from hostup_async._http.server_clock import DRIFT
from hostup_async._models import Action, PowerState, VpsStatus

# Seconds. The API tells the uptime in whole ones.
SECOND: float = 1.0
_POWER: Final = {
    Action.START: PowerState.RUNNING,
    Action.STOP: PowerState.STOPPED,
    Action.SHUTDOWN: PowerState.STOPPED,
}
_CONTRARY: Final = {
    PowerState.RUNNING: PowerState.STOPPED,
    PowerState.STOPPED: PowerState.RUNNING,
}


class Finding(Enum):
    """What the evidence says."""

    DONE = auto()
    NOT_DONE = auto()
    INCONCLUSIVE = auto()
    """It shows neither."""


@frozen
class Span:
    """A moment that is known to lie between two others."""

    low: float
    high: float


@frozen
class Reading:
    """A status, and the moments between which it was true."""

    requested: float
    answered: float
    status: VpsStatus

    @property
    def uptime(self) -> float | None:
        """The uptime of a VPS that runs; None where it is unknown, or makes no sense."""
        uptime = self.status.uptime_seconds
        is_running = self.status.power_state == PowerState.RUNNING
        if not is_running or uptime is None or not isfinite(uptime) or uptime < 0:
            return None
        return uptime


class BootTrack:
    """The last boot of one VPS, as one read after another shows it."""

    def __init__(self) -> None:
        self._boot: Span | None = None
        self._first: Reading | None = None  # of this boot
        self._last: Reading | None = None
        self._fell_after = -inf  # the uptime was last seen to fall after a read asked for then

    @property
    def boot(self) -> Span | None:
        """When it booted; None where no read has shown it."""
        if self._boot is None or self._first is None or self._last is None:
            return None
        drift = DRIFT * (self._last.answered - self._first.requested)
        return Span(self._boot.low - drift, self._boot.high + drift)

    def add(self, reading: Reading) -> None:
        """Take in a read, made after those before it."""
        uptime = reading.uptime
        if uptime is None:
            return
        shown = Span(reading.requested - uptime - SECOND, reading.answered - uptime + SECOND)
        known, last = self.boot, self._last
        if known is None or shown.low > known.high or shown.high < known.low:
            fell = known is not None and shown.low > known.high
            if last is not None and fell and uptime < (last.uptime or 0.0):
                self._fell_after = last.requested
            elif not fell:  # an uptime that is longer again: the short one was not true
                self._fell_after = -inf
            self._boot, self._first = shown, reading
        else:
            self._boot = Span(max(known.low, shown.low), min(known.high, shown.high))
        self._last = reading

    @property
    def fell(self) -> bool:
        """Whether the uptime was seen to fall."""
        return self._fell_after > -inf

    def grew(self) -> bool:
        """Whether the uptime went on between two reads of this boot."""
        if self._first is None or self._last is None:
            return False
        return (self._last.uptime or 0.0) - (self._first.uptime or 0.0) >= SECOND

    def is_after(self, sent: Span) -> bool:
        """Whether it certainly booted after a moment."""
        if self._last is None or (self._last.uptime or 0.0) < SECOND:
            return False
        return self._fell_after > sent.high or (self._is_later(sent) and self.grew())

    def is_before(self, sent: Span) -> bool:
        """Whether it certainly booted before a moment, and ran on."""
        return self.boot is not None and self.boot.high < sent.low and self.grew()

    def may_be_after(self, sent: Span) -> bool:
        """Whether it may have booted after a moment: another read soon is worth its while."""
        return self.boot is not None and self.boot.high > sent.high

    def _is_later(self, sent: Span) -> bool:
        return self.boot is not None and self.boot.low > sent.high


class Inquiry:
    """Whether one action took place, as one read of the VPS's status after another shows.

    "It did" is believed at any read. "It did not" takes a series of reads that all show the
    contrary and no pending task, over at least `interval` seconds, of which the last is made when
    the action must be over.

    Args:
        action: The action.
        interval: Seconds.

    Attributes:
        track: What is known of the boot.
        contrary_since: When the series of reads that show the contrary began; None without one.
        has_pending: Whether a task was pending at the last read.
    """

    def __init__(self, action: Action, interval: float) -> None:
        self.track: Final = BootTrack()
        self.contrary_since: float | None = None
        self.has_pending = False
        self._action: Final = action
        self._interval: Final = interval

    def add(self, reading: Reading, sent: Span, over_at: float) -> Finding:
        """What is known with one read more.

        Args:
            reading: The read.
            sent: When the action was sent.
            over_at: From when on the action must be over if it was ever to be carried out.
        """
        self.track.add(reading)
        self.has_pending = bool(reading.status.pending_tasks)
        if self._shows_done(reading, sent):
            return Finding.DONE
        if self.has_pending or not self._shows_contrary(reading, sent):
            self.contrary_since = None
            return Finding.INCONCLUSIVE
        if self.contrary_since is None:
            self.contrary_since = reading.requested
        is_lasting = reading.requested - self.contrary_since >= self._interval
        is_over = is_lasting and reading.requested >= over_at
        ran_on = self._action in _POWER or self.track.is_before(sent)
        return Finding.NOT_DONE if is_over and ran_on else Finding.INCONCLUSIVE

    def is_close(self, reading: Reading, sent: Span) -> bool:
        """Whether a read soon may show that it took place: the VPS may have booted since."""
        is_uptime = self._action not in _POWER and reading.uptime is not None
        return is_uptime and self.track.may_be_after(sent)

    def _shows_done(self, reading: Reading, sent: Span) -> bool:
        if self._action in _POWER:
            return reading.status.power_state == _POWER[self._action]
        return reading.uptime is not None and self.track.is_after(sent)

    def _shows_contrary(self, reading: Reading, sent: Span) -> bool:
        if self._action in _POWER:
            return reading.status.power_state == _CONTRARY[_POWER[self._action]]
        is_known = self._action is Action.RESET and reading.uptime is not None
        return is_known and self.track.boot is not None and self.track.boot.high < sent.low
