"""Every error of this package, one tree:

    HostUpError
    ├── ConfigurationError      (ValueError)    refused before anything was sent
    ├── ClientClosed            (RuntimeError)  the client is not open; nothing was sent
    ├── NetworkError                            no usable response to a request that only reads
    │   └── NotSent                             proof that the request never left this machine
    ├── UnreadableReply                         a response that makes no sense
    ├── UntrustedPollUrl                        a poll URL outside the API; the key was not sent
    ├── ApiError                                the API refused
    │   ├── InvalidRequest      400
    │   ├── Unauthorized        401
    │   ├── Forbidden           403
    │   ├── NotFound            404
    │   ├── Conflict            409
    │   ├── RateLimited         429, or the wait for the limit is longer than allowed
    │   └── ServerError         500 and above
    ├── OutcomeUnknown                          perhaps sent, outcome unknown: never repeat blindly
    ├── JobFailed                               the action was accepted, and its job failed
    ├── FleetFailed                             a fleet run in which not everything completed
    ├── StoreError                              what is done could not be recorded, or read
    │   └── RunHeld                             another process or client holds the run
    └── WaitTimeout             (TimeoutError)  the job goes on, only the waiting ended

Branch on the class, then on `code`. Each message says what to do next; none contains the key.
`FleetFailed` is in `_fleet/report.py`, beside the report that it carries.
"""  # noqa: D415 - the summary introduces the drawing

from typing import Any

from hostup_async._models import Action, FieldError, Job, Problem, Raw


class HostUpError(Exception):
    """The root: `except HostUpError` catches all that this package raises of its own.

    What the API sent is in `status`, `code`, `title`, `detail`, `instance`, `request_id`,
    `errors`, `retry_after` (seconds) and `raw`; None or empty where the API gave none.
    """

    def __init__(self, message: str, *, problem: Problem | None = None) -> None:
        super().__init__(message)
        self.problem = problem

    def _field(self, name: str) -> Any:  # noqa: ANN401 - each property names its own type
        return getattr(self.problem, name, None)

    @property
    def status(self) -> int | None:
        """The HTTP status of the API's response."""
        status: int | None = self._field("status")
        return status

    @property
    def code(self) -> str | None:
        """The API's own error code, such as `cooldown_active`: branch on this."""
        code: str | None = self._field("code")
        return code

    @property
    def title(self) -> str | None:
        """The API's short name of the problem."""
        title: str | None = self._field("title")
        return title

    @property
    def detail(self) -> str | None:
        """The API's explanation of this one case."""
        detail: str | None = self._field("detail")
        return detail

    @property
    def instance(self) -> str | None:
        """The resource that the problem is about."""
        instance: str | None = self._field("instance")
        return instance

    @property
    def request_id(self) -> str | None:
        """What HostUp's support asks for."""
        request_id: str | None = self._field("request_id")
        return request_id

    @property
    def errors(self) -> tuple[FieldError, ...]:
        """The single fields that were refused."""
        return self._field("errors") or ()

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait before another try, as the API asked."""
        retry_after: float | None = self._field("retry_after")
        return retry_after

    @property
    def raw(self) -> Raw | None:
        """The API's whole response, where it was a JSON object."""
        raw: Raw | None = self._field("raw")
        return raw


class ConfigurationError(HostUpError, ValueError):
    """An argument, environment variable or id that cannot be used; nothing was sent."""


class ClientClosed(HostUpError, RuntimeError):
    """The client is not open: not entered yet, or closed already. Nothing was sent."""


class NetworkError(HostUpError):
    """No usable response came to a request that changes nothing."""


class NotSent(NetworkError):
    """The request never left this machine, so calling again cannot do anything twice."""


class UnreadableReply(HostUpError):
    """A response that cannot be understood: not JSON, too large, cut short, or empty."""


class UntrustedPollUrl(HostUpError):
    """A poll URL outside the API's own origin; it was not followed, the key was not sent."""


class ApiError(HostUpError):
    """The API refused the request."""


class InvalidRequest(ApiError):
    """400: the request itself is wrong; `errors` names the fields."""


class Unauthorized(ApiError):
    """401: no key, or a key that is wrong or expired."""


class Forbidden(ApiError):
    """403: the key lacks a scope, the VPS is another's, or a filter refused the client."""


class NotFound(ApiError):
    """404: no such VPS for this key."""


class Conflict(ApiError):
    """409: the VPS's state does not allow it; see `code`, such as `cooldown_active`."""


class RateLimited(ApiError):
    """The limit allows no request within the allowed wait.

    `retry_after` is the wait that it would take, as the budget or else the API has it.
    """

    def __init__(
        self, message: str, *, problem: Problem | None = None, wait: float | None = None
    ) -> None:
        super().__init__(message, problem=problem)
        self._wait = wait

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait before another try makes sense."""
        return super().retry_after if self._wait is None else self._wait


class ServerError(ApiError):
    """500 and above, for a request that changes nothing."""


class OutcomeUnknown(HostUpError):
    """An action was sent, or may have been, and its outcome is unknown.

    Do not send it again blindly: a reset that is sent twice reboots twice. Check
    `client.vps.status(vps_id)`: an uptime shorter than the time since `sent_at` means that
    it took place.

    Attributes:
        vps_id: The VPS that the action was for; None for a bare poll URL.
        action: The action.
        sent_at: When it was sent, in seconds since the epoch by this machine's clock.
    """

    def __init__(
        self,
        message: str,
        *,
        problem: Problem | None = None,
        vps_id: str | None = None,
        action: Action | None = None,
        sent_at: float | None = None,
    ) -> None:
        super().__init__(message, problem=problem)
        self.vps_id = vps_id
        self.action = action
        self.sent_at = sent_at


class JobFailed(HostUpError):
    """The action was accepted, and its job ended in failure.

    Attributes:
        vps_id: The VPS that the action was for; None for a bare poll URL.
        job: The job as last seen; `job.error` says why, where the API gave a reason.
    """

    def __init__(self, message: str, *, vps_id: str | None = None, job: Job | None = None) -> None:
        super().__init__(message)
        self.vps_id = vps_id
        self.job = job


class StoreError(HostUpError):
    """The store cannot be used: full, locked, damaged, of a newer version, or closed.

    What was to be recorded is not; so stop sending. What was recorded before is still there.
    """


class RunHeld(StoreError):
    """Another process or client holds the run: it alone may go on with it."""


class WaitTimeout(HostUpError, TimeoutError):
    """The wait ended before the job did; the job goes on.

    Attributes:
        vps_id: The VPS that the action was for; None for a bare poll URL.
        job: The job as last seen.
        token: What `client.operation(token)` takes to go on waiting, here or elsewhere.
    """

    def __init__(
        self,
        message: str,
        *,
        vps_id: str | None = None,
        job: Job | None = None,
        token: str | None = None,
    ) -> None:
        super().__init__(message)
        self.vps_id = vps_id
        self.job = job
        self.token = token
