"""Reset HostUp VPSes: one or ten thousand, and never one twice by accident.

Example:
    >>> from hostup_async import Client
    >>> async def main():
    ...     async with Client() as client:
    ...         operation = await client.vps.reset("vps_01hxa3b4c5d6e7f8g9h0j1k2m3")
    ...         print(await operation.wait(timeout=600))
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hostup_async._version import __version__

if TYPE_CHECKING:
    from hostup_async._budget import Budget, BudgetSnapshot
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
        ServerError,
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
        Paused,
        RequestDone,
        Retrying,
    )
    from hostup_async._ledger import RateLimit
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
    from hostup_async._vps import VpsResource

__all__ = [
    "Accepted",
    "Action",
    "ApiError",
    "Billing",
    "Budget",
    "BudgetSnapshot",
    "Client",
    "ClientClosed",
    "ConfigurationError",
    "Conflict",
    "Event",
    "FieldError",
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
    "OnEvent",
    "OperatingSystem",
    "Operation",
    "OutcomeUnknown",
    "Paused",
    "PowerState",
    "Problem",
    "RateLimit",
    "RateLimited",
    "RequestDone",
    "Resources",
    "Retrying",
    "Seconds",
    "ServerError",
    "ServiceStatus",
    "Timeouts",
    "Unauthorized",
    "UnreadableReply",
    "UntrustedPollUrl",
    "Vps",
    "VpsDetails",
    "VpsResource",
    "VpsStatus",
    "WaitTimeout",
    "__version__",
]

# Loaded when first asked for: the command line and the sandbox start without aiohttp's client.
_HOMES = {
    name: home
    for home, names in {
        "_budget": (
            "Budget",
            "BudgetSnapshot",
        ),
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
            "ServerError",
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
        ),
        "_ledger": ("RateLimit",),
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
        "_vps": ("VpsResource",),
    }.items()
    for name in names
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever was asked for
    home = _HOMES.get(name)
    if home is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
