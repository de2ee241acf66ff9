"""What an answer means: a value, or what happened and the error that says so. Never raises."""

import time
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

from hostup_async._errors import HostUpError, UnreadableReply
from hostup_async._http.problems import is_failure_envelope, make_api_error, read_problem
from hostup_async._http.retry import RequestOutcome, classify
from hostup_async._http.transport import Response
from hostup_async._http.wire import SUCCESSES, looks_like_html, read_json
from hostup_async._ratelimit.headers import RateLimitReading, read_rate_limit

T = TypeVar("T")
Read = Callable[[Any], T]
"""What makes a value of an answer's JSON; it raises `UnreadableReply` and nothing else."""


class ParsedResponse(NamedTuple, Generic[T]):
    """An answer understood: `value` where `error` is None."""

    happened: RequestOutcome
    value: T | None
    error: HostUpError | None
    reading: RateLimitReading


def parse_response(what: str, answer: Response, read: Read[T]) -> ParsedResponse[T]:
    """Tell a success from a refusal and from an answer that leaves the matter in doubt.

    A status that came counts, even where its body did not follow or is not JSON.
    """
    if answer.status not in SUCCESSES:
        return _refused(what, answer, _json_or_none(answer.body))
    try:
        body = _whole_json(answer)
        if not is_failure_envelope(body):
            return ParsedResponse(RequestOutcome.ANSWERED, read(body), None, _read_limit(answer))
    except UnreadableReply as error:
        return ParsedResponse(RequestOutcome.IN_DOUBT, None, error, _read_limit(answer))
    return _refused(what, answer, body)


def _refused(what: str, answer: Response, body: object) -> ParsedResponse[Any]:
    reading = _read_limit(answer, body)
    problem = read_problem(answer.status, body, reading.retry_after)
    error = make_api_error(what, problem, is_html=looks_like_html(answer.body))
    return ParsedResponse(classify(problem), None, error, reading)


def _read_limit(answer: Response, body: object = None) -> RateLimitReading:
    return read_rate_limit(answer.headers, body, now=time.time())


def _whole_json(answer: Response) -> Any:  # noqa: ANN401 - JSON is anything
    if answer.flaw is not None:
        msg = f"The API's answer cannot be read: {answer.flaw}."
        raise UnreadableReply(msg)
    return read_json(answer.body)


def _json_or_none(body: bytes) -> Any:  # noqa: ANN401 - JSON is anything
    try:
        return read_json(body)
    except UnreadableReply:
        return None
