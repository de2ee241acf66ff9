"""A HostUp API to try things on: a real HTTP server that keeps books of what it did.

`Sandbox` serves from this process, `SandboxProcess` from one of its own, `ThreadedSandbox` from a
thread, for code without `async`; all have the same methods. What is not known about the real API
is a setting of `SandboxConfig`; what can go wrong is a `Fault`, or a `JobRule` where it is a job.
`Books` say what the server really did. A test moves the sandbox's time with `advance`, and ends a
job with `finish`.

It serves this machine alone, without TLS: keep it off networks.

Example:
    >>> def main() -> None:
    ...     rule = FaultRule(Fault.LOST_REPLY, rate=0.01)
    ...     limit = Limit(requests=600, seconds=60, kind="sliding")
    ...     with Sandbox(SandboxConfig(vps=100, limit=limit, faults=[rule])) as sandbox:
    ...         ...  # point a client at sandbox.url with sandbox.api_key
    ...         assert not sandbox.books().reset_twice
"""

# Written by `nox -s facade` from the text of hostup_async.sandbox: change that, and not this.

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hostup_async.sandbox import (
        BookedJob,
        BookedRequest,
        Books,
        Durations,
        Fault,
        FaultRule,
        JobRule,
        Limit,
        SandboxConfig,
        SandboxError,
        ThreadedSandbox,
    )
    from hostup_sync.sandbox._generated import RemoteSandbox, Sandbox, SandboxHandle, SandboxProcess

__all__ = [
    "BookedJob",
    "BookedRequest",
    "Books",
    "Durations",
    "Fault",
    "FaultRule",
    "JobRule",
    "Limit",
    "RemoteSandbox",
    "Sandbox",
    "SandboxConfig",
    "SandboxError",
    "SandboxHandle",
    "SandboxProcess",
    "ThreadedSandbox",
]

_OURS = frozenset(
    {
        "RemoteSandbox",
        "Sandbox",
        "SandboxHandle",
        "SandboxProcess",
    }
)


if not TYPE_CHECKING:  # or else every misspelt name would pass for one of `Any`

    def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever was asked for
        if name not in __all__:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        if name not in _OURS:
            value = globals()[name] = getattr(import_module("hostup_async.sandbox"), name)
            return value
        generated = import_module(f"{__name__}._generated")
        for one in _OURS:
            globals()[one] = getattr(generated, one)
            globals()[one].__module__ = __name__  # where users import it from
        return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
