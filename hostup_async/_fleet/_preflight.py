"""Whether a VPS's own gate forbids an action."""

from hostup_async._errors import HostUpError
from hostup_async._models import Action, Gate
from hostup_async._vps import VpsResource


def denial(gate: Gate | None) -> str | None:
    """Why a gate forbids its action; a gate that is missing is unknown, which is no denial."""
    if gate is None or gate.allowed is not False:
        return None
    return f"its gate is shut: {gate.reason or gate.code or 'it does not say why'}"


async def read_denial(vps: VpsResource, vps_id: str, action: Action) -> str | None:
    """Why the VPS's gate forbids the action just now.

    One that cannot be read is no denial: the API's answer to the action itself is the authority.
    """
    try:
        gates = await vps.gates(vps_id)
    except HostUpError:
        return None
    return denial(gates.of(action))
