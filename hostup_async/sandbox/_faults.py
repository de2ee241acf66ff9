"""Faults by name, and the rules that say which requests they hit."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Final, Literal, TypeAlias, get_args

from attrs import field, frozen

from ._rules import Rule
from ._settings import at_least, maybe, one_of

Target: TypeAlias = Literal[
    "reset", "start", "stop", "shutdown", "restart",
    "action", "poll", "list", "get", "status", "details", "any",
]  # fmt: skip


class Fault(StrEnum):
    """One way in which an answer goes wrong.

    "Does the work" means that an action creates its job, as if nothing were wrong.
    """

    LOST_REPLY = "lost_reply"
    """Does the work, then closes the connection without an answer."""
    DISCONNECT_BEFORE = "disconnect_before"
    """Closes the connection without doing the work."""
    PARTIAL_REPLY = "partial_reply"
    """Does the work, sends half of the headers, then closes the connection."""
    TRUNCATED_BODY = "truncated_body"
    """Does the work, sends less than `Content-Length` says, then closes the connection."""
    TRUNCATED_JSON = "truncated_json"
    """Does the work; a valid HTTP answer whose JSON is cut in the middle."""
    ERROR_500 = "error_500"
    """Answers 500 `internal_error`."""
    HTML_502 = "html_502"
    """Answers 502 with a gateway's HTML page."""
    ERROR_503 = "error_503"
    """Answers 503 `upstream_unavailable`."""
    ERROR_504 = "error_504"
    """Answers 504 `upstream_failed`."""
    STALL = "stall"
    """Does the work, then says nothing until the client leaves or the server stops."""
    STALL_BEFORE = "stall_before"
    """Says nothing until the client leaves or the server stops, and does not do the work."""
    FORGOTTEN_JOB = "forgotten_job"
    """The job is accepted and runs, but every poll of it answers 404."""
    EMPTY_BODY = "empty_body"
    """Does the work; the usual status without a body."""
    NO_CONTENT = "no_content"
    """Does the work; answers 204."""
    HTML_BODY = "html_body"
    """Does the work; the usual status with an HTML page."""
    HUGE_BODY = "huge_body"
    """Does the work; the usual status with 10 MB of JSON."""
    NO_OPERATION = "no_operation"
    """Does the work; the usual status with `{}`."""
    NULL_OPERATION = "null_operation"
    """Does the work; the usual status with `{"operation": null}`."""
    FOREIGN_POLL_URL = "foreign_poll_url"
    """Does the work; `pollUrl` lies on `SandboxConfig.foreign_origin`."""
    REDIRECT = "redirect"
    """Answers 307 to `SandboxConfig.foreign_origin`."""
    HTML_403 = "html_403"
    """Answers 403 with a filter's HTML page."""
    SUCCESS_FALSE = "success_false"
    """Answers 200 with `{"success": false, ...}`."""
    CONFLICT = "conflict"
    """Answers 409 `vps_not_ready`."""


_REFUSES: Final = frozenset({
    Fault.ERROR_500, Fault.HTML_502, Fault.ERROR_503, Fault.ERROR_504, Fault.REDIRECT,
    Fault.HTML_403, Fault.SUCCESS_FALSE, Fault.CONFLICT,
    Fault.DISCONNECT_BEFORE, Fault.STALL_BEFORE,
})  # fmt: skip
_FIXED: Final = {
    Fault.LOST_REPLY: True, Fault.STALL: True, Fault.FORGOTTEN_JOB: True,
    Fault.FOREIGN_POLL_URL: True, Fault.DISCONNECT_BEFORE: False, Fault.STALL_BEFORE: False,
}  # fmt: skip


@frozen
class FaultRule(Rule):
    """Which requests a fault hits.

    Attributes:
        fault: What goes wrong.
        on: Which requests: one action, `action` for any of the five, `poll`, `list`, `get`,
            `status`, `details`, or `any`.
        rate: Share of the matching requests, from 0 to 1.
        skip: How many matching requests pass before it hits one; with `skip=1, times=1` it hits
            the second.
        times: How many requests it hits at most; None for no bound.
        each_vps: Whether `skip` and `times` count for each VPS by itself.
        vps_ids: Only requests about these VPSes (polls of their jobs included); None for all.
        acts: Whether the work is done; None for what the fault's own description says, which for
            errors is no.
        retry_after: Seconds to put into a `Retry-After` header of the answer; None for no header.

    Example:
        >>> FaultRule(Fault.HTML_502, on="reset", times=1, acts=True).does_work
        True
    """

    fault: Fault = field(converter=Fault)
    on: Target = field(default="reset", kw_only=True, validator=one_of(get_args(Target)))
    acts: bool | None = field(default=None, kw_only=True)
    retry_after: float | None = field(default=None, kw_only=True, validator=maybe(at_least(0)))

    def __attrs_post_init__(self) -> None:
        if self.acts is not None and _FIXED.get(self.fault, self.acts) != self.acts:
            message = f"acts={self.acts} contradicts what {self.fault} means"
            raise ValueError(message)

    @property
    def does_work(self) -> bool:
        """Whether the request does its work although the answer goes wrong."""
        return self.fault not in _REFUSES if self.acts is None else self.acts


def as_rules(
    values: Iterable[FaultRule | Mapping[str, Any]],
) -> tuple[FaultRule, ...]:
    """Rules, or their dictionaries made by `FaultRule.to_dict`, as rules."""
    return tuple(v if isinstance(v, FaultRule) else FaultRule(**v) for v in values)
