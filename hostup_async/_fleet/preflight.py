"""Whether an action should be sent to a VPS just now: its gate, its last boot, its pending tasks.

An uptime is a duration, so no clock is needed to tell that a VPS booted a minute ago: another
store, another person or a panel may have reset it. Two runs that read within the time that a job
queues both find the old uptime; then only a pending task tells, where the API lists it.
"""

from hostup_async._errors import HostUpError
from hostup_async._fleet import boot
from hostup_async._fleet.boot import Reading
from hostup_async._fleet.plan import denial
from hostup_async._models import Action, VpsStatus
from hostup_async._vps import VpsResource

_BOOTS = frozenset({Action.RESET, Action.RESTART})


async def check(
    vps: VpsResource,
    vps_id: str,
    action: Action,
    *,
    gates: bool = True,
    within: float = 0.0,
    must_be_known: bool = False,
) -> str | None:
    """Why the action should not be sent to the VPS just now; None where it may be.

    What cannot be read is no reason: the API's answer to the action itself decides.

    Args:
        vps: Where to read.
        vps_id: The VPS.
        action: The action.
        gates: Whether its gate counts.
        within: A boot less than this many seconds ago is a reason, and so is a pending task; 0
            where neither is.
        must_be_known: Whether an unknown uptime is a reason as well.
    """
    status = await _status(vps, vps_id)
    if within and (reason := _recent_boot(status, action, within, must_be_known=must_be_known)):
        return reason
    if not gates:
        return None
    if status is not None and status.gates is not None and status.gates.raw:
        return denial(status.gates.of(action))
    try:
        return denial((await vps.gates(vps_id)).of(action))
    except HostUpError:
        return None


async def _status(vps: VpsResource, vps_id: str) -> VpsStatus | None:
    try:
        return await vps.status(vps_id)
    except HostUpError:
        return None


def _recent_boot(
    status: VpsStatus | None, action: Action, within: float, *, must_be_known: bool
) -> str | None:
    if status is not None and status.pending_tasks:
        return "a task is pending on it"
    if action not in _BOOTS:
        return None
    uptime = None if status is None else Reading(0.0, 0.0, status).uptime
    if uptime is None:
        return "it cannot be seen when it last booted" if must_be_known else None
    is_recent = uptime - boot.SECOND < within
    return f"it booted {uptime:.0f} s ago" if is_recent else None
