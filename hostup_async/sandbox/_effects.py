"""What each fault makes of an answer."""

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
    """What a fault may need to know of the request it strikes."""

    config: SandboxConfig
    errors: ErrorWriter
    fleet: Fleet
    path: str
    job_id: str | None
    now: float


Effect: TypeAlias = Callable[[Reply, FaultContext], Reply]


def distort(rule: FaultRule, reply: Reply, scene: FaultContext) -> Reply:
    """The answer that a fault leaves."""
    struck = _EFFECTS[rule.fault](reply, scene)
    if rule.retry_after is None:
        return struck
    return evolve(struck, headers={**struck.headers, "Retry-After": f"{rule.retry_after:g}"})


def _delivered(delivery: Delivery) -> Effect:
    def effect(reply: Reply, _scene: FaultContext) -> Reply:
        return evolve(reply, delivery=delivery)

    return effect


def _refused(code: Code) -> Effect:
    def effect(_reply: Reply, scene: FaultContext) -> Reply:
        return scene.errors.write(ErrorReply(code), scene.path, scene.now)

    return effect


def _html(title: bytes, status: int | None = None) -> Effect:
    def effect(reply: Reply, _scene: FaultContext) -> Reply:
        return Reply(status or reply.status, _PAGE % (title, title), "text/html")

    return effect


def _body(data: Json | bytes, status: int | None = None) -> Effect:
    def effect(reply: Reply, _scene: FaultContext) -> Reply:
        return Reply(status or reply.status, data)

    return effect


def _cut(reply: Reply, _scene: FaultContext) -> Reply:
    return evolve(reply, data=reply.body[: len(reply.body) // 2])


def _huge(reply: Reply, _scene: FaultContext) -> Reply:
    return Reply(reply.status, {"padding": "x" * _HUGE})


def _redirected(_reply: Reply, scene: FaultContext) -> Reply:
    return Reply(307, headers={"Location": scene.config.foreign_origin + scene.path})


def _unsuccessful(_reply: Reply, scene: FaultContext) -> Reply:
    error = scene.errors.write(ErrorReply(Code.INTERNAL_ERROR), scene.path, scene.now).data
    told = {} if isinstance(error, bytes) else {k: error[k] for k in ("timestamp", "requestId")}
    return Reply(200, {"success": False, "error": "The action could not be performed.", **told})


def _forgotten(reply: Reply, scene: FaultContext) -> Reply:
    if scene.job_id is not None:
        scene.fleet.forget(scene.job_id)
        return scene.errors.write(ErrorReply(Code.NOT_FOUND), scene.path, scene.now)
    scene.fleet.forget(_operation(reply).get("jobId", ""))
    return reply


def _foreign(reply: Reply, scene: FaultContext) -> Reply:
    operation = _operation(reply)
    if "pollUrl" not in operation:
        return reply
    url = scene.config.foreign_origin + operation["pollUrl"]
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
