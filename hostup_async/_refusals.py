"""From a problem to an error: which class, and what the caller should do about it."""

from typing import Final

from hostup_async._answers import meant_status
from hostup_async._errors import (
    ApiError,
    Conflict,
    Forbidden,
    InvalidRequest,
    NotFound,
    RateLimited,
    ServerError,
    Unauthorized,
)
from hostup_async._models import Problem

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
    409: "The VPS is not in a state for this; look at `client.vps.gates(id)` and try later.",
    429: "Wait `retry_after` seconds; the client's budget does so by itself up to its `max_wait`.",
    500: "Try again later; if it persists, give HostUp's support the request id.",
}
_ADVICE_BY_CODE: Final = {
    "account_inactive": "The account behind the key is not active: settle that with HostUp.",
    "cooldown_active": "The last action on this VPS is too recent: wait, then look at its status.",
}
_FILTERED: Final = (
    "A filter in front of the API refused the client; this says nothing about the key's scopes. "
    "Try from another address, or ask HostUp's support."
)
_OTHERWISE: Final = "See the API's documentation for this answer."
_SERVER_ERROR: Final = 500


def make_refusal(what: str, problem: Problem, *, is_html: bool = False) -> ApiError:
    """The error for an answer that says no; `what` names the request."""
    status = min(meant_status(problem), _SERVER_ERROR)
    cls = _CLASSES.get(status, ApiError)
    advice = _ADVICE_BY_CODE.get(problem.code or "") or _ADVICE.get(status, _OTHERWISE)
    if cls is Forbidden and is_html:
        advice = _FILTERED
    return cls(f"{what}: {describe(problem)}. {advice}", problem=problem)


def describe(problem: Problem) -> str:
    """A problem in one line: status, code, detail, and the request id that support asks for."""
    words = [str(problem.status), problem.code]
    said = (problem.detail or problem.title or "").rstrip(".")
    request = f" (request {problem.request_id})" if problem.request_id else ""
    return " ".join(filter(None, words)) + (f": {said}" if said else "") + request
