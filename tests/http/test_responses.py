import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tools import examples

from hostup_async import (
    Conflict,
    Forbidden,
    HostUpError,
    Job,
    RateLimited,
    ServerError,
    UnreadableReply,
    Vps,
)
from hostup_async._http.exchange import Response
from hostup_async._http.jobs import read_job
from hostup_async._http.problems import is_failure_envelope
from hostup_async._http.responses import ParsedResponse, parse_response
from hostup_async._http.retry import RequestOutcome
from hostup_async._http.wire import read_object, read_page

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)
MEMBERS = st.sampled_from(
    ["operation", "data", "status", "jobId", "success", "error", "code", "errors", "retryAfter"]
)
ANSWERLIKE = st.recursive(JSON, lambda inner: st.dictionaries(MEMBERS, inner, max_size=6))
BODIES = st.binary() | ANSWERLIKE.map(lambda value: json.dumps(value).encode())
NAMES = st.sampled_from(
    ["Retry-After", "X-RateLimit-Limit", "X-RateLimit-Reset", "X-RateLimit-Remaining", "Date"]
)
VALUES = st.text(max_size=40) | st.sampled_from(
    ["5", "-1", "1e999", "nan", "2026-04-27T12:34:56Z", "Mon, 23 Nov 2026 09:00:30 GMT"]
)
HEADERS = st.dictionaries(NAMES | st.text(max_size=10), VALUES, max_size=6)
FLAWS = st.none() | st.just("it broke off after 3 bytes")
ANSWERS = st.builds(Response, st.integers(100, 599), HEADERS, BODIES, FLAWS)


def read_vps(body: object) -> Vps:
    return read_object(Vps, body)


def reply_to(status: int, body: object = None, flaw: str | None = None) -> ParsedResponse[Job]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return parse_response("GET /jobs/j", Response(status, {}, raw, flaw), read_job)


@given(ANSWERS, st.sampled_from([read_job, read_page, read_vps]))
@settings(max_examples=examples(300), deadline=None)
def test_no_answer_whatsoever_raises(answer: Response, read: Any) -> None:
    reply = parse_response("GET /x", answer, read)
    failed = isinstance(reply.result, HostUpError)
    assert (reply.outcome is RequestOutcome.ANSWERED) is not failed
    assert not failed or str(reply.result).isprintable()


@given(ANSWERS)
@settings(max_examples=examples(300), deadline=None)
def test_only_a_whole_2xx_is_an_answer(answer: Response) -> None:
    reply = parse_response("GET /x", answer, read_job)
    if answer.flaw is not None or not 200 <= answer.status < 300:
        assert reply.outcome is not RequestOutcome.ANSWERED
        assert isinstance(reply.result, HostUpError)


@pytest.mark.parametrize("status", [200, 201, 202, 299])
def test_a_success_has_its_value(status: int) -> None:
    reply = reply_to(status, {"operation": {"jobId": "j", "status": "queued"}})
    assert reply.outcome is RequestOutcome.ANSWERED
    assert isinstance(reply.result, Job)
    assert reply.result.id == "j"


REFUSALS = {400, 401, 403, 404}
TIMEOUTS = {408, 421, 425, 499}


@pytest.mark.parametrize("body", [None, {}, b"<html>", {"detail": "x"}], ids=str)
@pytest.mark.parametrize(
    ("statuses", "outcome"),
    [
        (range(100, 200), RequestOutcome.IN_DOUBT),
        (range(300, 400), RequestOutcome.UNEXPECTED),
        ({*range(400, 500)} - REFUSALS - TIMEOUTS - {429}, RequestOutcome.UNEXPECTED),
        (TIMEOUTS, RequestOutcome.IN_DOUBT),
        ({429}, RequestOutcome.LIMITED),
        (range(500, 600), RequestOutcome.IN_DOUBT),
    ],
    ids=["1xx", "3xx", "4xx", "timeouts", "429", "5xx"],
)
def test_each_class_of_statuses_is_told_apart(
    statuses: set[int], outcome: RequestOutcome, body: object
) -> None:
    assert {reply_to(status, body).outcome for status in statuses} == {outcome}


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (None, RequestOutcome.FILTERED),
        (b"<html>", RequestOutcome.FILTERED),
        ({"detail": "x"}, RequestOutcome.REFUSED),
        ({"code": "not_found"}, RequestOutcome.REFUSED),
    ],
    ids=str,
)
@pytest.mark.parametrize("status", sorted(REFUSALS))
def test_a_refusal_in_the_apis_form_is_told_from_a_gateways(
    status: int, body: object, outcome: RequestOutcome
) -> None:
    assert reply_to(status, body).outcome is outcome


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ({"code": "vps_not_ready"}, RequestOutcome.REFUSED),
        ({"error": "No.", "code": "COOLDOWN_ACTIVE"}, RequestOutcome.REFUSED),
        ({"code": "upstream_failed"}, RequestOutcome.IN_DOUBT),
        ({"detail": "Conflict"}, RequestOutcome.UNEXPECTED),
        (b"<html>", RequestOutcome.UNEXPECTED),
    ],
    ids=str,
)
def test_a_409_refuses_only_with_a_code_that_says_so(body: object, outcome: RequestOutcome) -> None:
    assert reply_to(409, body).outcome is outcome


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", {}, [], None, {"id": "x"}], ids=str)
def test_a_2xx_that_cannot_be_read_leaves_the_matter_in_doubt(body: object) -> None:
    reply = reply_to(200, body)
    assert reply.outcome is RequestOutcome.IN_DOUBT
    assert type(reply.result) is UnreadableReply


