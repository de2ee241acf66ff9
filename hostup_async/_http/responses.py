"""Understands a response: a value, or the error that says why there is none. Never raises."""

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

from hostup_async import _clock
from hostup_async._errors import HostUpError, UnreadableReply
from hostup_async._http.exchange import Response
from hostup_async._http.problems import is_failure_envelope, make_api_error, read_problem
from hostup_async._http.retry import RequestOutcome, classify
from hostup_async._http.wire import SUCCESSES, is_object, looks_like_html, read_json, short_text
from hostup_async._ratelimit.headers import RateLimitReading, read_rate_limit

T = TypeVar("T")
Read = Callable[[Any], T]
"""Makes a value of a response's JSON; it raises `UnreadableReply` and nothing else."""


class ParsedResponse(NamedTuple, Generic[T]):
    """A response understood.

    Attributes:
        outcome: Whether the request was answered, refused, limited, or is in doubt.
        result: The value where the outcome is ANSWERED, the error otherwise.
        reading: What the response says about the rate limit.
        request_id: The API's id of the request, None where the response names none.
    """

    outcome: RequestOutcome
    result: T | HostUpError
    reading: RateLimitReading
    request_id: str | None = None


def parse_response(what: str, response: Response, read: Read[T]) -> ParsedResponse[T]:
    """Tell a success from a refusal and from a response that leaves the outcome in doubt.

    The status counts, even where the body was cut off or is not JSON.

    Args:
        what: The request, for error messages.
        response: The response as it came.
        read: Makes the value of a success.
    """
    if response.status not in SUCCESSES:
        return _refused(what, response, _json_or_none(response.body))
    reading = _read_limit(response)
    try:
        body = _whole_json(response)
        if not is_failure_envelope(body):
            request_id = short_text(body.get("requestId")) if is_object(body) else None
            return ParsedResponse(RequestOutcome.ANSWERED, read(body), reading, request_id)
    except UnreadableReply as error:
        return ParsedResponse(RequestOutcome.IN_DOUBT, error, reading)
    return _refused(what, response, body)


def _refused(what: str, response: Response, body: object) -> ParsedResponse[Any]:
    reading = _read_limit(response, body)
    problem = read_problem(response.status, body, reading.retry_after)
    error = make_api_error(what, problem, is_html=looks_like_html(response.body))
    return ParsedResponse(classify(problem), error, reading, problem.request_id)


def _read_limit(response: Response, body: object = None) -> RateLimitReading:
    return read_rate_limit(response.headers, body, now=_clock.wall())


def _whole_json(response: Response) -> Any:  # noqa: ANN401 - JSON is anything
    if response.flaw is not None:
        msg = f"The API's response cannot be read: {response.flaw}."
        raise UnreadableReply(msg)
    return read_json(response.body)


def _json_or_none(body: bytes) -> Any:  # noqa: ANN401 - JSON is anything
    try:
        return read_json(body)
    except UnreadableReply:
        return None
