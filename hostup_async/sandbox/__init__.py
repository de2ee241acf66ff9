"""A HostUp API to try things on: a real HTTP server that keeps books of what it did.

`Sandbox` serves from this process, `SandboxProcess` from one of its own, `ThreadedSandbox` from a
thread, for code without `async`; all have the same methods. What is not known about the real API
is a setting of `SandboxConfig`; what can go wrong is a `Fault`, or a `JobRule` where it is a job.
`Books` say what the server really did. A test moves the sandbox's time with `advance`, and ends a
job with `finish`.

It serves this machine alone, without TLS: keep it off networks.

Example:
    >>> async def main() -> None:
    ...     rule = FaultRule(Fault.LOST_REPLY, rate=0.01)
    ...     limit = Limit(requests=600, seconds=60, kind="sliding")
    ...     async with Sandbox(SandboxConfig(vps=100, limit=limit, faults=[rule])) as sandbox:
    ...         ...  # point a client at sandbox.url with sandbox.api_key
    ...         assert not (await sandbox.books()).reset_twice
"""

# Read `_api` first (a call comes in, a reply goes out), then `_machines` (VPSes and their jobs),
# `_bodies` and `_pages` (their JSON), `_limiters` (rate limits), `_faults` and `_effects` (what
# goes wrong), `_job_rules` (how chosen jobs end; `_rules` counts for both), `_clock` (the one time
# of it all), and `_books` (the record). `_server`, `_process` and `_threaded` are the ways to run
# it, `_control` and `_remote` the handles on it.
# Below them: `_config` and `_settings` (what can be set), `_routes` and `_replies` (what comes in
# and goes out), `_ids` and `_clock` (chance and time). `pytest_plugin` has fixtures.

from ._books import BookedJob, BookedRequest, Books
from ._config import Durations, SandboxConfig
from ._control import SandboxHandle
from ._faults import Fault, FaultRule
from ._job_rules import JobRule
from ._limiters import Limit
from ._process import SandboxProcess
from ._remote import RemoteSandbox, SandboxError
from ._server import Sandbox
from ._threaded import ThreadedSandbox

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

for _cls in (globals()[_name] for _name in __all__):
    _cls.__module__ = __name__  # where users import it from
