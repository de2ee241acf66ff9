"""Reset HostUp VPSes: one or ten thousand, and never one twice by accident.

Example:
    >>> from hostup_async import Client
    >>> async def main():
    ...     async with Client() as client:
    ...         operation = await client.vps.reset("vps_01hxa3b4c5d6e7f8g9h0j1k2m3")
    ...         print(await operation.wait(timeout=600))
"""

import sys
from importlib import import_module
from types import FunctionType
from typing import TYPE_CHECKING, Any

from hostup_async._version import __version__

if TYPE_CHECKING:
    from hostup_async._client import Client
    from hostup_async._config import Seconds, Timeouts
    from hostup_async._errors import (
        ApiError,
        ClientClosed,
        ConfigurationError,
        Conflict,
        Forbidden,
        HostUpError,
        InvalidRequest,
        JobFailed,
        NetworkError,
        NotFound,
        NotSent,
        OutcomeUnknown,
        RateLimited,
        RunHeld,
        ServerError,
        StoreError,
        Unauthorized,
        UnreadableReply,
        UntrustedPollUrl,
        WaitTimeout,
    )
    from hostup_async._events import (
        Accepted,
        Event,
        InDoubt,
        OnEvent,
        OutcomeKnown,
        Paused,
        RequestDone,
        Retrying,
        RunBegun,
        RunEnded,
        RunStopped,
        Waiting,
    )
    from hostup_async._fleet.plan import Exclusion, Plan, Preflight
    from hostup_async._fleet.policy import FleetPolicy, OnAmbiguous
    from hostup_async._fleet.report import FleetFailed, FleetReport, RunSnapshot
    from hostup_async._fleet.resource import FleetResource
    from hostup_async._fleet.run import FleetRun
    from hostup_async._models import (
        Action,
        Billing,
        FieldError,
        Gate,
        Gates,
        Job,
        JobStatus,
        OperatingSystem,
        PowerState,
        Problem,
        Resources,
        ServiceStatus,
        Vps,
        VpsDetails,
        VpsStatus,
    )
    from hostup_async._operation import Operation
    from hostup_async._outcome import Outcome, OutcomeStatus, StopCause
    from hostup_async._ratelimit.budget import Budget
    from hostup_async._ratelimit.limits import RateLimit, WaitReason
    from hostup_async._ratelimit.snapshot import BudgetSnapshot
    from hostup_async._store.base import Store
    from hostup_async._store.open import open_store
    from hostup_async._store.records import (
        AuditEvent,
        AuditRecord,
        Entry,
        EntryState,
        RunRecord,
        RunState,
    )
    from hostup_async._vps import VpsResource

__all__ = [
    "Accepted",
    "Action",
    "ApiError",
    "AuditEvent",
    "AuditRecord",
    "Billing",
    "Budget",
    "BudgetSnapshot",
    "Client",
    "ClientClosed",
    "ConfigurationError",
    "Conflict",
    "Entry",
    "EntryState",
    "Event",
    "Exclusion",
    "FieldError",
    "FleetFailed",
    "FleetPolicy",
    "FleetReport",
    "FleetResource",
    "FleetRun",
    "Forbidden",
    "Gate",
    "Gates",
    "HostUpError",
    "InDoubt",
    "InvalidRequest",
    "Job",
    "JobFailed",
    "JobStatus",
    "NetworkError",
    "NotFound",
    "NotSent",
    "OnAmbiguous",
    "OnEvent",
    "OperatingSystem",
    "Operation",
    "Outcome",
    "OutcomeKnown",
    "OutcomeStatus",
    "OutcomeUnknown",
    "Paused",
    "Plan",
    "PowerState",
    "Preflight",
    "Problem",
    "RateLimit",
    "RateLimited",
    "RequestDone",
    "Resources",
    "Retrying",
    "RunBegun",
    "RunEnded",
    "RunHeld",
    "RunRecord",
    "RunSnapshot",
    "RunState",
    "RunStopped",
    "Seconds",
    "ServerError",
    "ServiceStatus",
    "StopCause",
    "Store",
    "StoreError",
    "Timeouts",
    "Unauthorized",
    "UnreadableReply",
    "UntrustedPollUrl",
    "Vps",
    "VpsDetails",
    "VpsResource",
    "VpsStatus",
    "WaitReason",
    "WaitTimeout",
    "Waiting",
    "__version__",
    "open_store",
]

# Loaded when first asked for: the command line and the sandbox start without aiohttp's client.
_HOMES = {
    name: home
    for home, names in {
        "_fleet.resource": ("FleetResource",),
        "_fleet.run": ("FleetRun",),
        "_fleet.report": ("FleetFailed", "FleetReport", "RunSnapshot"),
        "_fleet.plan": ("Exclusion", "Plan", "Preflight"),
        "_fleet.policy": ("FleetPolicy", "OnAmbiguous"),
        "_ratelimit.budget": ("Budget",),
        "_client": ("Client",),
        "_config": (
            "Seconds",
            "Timeouts",
        ),
        "_errors": (
            "ApiError",
            "ClientClosed",
            "ConfigurationError",
            "Conflict",
            "Forbidden",
            "HostUpError",
            "InvalidRequest",
            "JobFailed",
            "NetworkError",
            "NotFound",
            "NotSent",
            "OutcomeUnknown",
            "RateLimited",
            "RunHeld",
            "ServerError",
            "StoreError",
            "Unauthorized",
            "UnreadableReply",
            "UntrustedPollUrl",
            "WaitTimeout",
        ),
        "_events": (
            "Accepted",
            "Event",
            "InDoubt",
            "OnEvent",
            "Paused",
            "RequestDone",
            "Retrying",
            "RunBegun",
            "RunEnded",
            "RunStopped",
            "Waiting",
            "OutcomeKnown",
        ),
        "_ratelimit.limits": ("RateLimit", "WaitReason"),
        "_ratelimit.snapshot": ("BudgetSnapshot",),
        "_models": (
            "Action",
            "Billing",
            "FieldError",
            "Gate",
            "Gates",
            "Job",
            "JobStatus",
            "OperatingSystem",
            "PowerState",
            "Problem",
            "Resources",
            "ServiceStatus",
            "Vps",
            "VpsDetails",
            "VpsStatus",
        ),
        "_operation": ("Operation",),
        "_outcome": (
            "Outcome",
            "OutcomeStatus",
            "StopCause",
        ),
        "_store.records": (
            "AuditEvent",
            "AuditRecord",
            "Entry",
            "EntryState",
            "RunRecord",
            "RunState",
        ),
        "_store.base": ("Store",),
        "_store.open": ("open_store",),
        "_vps": ("VpsResource",),
    }.items()
    for name in names
}


if not TYPE_CHECKING:  # or else every misspelt name would pass for one of `Any`

    def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever was asked for
        home = _HOMES.get(name)
        if home is None:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        import_module(f"{__name__}.{home}")
        _publish()
        return globals()[name]


def _publish() -> None:
    """Have all that is loaded say that it is of this package, where users import it from."""
    names = globals()
    for name, home in _HOMES.items():
        value = getattr(sys.modules.get(f"{__name__}.{home}"), name, None)
        if value is None or name in names:
            continue
        names[name] = value
        if isinstance(value, type | FunctionType):
            value.__module__ = __name__


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
