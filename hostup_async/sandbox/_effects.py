"""How each fault changes an answer."""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from attrs import evolve, frozen

from ._config import SandboxConfig
from ._faults import Fault, FaultRule
from ._machines import Fleet
from ._replies import Code, Delivery, ErrorReply, ErrorWriter, Json, Reply

_HUGE: Final = 10_000_000
_PAGE: Final = b"<!doctype html><html><head><title>%b</title></head><body><h1>%b</h1></body></html>"


@frozen
class FaultContext:
    """What a fault may need to know about the request that it hits."""

    config: SandboxConfig
    errors: ErrorWriter
    fleet: Fleet
    path: str
    job_id: str | None
    now: float


Effect: TypeAlias = Callable[[Reply, FaultContext], Reply]


def apply_fault(rule: FaultRule, reply: Reply, context: FaultContext) -> Reply:
    """The answer after the fault has changed it."""
    changed = _EFFECTS[rule.fault](reply, context)
    if rule.retry_after is None:
        return changed
    return evolve(changed, headers={**changed.headers, "Retry-After": f"{rule.retry_after:g}"})


def _delivered(delivery: Delivery) -> Effect:
    def effect(reply: Reply, _context: FaultContext) -> Reply:
        return evolve(reply, delivery=delivery)

    return effect


def _refused(code: Code) -> Effect:
    def effect(_reply: Reply, context: FaultContext) -> Reply:
        return context.errors.write(ErrorReply(code), context.path, context.now)

    return effect


def _html(title: bytes, status: int | None = None) -> Effect:
    def effect(reply: Reply, _context: FaultContext) -> Reply:
        return Reply(status or reply.status, _PAGE % (title, title), "text/html")

    return effect


def _body(data: Json | bytes, status: int | None = None) -> Effect:
    def effect(reply: Reply, _context: FaultContext) -> Reply:
        return Reply(status or reply.status, data)

    return effect


def _cut(reply: Reply, _context: FaultContext) -> Reply:
    return evolve(reply, data=reply.body[: len(reply.body) // 2])


def _huge(reply: Reply, _context: FaultContext) -> Reply:
    return Reply(reply.status, {"padding": "x" * _HUGE})


def _redirected(_reply: Reply, context: FaultContext) -> Reply:
    return Reply(307, headers={"Location": context.config.foreign_origin + context.path})


def _unsuccessful(_reply: Reply, context: FaultContext) -> Reply:
    error = context.errors.write(ErrorReply(Code.INTERNAL_ERROR), context.path, context.now).data
    extra = {} if isinstance(error, bytes) else {k: error[k] for k in ("timestamp", "requestId")}
    return Reply(200, {"success": False, "error": "The action could not be performed.", **extra})


def _forgotten(reply: Reply, context: FaultContext) -> Reply:
    if context.job_id is not None:
        context.fleet.forget(context.job_id)
        return context.errors.write(ErrorReply(Code.NOT_FOUND), context.path, context.now)
    context.fleet.forget(_operation(reply).get("jobId", ""))
    return reply


def _foreign(reply: Reply, context: FaultContext) -> Reply:
    operation = _operation(reply)
    if "pollUrl" not in operation:
        return reply
    url = context.config.foreign_origin + operation["pollUrl"]
    return evolve(reply, data={"operation": {**operation, "pollUrl": url}})


def _operation(reply: Reply) -> Json:
    found: Json = {} if isinstance(reply.data, bytes) else reply.data.get("operation", {})
    return found


_EFFECTS: Final[Mapping[Fault, Effect]] = {
    Fault.LOST_REPLY: _delivered(Delivery.LOST),
    Fault.DISCONNECT_BEFORE: _delivered(Delivery.LOST),
    Fault.PARTIAL_REPLY: _delivered(Delivery.PARTIAL),
    Fault.TRUNCATED_BODY: _delivered(Delivery.TRUNCATED),
    Fault.TRUNCATED_JSON: _cut,
    Fault.ERROR_500: _refused(Code.INTERNAL_ERROR),
    Fault.HTML_502: _html(b"502 Bad Gateway", 502),
    Fault.ERROR_503: _refused(Code.UPSTREAM_UNAVAILABLE),
    Fault.ERROR_504: _refused(Code.UPSTREAM_FAILED),
    Fault.STALL: _delivered(Delivery.STALLED),
    Fault.STALL_BEFORE: _delivered(Delivery.STALLED),
    Fault.FORGOTTEN_JOB: _forgotten,
    Fault.EMPTY_BODY: _body(b""),
    Fault.NO_CONTENT: _body(b"", 204),
    Fault.HTML_BODY: _html(b"Welcome"),
    Fault.HUGE_BODY: _huge,
    Fault.NO_OPERATION: _body({}),
    Fault.NULL_OPERATION: _body({"operation": None}),
    Fault.FOREIGN_POLL_URL: _foreign,
    Fault.REDIRECT: _redirected,
    Fault.HTML_403: _html(b"403 Forbidden", 403),
    Fault.SUCCESS_FALSE: _unsuccessful,
    Fault.CONFLICT: _refused(Code.VPS_NOT_READY),
}