def test_a_2xx_with_a_flaw_leaves_the_matter_in_doubt_though_it_reads() -> None:
    reply = reply_to(202, {"operation": {"status": "queued"}}, flaw="it broke off")
    assert reply.outcome is RequestOutcome.IN_DOUBT
    assert "it broke off" in str(reply.result)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(403, RequestOutcome.FILTERED), (429, RequestOutcome.LIMITED), (502, RequestOutcome.IN_DOUBT)],
)
@pytest.mark.parametrize("body", [b"", b'{"code": "forb'])
def test_a_status_that_came_counts_even_if_its_body_did_not(
    status: int, outcome: RequestOutcome, body: bytes
) -> None:
    assert reply_to(status, body, flaw="it broke off").outcome is outcome


@pytest.mark.parametrize(
    ("code", "outcome", "cls"),
    [
        ("COOLDOWN_ACTIVE", RequestOutcome.REFUSED, Conflict),
        ("forbidden", RequestOutcome.REFUSED, Forbidden),
        ("rate_limited", RequestOutcome.TAKEN_BACK, RateLimited),
        ("upstream_failed", RequestOutcome.IN_DOUBT, ServerError),
    ],
)
def test_a_2xx_that_takes_itself_back_is_no_success(
    code: str, outcome: RequestOutcome, cls: type[HostUpError]
) -> None:
    reply = reply_to(200, {"success": False, "error": "No.", "code": code})
    assert reply.outcome is outcome
    assert type(reply.result) is cls


@pytest.mark.parametrize(
    "body",
    [
        {"success": False, "status": "error", "message": "no", "code": "forbidden"},
        {"success": False, "data": {"status": "running"}, "code": "forbidden"},
    ],
)
def test_success_false_is_a_refusal_unless_a_job_failed(body: dict[str, Any]) -> None:
    assert is_failure_envelope(body)
    answer = Response(200, {}, json.dumps(body).encode())
    reply = parse_response("GET /vps/x", answer, lambda json: read_object(Vps, json))
    assert reply.outcome is RequestOutcome.REFUSED


def test_a_failed_job_is_an_answer_and_no_refusal() -> None:
    reply = reply_to(200, {"success": False, "data": {"jobId": "j", "status": "failed"}})
    assert reply.outcome is RequestOutcome.ANSWERED
    assert isinstance(reply.result, Job)
    assert reply.result.status == "failed"


def test_a_filters_403_says_so() -> None:
    assert "filter" in str(reply_to(403, b"<html>Blocked</html>").result)
    assert "filter" not in str(reply_to(403, {"code": "forbidden"}).result)


@pytest.mark.parametrize("status", [200, 403, 429])
def test_the_headers_are_read_whatever_the_status(status: int) -> None:
    headers = {"Retry-After": "7", "X-RateLimit-Limit": "600", "X-RateLimit-Remaining": "0"}
    reading = parse_response("GET /x", Response(status, headers, b"{}"), read_vps).reading
    assert (reading.retry_after, reading.limit, reading.remaining) == (7.0, 600, 0)


def test_a_refusal_carries_its_wait() -> None:
    answer = Response(429, {"Retry-After": "7"}, b"")
    error = parse_response("GET /x", answer, read_vps).result
    assert isinstance(error, HostUpError)
    assert error.retry_after == 7.0


def test_an_old_routes_refusal_names_its_wait_in_the_body() -> None:
    headers = {"Date": "Mon, 27 Apr 2026 12:34:56 GMT"}
    body = b'{"error": "Too many requests", "retryAfter": "2026-04-27T12:35:26.000Z"}'
    reply = parse_response("GET /x", Response(429, headers, body), read_vps)
    assert reply.outcome is RequestOutcome.LIMITED
    assert reply.reading.retry_after == 30.0
