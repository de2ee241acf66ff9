"""Whether an action took place, as the VPS's own status shows it."""

from enum import Enum, auto
from typing import Final

import anyio

from hostup_async import _clock
from hostup_async._errors import HostUpError
from hostup_async._models import Action, PowerState, VpsStatus
from hostup_async._polling.poller import Poller
from hostup_async._vps import VpsResource

# Seconds: the API gives the uptime in whole ones, rounded in a way that it does not document.
_SECOND: Final = 1.0
_POWER: Final = {
    Action.START: PowerState.RUNNING,
    Action.STOP: PowerState.STOPPED,
    Action.SHUTDOWN: PowerState.STOPPED,
}
# How long an action takes at most, as a multiple of the learnt 95th percentile of its jobs.
_PATIENCE: Final = 2.0
# Seconds between two looks at that percentile: other jobs that end meanwhile may shorten it.
_RECHECK: Final = 1.0
# How often an uptime within a second of the send is read again: a later fraction of a second may
# fall on one side.
_MORE_READS: Final = 3


class Finding(Enum):
    """What the evidence says."""

    DONE = auto()
    NOT_DONE = auto()
    INCONCLUSIVE = auto()
    """It shows neither."""


class Evidence:
    """Finds evidence of whether an action took place.

    A reboot sets the uptime back (inferred: the API does not document it), so an uptime shorter
    than the time since the send shows that it took place, and a longer one that it did not yet.

    Args:
        action: The action.
        vps: Where to read the status of a VPS.
        poller: Knows how long such actions take.
        interval: Seconds between two reads that together prove a "not done".
    """

    def __init__(self, action: Action, vps: VpsResource, poller: Poller, interval: float) -> None:
        self._action: Final = action
        self._vps: Final = vps
        self._poller: Final = poller
        self._interval: Final = interval

    @property
    def kind(self) -> str:
        """The field of the status that shows it."""
        return "power_state" if self._action in _POWER else "uptime"

    async def wait_until_over(self, sent_at: float) -> None:
        """Wait until an action that was sent at this moment must be over."""
        while (left := self._doubtful_for(sent_at)) > 0:  # noqa: ASYNC110 - no event comes
            await anyio.sleep(min(left, _RECHECK))

    async def find(self, vps_id: str, sent_at: float) -> Finding:
        """What the status shows of an action that was sent at this moment."""
        try:
            finding, status = await self._read_status(vps_id, sent_at)
            for _ in range(_MORE_READS):
                if finding is not Finding.INCONCLUSIVE or status.uptime_seconds is None:
                    break
                await anyio.sleep(self._interval / _MORE_READS)  # another part of a second
                finding, status = await self._read_status(vps_id, sent_at)
            if finding is Finding.NOT_DONE:
                return await self._confirm(vps_id, sent_at, status)
        except HostUpError:
            return Finding.INCONCLUSIVE
        return finding

    def _doubtful_for(self, sent_at: float) -> float:
        # What is learnt meanwhile may shorten it.
        durations = self._poller.durations(self._action)
        return sent_at + _PATIENCE * durations.quantile(0.95) - _clock.wall()

    async def _read_status(self, vps_id: str, sent_at: float) -> tuple[Finding, VpsStatus]:
        before = _clock.wall() - sent_at
        status = await self._vps.status(vps_id)
        return judge(self._action, status, before, _clock.wall() - sent_at), status

    async def _confirm(self, vps_id: str, sent_at: float, first: VpsStatus) -> Finding:
        """Believe a "not done" if a second read agrees, and no task is pending."""
        began = _clock.wall()
        await anyio.sleep(self._interval)
        finding, second = await self._read_status(vps_id, sent_at)
        if finding is not Finding.NOT_DONE or _ran_through(first, second, _clock.wall() - began):
            return finding
        return Finding.INCONCLUSIVE


def judge(action: Action, status: VpsStatus, least: float, most: float) -> Finding:
    """What one read of the status shows.

    Args:
        action: What was sent.
        status: The VPS's status.
        least: Seconds from the send to the request for the status.
        most: Seconds from the send to its response.
    """
    if action in _POWER:
        if status.power_state is None:
            return Finding.INCONCLUSIVE
        return Finding.DONE if status.power_state == _POWER[action] else Finding.NOT_DONE
    uptime = status.uptime_seconds
    if uptime is None or uptime < 0:
        return Finding.INCONCLUSIVE
    if uptime + _SECOND <= least:
        return Finding.DONE
    return Finding.NOT_DONE if uptime - _SECOND > most else Finding.INCONCLUSIVE


def _ran_through(first: VpsStatus, second: VpsStatus, passed: float) -> bool:
    """Whether no task is pending, and the machine ran on between the reads, if it has an uptime."""
    if first.pending_tasks or second.pending_tasks:
        return False
    if first.uptime_seconds is None or second.uptime_seconds is None:
        return True
    return abs(second.uptime_seconds - first.uptime_seconds - passed) <= 2 * _SECOND
