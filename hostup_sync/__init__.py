"""Reset HostUp VPSes: one or ten thousand, and never one twice by accident.

Example:
    >>> from hostup_sync import Client
    >>> def main():
    ...     with Client() as client:
    ...         operation = client.vps.reset("vps_01hxa3b4c5d6e7f8g9h0j1k2m3")
    ...         print(operation.wait(timeout=600))
"""

# Written by `nox -s facade` from the text of hostup_async: change that, and not this.

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hostup_async import __version__

if TYPE_CHECKING:
    from hostup_async import (
        Accepted,
        Action,
        ApiError,
        AuditEvent,
        AuditRecord,
        Billing,
        Budget,
        BudgetSnapshot,
        ClientClosed,
        ConfigurationError,
        Conflict,
        Entry,
        EntryState,
        Event,
        Exclusion,
        FieldError,
        FleetFailed,
        FleetPolicy,
        FleetReport,
        Forbidden,
        Gate,
        Gates,
        HostUpError,
        InDoubt,
        InvalidRequest,
        Job,
        JobFailed,
        JobStatus,
        NetworkError,
        NotFound,
        NotSent,
        OnAmbiguous,
        OnEvent,
        OperatingSystem,
        Outcome,
        OutcomeKnown,
        OutcomeStatus,
        OutcomeUnknown,
        Paused,
        Plan,
        PowerState,
        Preflight,
        Problem,
        RateLimit,
        RateLimited,
        RequestDone,
        Resources,
        Retrying,
        RunBegun,
        RunEnded,
        RunHeld,
        RunRecord,
        RunSnapshot,
        RunState,
        RunStopped,
        Seconds,
        ServerError,
        ServiceStatus,
        StopCause,
        StoreError,
        Timeouts,
        Unauthorized,
        UnreadableReply,
        UntrustedPollUrl,
        Vps,
        VpsDetails,
        VpsStatus,
        Waiting,
        WaitReason,
        WaitTimeout,
    )
    from hostup_sync._generated import (
        Client,
        FleetResource,
        FleetRun,
        Operation,
        Store,
        VpsResource,
        open_store,
    )

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

_OURS = frozenset(
    {
        "Client",
        "FleetResource",
        "FleetRun",
        "Operation",
        "Store",
        "VpsResource",
        "open_store",
    }
)


if not TYPE_CHECKING:  # or else every misspelt name would pass for one of `Any`

    def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever was asked for
        if name not in __all__:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        if name not in _OURS:
            value = globals()[name] = getattr(import_module("hostup_async"), name)
            return value
        generated = import_module(f"{__name__}._generated")
        for one in _OURS:
            globals()[one] = getattr(generated, one)
            globals()[one].__module__ = __name__  # where users import it from
        return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
