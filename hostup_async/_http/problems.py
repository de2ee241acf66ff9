"""Reads the API's refusals, in either of their two shapes, and makes errors of them."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

from hostup_async._errors import (
    ApiError,
    Conflict,
    Forbidden,
    InvalidRequest,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    ServerError,
    Unauthorized,
)
from hostup_async._http.jobs import find_job, says_no
from hostup_async._http.wire import (
    SUCCESSES,
    is_object,
    read_field_errors,
    short_text,
    text_or_none,
)
from hostup_async._models import Action, Job, Problem
from hostup_async._text import clean

_CLASSES: Final[dict[int, type[ApiError]]] = {
    400: InvalidRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    429: RateLimited,
    500: ServerError,
}
_ADVICE: Final = {
    400: "Correct the request; `errors` names the fields.",
    401: "Check that the key is whole, not expired, and allowed from this address.",
    403: "The key needs the scopes read:vm and, for power actions, power:vm; "
    "and the VPS must belong to its account.",
    404: "Check the id against `client.vps.list()`.",
    409: "The VPS is not in a state for this; see `client.vps.gates(id)`, and try later.",
    429: "Wait `retry_after` seconds; the client's budget does so by itself up to its `max_wait`.",
    500: "Try again later; if it persists, give HostUp's support the request id.",
}
_ADVICE_BY_CODE: Final = {
    "account_inactive": "The account behind the key is not active: settle that with HostUp.",
    "cooldown_active": "The last action on this VPS is too recent: wait, then check its status.",
}
_FILTERED: Final = (
    "A filter in front of the API refused the client; this says nothing about the key's scopes. "
    "Try from another address, or ask HostUp's support."
)
_REDIRECTED: Final = "The base URL is probably wrong: it must be the API's own origin."
_OTHERWISE: Final = "See the API's documentation for this response."
_SERVER_ERROR: Final = 500
_RATE_LIMIT_CODES: Final = frozenset({"rate_limited", "rate_limit_exceeded"})
_CLIENT_ERRORS: Final = range(400, 500)
# The status that a code stands for, where the HTTP status is 200 and the body says no.
_STATUS_OF_CODE: Final = {
    "invalid_request": 400,
    "unauthorized": 401,
    "account_inactive": 403,
    "forbidden": 403,
    "not_found": 404,
    "vps_not_found": 404,
    "cooldown_active": 409,
    "vps_not_ready": 409,
    **dict.fromkeys(_RATE_LIMIT_CODES, 429),
    "internal_error": 500,
    "upstream_failed": 502,
    "upstream_unavailable": 503,
}
_REDIRECTS: Final = range(300, 400)


def read_problem(status: int, body: object, retry_after: float | None = None) -> Problem:
    """The problem in a body of either error shape, or of neither; never raises."""
    fields = body if is_object(body) else {}
    nested = fields.get("error")
    if is_object(nested):
        fields = {**fields, **nested}
    code = text_or_none(fields.get("code"))
    return Problem(
        status=status,
        code=clean(code).lower() if code else None,
        title=short_text(fields.get("title")) or short_text(fields.get("error")),
        detail=short_text(fields.get("detail")) or short_text(fields.get("message")),
        instance=short_text(fields.get("instance")),
        request_id=short_text(fields.get("requestId")),
        errors=read_field_errors(fields.get("errors")),
        retry_after=retry_after,
        raw=body if is_object(body) else {},
    )


def is_failure_envelope(body: object) -> bool:
    """Whether a 2xx takes itself back: `success: false`, and no job in it."""
    return says_no(body) and not _is_named(find_job(body))


def _is_named(job: Job | None) -> bool:
    return job is not None and bool(job.id or job.poll_url or job.is_final)


def effective_status(problem: Problem) -> int:
    """The status that a problem means: its code outweighs a status that says less.

    A 5xx stays one whatever its code: a gateway in front of the API may have passed the action on.
    `upstream_failed` comes with 409, too, after the host began to carry the action out.
    """
    meant = _STATUS_OF_CODE.get(problem.code or "", problem.status)
    if problem.status in SUCCESSES:
        return meant
    if problem.status in _CLIENT_ERRORS and meant >= HTTPStatus.TOO_MANY_REQUESTS:
        return meant
    return problem.status


def make_api_error(what: str, problem: Problem, *, is_html: bool = False) -> ApiError:
    """The error for a refusal; `what` names the request.

    Its message begins with the cause and the advice, and ends with the request and its id, which
    differ where many VPSes are refused for one reason.
    """
    status = min(effective_status(problem), _SERVER_ERROR)
    cls = _CLASSES.get(status, ApiError)
    otherwise = _REDIRECTED if status in _REDIRECTS else _OTHERWISE
    advice = _ADVICE_BY_CODE.get(problem.code or "") or _ADVICE.get(status, otherwise)
    if cls is Forbidden and is_html:
        advice = _FILTERED
    request = f", request {problem.request_id}" if problem.request_id else ""
    return cls(f"{describe(problem)}. {advice} ({what}{request})", problem=problem)


def make_outcome_unknown(
    why: object,
    *,
    vps_id: str | None,
    action: Action | None,
    sent_at: float | None,
    problem: Problem | None = None,
) -> OutcomeUnknown:
    """The error for an action that was sent, or may have been, and whose outcome is unknown."""
    what = f"the {action} of {vps_id}" if action else "the job"
    when = f" sent at {_moment(sent_at)}" if sent_at else ""
    return OutcomeUnknown(
        f"The outcome of {what}{when} is unknown: {str(why).rstrip('.')}. Do not send it again "
        f"blindly: check client.vps.status({vps_id or '...'!r}), where an uptime shorter than the "
        "time since then shows that it took place.",
        problem=problem,
        vps_id=vps_id,
        action=action,
        sent_at=sent_at,
    )


def _moment(epoch: float) -> str:
    return datetime.fromtimestamp(epoch, UTC).isoformat(timespec="seconds")


def describe(problem: Problem) -> str:
    """A problem in one line: status, code and detail."""
    denied = "with `success: false`" if problem.status in SUCCESSES else None
    words = [str(problem.status), denied, problem.code]
    detail = (problem.detail or problem.title or "").rstrip(".")
    return " ".join(filter(None, words)) + (f": {detail}" if detail else "")
