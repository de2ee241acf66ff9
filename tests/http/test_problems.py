import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostup_async import (
    ApiError,
    Conflict,
    FieldError,
    Forbidden,
    InvalidRequest,
    NotFound,
    Problem,
    RateLimited,
    ServerError,
    Unauthorized,
)
from hostup_async._http.problems import describe, effective_status, make_api_error, read_problem
from hostup_async._text import clean

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)
STATUSES = st.integers(100, 599)

INVALID_REQUEST = """
{
  "type": "https://developer.hostup.se/errors/invalid_request",
  "title": "Invalid request",
  "status": 400,
  "detail": "The request body failed validation.",
  "code": "invalid_request",
  "instance": "/api/v2/resource",
  "requestId": "req_01hxa3b4c5d6e7f8g9h0j1k2m3",
  "timestamp": "2026-04-27T12:34:56.000Z",
  "errors": [
    {
      "pointer": "/items/0/domainName",
      "detail": "`domainName` is required.",
      "code": "invalid_request"
    }
  ]
}
"""
UNAUTHORIZED = """
{
  "type": "https://developer.hostup.se/errors/unauthorized",
  "title": "Unauthorized",
  "status": 401,
  "detail": "Authentication is required.",
  "code": "unauthorized",
  "instance": "/api/v2/resource",
  "requestId": "req_01hxa3b4c5d6e7f8g9h0j1k2m3",
  "timestamp": "2026-04-27T12:34:56.000Z"
}
"""
FORBIDDEN = """
{
  "type": "https://developer.hostup.se/errors/forbidden",
  "title": "Forbidden",
  "status": 403,
  "detail": "The caller lacks a required scope or does not own the resource.",
  "code": "forbidden",
  "instance": "/api/v2/resource",
  "requestId": "req_01hxa3b4c5d6e7f8g9h0j1k2m3",
  "timestamp": "2026-04-27T12:34:56.000Z"
}
"""
NOT_FOUND = """
{
  "type": "https://developer.hostup.se/errors/not_found",
  "title": "Not found",
  "status": 404,
  "detail": "The requested resource could not be found.",
  "code": "not_found",
  "instance": "/api/v2/resource",
  "requestId": "req_01hxa3b4c5d6e7f8g9h0j1k2m3",
  "timestamp": "2026-04-27T12:34:56.000Z"
}
"""
RATE_LIMITED = """
{
  "type": "https://developer.hostup.se/errors/rate_limit_exceeded",
  "title": "Too many requests",
  "status": 429,
  "detail": "Too many requests. Retry after the limit resets.",
  "code": "rate_limit_exceeded",
  "instance": "/api/v2/resource",
  "requestId": "req_01hxa3b4c5d6e7f8g9h0j1k2m3",
  "timestamp": "2026-04-27T12:34:56.000Z"
}
"""
INTERNAL_ERROR = """
{
  "type": "https://developer.hostup.se/errors/internal_error",
  "title": "Internal server error",
  "status": 500,
  "detail": "An unexpected error occurred. Retry later or contact support if the issue persists.",
  "code": "internal_error",
  "instance": "/api/v2/resource",
  "requestId": "req_01hxa3b4c5d6e7f8g9h0j1k2m3",
  "timestamp": "2026-04-27T12:34:56.000Z"
}
"""
PUBLISHED: list[tuple[str, type[ApiError]]] = [
    (INVALID_REQUEST, InvalidRequest),
    (UNAUTHORIZED, Unauthorized),
    (FORBIDDEN, Forbidden),
    (NOT_FOUND, NotFound),
    (RATE_LIMITED, RateLimited),
    (INTERNAL_ERROR, ServerError),
]


@pytest.mark.parametrize(("text", "cls"), PUBLISHED)
def test_the_published_examples_are_read_whole(text: str, cls: type[ApiError]) -> None:
    body = json.loads(text)
    error = make_api_error("POST /reset", read_problem(body["status"], body, 2.5))
    assert type(error) is cls
    for name in ("status", "code", "title", "detail", "instance"):
        assert getattr(error, name) == body[name]
    assert error.request_id == "req_01hxa3b4c5d6e7f8g9h0j1k2m3"
    assert error.retry_after == 2.5
    assert error.raw == body
    assert str(error).startswith(f"{body['status']} {body['code']}: ")
    assert str(error).endswith(f" (POST /reset, request {body['requestId']})")
    assert body["requestId"] in str(error)


def test_the_published_field_errors_are_read() -> None:
    expected = FieldError("/items/0/domainName", "`domainName` is required.", "invalid_request")
    assert read_problem(400, json.loads(INVALID_REQUEST)).errors == (expected,)


@pytest.mark.parametrize(
    "body",
    [
        {
            "error": "Forbidden",
            "message": "No scope.",
            "code": "FORBIDDEN",
            "timestamp": "2026-04-27T12:34:56.000Z",
            "requestId": "req_1",
        },
        {
            "error": {"message": "No scope.", "code": "FORBIDDEN", "title": "Forbidden"},
            "requestId": "req_1",
        },
    ],
    ids=["flat", "nested"],
)
def test_the_old_generations_errors_are_read(body: dict[str, Any]) -> None:
    problem = read_problem(403, body)
    assert problem == Problem(
        status=403, code="forbidden", title="Forbidden", detail="No scope.", request_id="req_1"
    )


def test_the_raw_problem_is_as_it_came() -> None:
    body = {"error": {"code": "X", "message": "m"}}
    assert read_problem(400, body).raw == body


