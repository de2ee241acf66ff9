"""What the API says, as frozen data: every field optional, nothing unknown thrown away.

Field names are the API's in snake case. A value of an unexpected type reads as None, an
enumeration's unlisted word stays a plain string, and `raw` keeps the whole object as it came.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, TypeAlias

from attrs import field, frozen

from hostup_async._json import JsonReady

Raw = Mapping[str, Any]


@frozen(kw_only=True)
class ApiObject(JsonReady):
    """Whatever the API sends as an object; `raw` is all of it, as it came."""

    raw: Raw = field(factory=dict[str, Any], repr=False, eq=False)


class Action(StrEnum):
    """A power action; its value is the last segment of the action's route."""

    RESET = "reset"
    START = "start"
    STOP = "stop"
    SHUTDOWN = "shutdown"
    RESTART = "restart"


ActionWord: TypeAlias = Literal["reset", "start", "stop", "shutdown", "restart"]


class ServiceStatus(StrEnum):
    """The state of the VPS as a service that is paid for."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    TERMINATED = "terminated"
    PENDING = "pending"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    FRAUD = "fraud"
    UNKNOWN = "unknown"


class PowerState(StrEnum):
    """The state of the VPS as a machine."""

    RUNNING = "running"
    STOPPED = "stopped"
    STARTING = "starting"
    STOPPING = "stopping"
    PAUSED = "paused"
    PROVISIONING = "provisioning"
    ERROR = "error"
    UNKNOWN = "unknown"


class JobStatus(StrEnum):
    """The documented states of a job; only `COMPLETED` and `FAILED` are final."""

    PENDING = "pending"
    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"


@frozen
class Gate(JsonReady):
    """Whether an action is allowed just now, and why not.

    A gate is advice: the API decides when the action is sent. `allowed` is None
    where the API did not say, which is not a denial.
    """

    allowed: bool | None = None
    reason: str | None = None
    code: str | None = None


@frozen
class Gates(ApiObject):
    """The action gates of one VPS; None is unknown: the API left the gate out."""

    can_reset: Gate | None = None
    can_start: Gate | None = None
    can_stop: Gate | None = None
    can_restart: Gate | None = None
    can_shutdown: Gate | None = None

    def of(self, action: Action | ActionWord) -> Gate | None:
        """The gate of one action, or None where it is unknown.

        Example:
            >>> Gates(can_reset=Gate(allowed=False, reason="suspended")).of(Action.RESET)
            Gate(allowed=False, reason='suspended', code=None)
        """
        gate: Gate | None = getattr(self, f"can_{Action(action).value}")
        return gate


@frozen
class OperatingSystem(ApiObject):
    """What runs on the VPS, as far as the host knows."""

    display_name: str | None = None
    family: str | None = None
    version: str | None = None
    variant: str | None = None


@frozen
class Billing(ApiObject):
    """What the VPS costs; `amount` is in units of `currency_code`."""

    amount: float | None = None
    currency_code: str | None = None
    billing_cycle: str | None = None
    is_payg: bool | None = None
    period_years: float | None = None


@frozen
class Resources(ApiObject):
    """The size of the VPS: cores, and gigabytes of memory and storage."""

    cpu_cores: float | None = None
    memory_gb: float | None = None
    storage_gb: float | None = None


@frozen
class Vps(ApiObject):
    """A VPS as the list shows it. `id` is empty where the API left it out."""

    id: str = ""
    name: str | None = None
    primary_ip: str | None = None
    service_status: ServiceStatus | str | None = None
    power_state: PowerState | str | None = None
    operating_system: OperatingSystem | None = None
    billing: Billing | None = None
    resources: Resources | None = None
    gates: Gates | None = None


@frozen
class VpsDetails(ApiObject):
    """A VPS as a product: what was ordered, until when it is paid, and its gates."""

    id: str = ""
    product_name: str | None = None
    hostname: str | None = None
    service_status: ServiceStatus | str | None = None
    created_at: datetime | None = None
    next_due_at: datetime | None = None
    billing: Billing | None = None
    cpu_cores: float | None = None
    memory_gb: float | None = None
    storage_gb: float | None = None
    gates: Gates | None = None


@frozen
class VpsStatus(ApiObject):
    """A VPS as a machine, live.

    `id` is the one that was asked for where the API left it out.
    A fall of `uptime_seconds` is the evidence that a hard reset took place: `power_state` may
    read `running` throughout (inferred from the published pages, not documented).
    """

    id: str = ""
    power_state: PowerState | str | None = None
    uptime_seconds: float | None = None
    cpu_usage_percent: float | None = None
    memory: Raw | None = None
    storage: Raw | None = None
    network: Raw | None = None
    pending_tasks: Any = None
    gates: Gates | None = None


@frozen
class FieldError(JsonReady):
    """One field that the API refused; `pointer` is a JSON pointer into the request."""

    pointer: str | None = None
    detail: str | None = None
    code: str | None = None


@frozen
class Problem(ApiObject):
    """An error as the API described it, in either of its two shapes.

    Branch on `code`: one code can come with several statuses. `retry_after` is in seconds.
    """

    status: int
    code: str | None = None
    title: str | None = None
    detail: str | None = None
    instance: str | None = None
    request_id: str | None = None
    errors: tuple[FieldError, ...] = ()
    retry_after: float | None = None


@frozen
class Job(ApiObject):
    """A job as one poll found it, read from any of the three shapes in use.

    Attributes:
        id: The job's id, None where the API named none.
        status: A `JobStatus`, or the server's own word where it is not a listed one; an
            unlisted word means "still going".
        state: The word that the server used, before it was mapped to `status`.
        progress: Per cent, 0 to 100.
        message: A description of its progress.
        error: Why it failed, where it failed and a reason was given.
        result: The job's own result, as it came.
        poll_url: Where to poll the job, as the API gave it.
        created_at: When the job was made, by the server's clock.
        finished_at: When it ended, by the server's clock.
    """

    id: str | None = None
    status: JobStatus | str = JobStatus.PENDING
    state: str | None = None
    progress: float | None = None
    message: str | None = None
    error: str | None = None
    result: Any = field(default=None, repr=False)
    poll_url: str | None = None
    created_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def is_final(self) -> bool:
        """Whether the job has ended, well or badly."""
        return self.status in {JobStatus.COMPLETED, JobStatus.FAILED}

    @property
    def duration(self) -> float | None:
        """How long it took, in seconds by the server's clock; None where that is not known."""
        if self.created_at is None or self.finished_at is None:
            return None
        return max(0.0, (self.finished_at - self.created_at).total_seconds())

    @property
    def succeeded(self) -> bool:
        """Whether the job has ended well."""
        return self.status == JobStatus.COMPLETED