@pytest.mark.parametrize(
    "body", [None, [], "text", 5, {}, {"error": None}, {"code": {}, "errors": 1}]
)
def test_what_is_no_problem_still_is_one_with_a_status(body: object) -> None:
    assert read_problem(502, body) == Problem(status=502)


@given(STATUSES, JSON)
def test_a_problem_is_read_from_any_json(status: int, body: object) -> None:
    problem = read_problem(status, body)
    assert problem.status == status
    assert describe(problem).startswith(str(status))


@pytest.mark.parametrize(
    ("status", "code", "meant"),
    [
        (403, "rate_limited", 429),
        (503, "rate_limit_exceeded", 503),
        (200, "rate_limited", 429),
        (200, "invalid_request", 400),
        (200, "unauthorized", 401),
        (200, "forbidden", 403),
        (200, "account_inactive", 403),
        (200, "not_found", 404),
        (200, "vps_not_found", 404),
        (202, "vps_not_ready", 409),
        (202, "cooldown_active", 409),
        (200, "internal_error", 500),
        (200, "upstream_failed", 502),
        (200, "upstream_unavailable", 503),
        (200, "brand_new", 200),
        (200, None, 200),
        (409, "upstream_failed", 502),
        (502, "upstream_failed", 502),
        (404, "forbidden", 404),
        (500, None, 500),
    ],
)
def test_a_code_outweighs_a_status_that_says_less(
    status: int, code: str | None, meant: int
) -> None:
    assert effective_status(Problem(status=status, code=code)) == meant


@pytest.mark.parametrize(
    ("status", "code", "cls"),
    [
        (400, None, InvalidRequest),
        (401, None, Unauthorized),
        (403, None, Forbidden),
        (404, None, NotFound),
        (409, None, Conflict),
        (429, None, RateLimited),
        (500, None, ServerError),
        (503, None, ServerError),
        (599, None, ServerError),
        (402, None, ApiError),
        (418, None, ApiError),
        (302, None, ApiError),
        (100, None, ApiError),
        (200, None, ApiError),
        (200, "cooldown_active", Conflict),
        (409, "upstream_failed", ServerError),
        (503, "upstream_failed", ServerError),
        (400, "rate_limited", RateLimited),
    ],
)
def test_each_answer_has_its_class(status: int, code: str | None, cls: type[ApiError]) -> None:
    error = make_api_error("GET /x", Problem(status=status, code=code))
    assert type(error) is cls
    assert error.status == status


@pytest.mark.parametrize(
    ("status", "code", "advice"),
    [
        (400, None, "`errors` names the fields"),
        (401, None, "key is whole"),
        (403, None, "scopes read:vm"),
        (403, "account_inactive", "settle that with HostUp"),
        (404, None, "client.vps.list()"),
        (409, None, "client.vps.gates(id)"),
        (409, "cooldown_active", "too recent"),
        (429, None, "`max_wait`"),
        (502, None, "Try again later"),
        (418, None, "API's documentation"),
    ],
)
def test_each_message_says_what_to_do(status: int, code: str | None, advice: str) -> None:
    assert advice in str(make_api_error("GET /x", Problem(status=status, code=code)))


def test_a_filters_page_is_not_reported_as_a_missing_scope() -> None:
    error = make_api_error("GET /x", Problem(status=403), is_html=True)
    assert type(error) is Forbidden
    assert "filter" in str(error)
    assert "read:vm" not in str(error)


def test_a_page_changes_no_other_advice() -> None:
    problem = Problem(status=502)
    plain, page = (make_api_error("GET /x", problem, is_html=html) for html in (False, True))
    assert str(plain) == str(page)


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem(status=502), "502"),
        (Problem(status=409, code="vps_not_ready"), "409 vps_not_ready"),
        (Problem(status=404, title="Not found", detail="Gone."), "404: Gone"),
        (Problem(status=404, title="Not found"), "404: Not found"),
        (Problem(status=409, code="x", detail="Busy.", request_id="req_1"), "409 x: Busy"),
    ],
)
def test_a_problem_is_described_in_one_line(problem: Problem, text: str) -> None:
    assert describe(problem) == text


def test_a_message_begins_with_the_cause_and_ends_with_the_request() -> None:
    problem = Problem(status=404, code="vps_not_found", request_id="req_1")
    text = str(make_api_error("GET /x", problem))
    assert text.startswith("404 vps_not_found. Check the id")
    assert text.endswith(" (GET /x, request req_1)")
    assert str(make_api_error("GET /x", Problem(status=404))).endswith(" (GET /x)")


NASTY = "\x1b]0;owned\x07\r\n\u202eevil\ud800\x00"


@pytest.mark.parametrize("name", ["title", "detail", "code", "requestId", "error", "message"])
def test_control_characters_never_reach_a_message(name: str) -> None:
    problem = read_problem(400, {name: NASTY})
    text = str(make_api_error("GET /x", problem))
    assert "evil?" in text
    assert text.isprintable()
    assert text.encode()


@given(st.text(st.characters(), max_size=600))
def test_a_cleaned_text_is_printable_short_and_encodable(text: str) -> None:
    short = clean(text)
    assert short == "" or short.isprintable()
    assert len(short) <= 500
    assert short.encode().decode() == short


def test_a_plain_text_is_cleaned_to_itself() -> None:
    assert (
        clean("Återställningen misslyckades: 5 € (日本)")
        == "Återställningen misslyckades: 5 € (日本)"
    )


def test_a_long_detail_is_cut() -> None:
    detail = read_problem(400, {"detail": "x" * 10_000}).detail
    assert detail == "x" * 500
