import json

import pytest
from sandbox_tools import EPOCH, Desk, Json

from hostup_async.sandbox import Limit
from hostup_async.sandbox._replies import Reply


def body(reply: Reply) -> Json:
    return json.loads(reply.body)


@pytest.mark.parametrize("key", [None, "sk_other"])
def test_without_the_key(key: str | None) -> None:
    desk = Desk(limit=Limit(requests=1, seconds=60))
    for _ in range(2):
        reply = desk.call("GET", "/api/v2/vps", key=key)
        assert (reply.status, body(reply)["code"]) == (401, "unauthorized")
    assert desk.api.books().foreign == 2


def test_scopes() -> None:
    readers, actors = Desk(scopes=["read:vm"]), Desk(scopes=["power:vm"])
    assert body(readers.act())["code"] == "forbidden"
    assert readers.call("GET", "/api/v2/vps").status == 200
    assert actors.call("GET", f"/api/v2/vps/{actors.ids[0]}/status").status == 403
    assert actors.call("GET", actors.accepted()["pollUrl"]).status == 200


def test_unknown_things() -> None:
    desk = Desk()
    paths = ["/api/v2/vps/vps_x", "/api/v2/vps/vps_x/status", "/api/jobs/x", "/", "/api/v2/vps/a/b"]
    codes = [body(desk.call("GET", path))["code"] for path in paths]
    assert codes == ["vps_not_found", "vps_not_found", "not_found", "not_found", "not_found"]
    assert body(desk.call("POST", "/api/v2/vps/vps_x/actions/reset"))["code"] == "vps_not_found"
    assert desk.call("POST", f"/api/v2/vps/{desk.ids[0]}/actions/melt").status == 404
    assert desk.call("DELETE", "/api/v2/vps").status == 404


def test_a_problem_to_the_letter() -> None:
    problem = body(Desk().call("GET", "/api/v2/vps/vps_x", key="bad"))
    assert problem == {
        "type": "https://developer.hostup.se/errors/unauthorized",
        "title": "Unauthorized",
        "status": 401,
        "detail": "Authentication is required.",
        "code": "unauthorized",
        "instance": "/api/v2/vps/vps_x",
        "requestId": problem["requestId"],
        "timestamp": "2027-01-15T08:00:00.000Z",
    }
    assert len(problem["requestId"]) == 30


def test_an_old_error() -> None:
    error = body(Desk(error_shape="old").call("GET", "/api/v2/vps/vps_x"))
    assert error.keys() == {"error", "message", "code", "timestamp", "requestId"}
    assert error["code"] == "VPS_NOT_FOUND"


@pytest.mark.parametrize(
    ("action", "content", "pointers"),
    [
        ("reset", b"{}", [""]),
        ("restart", b"nonsense", [""]),
        ("restart", b"[]", [""]),
        ("restart", b'{"force": "yes"}', ["/force"]),
        ("restart", b'{"a/b": 1, "c~d": 2, "force": true}', ["/a~1b", "/c~0d"]),
    ],
)
def test_bodies_are_validated(action: str, content: bytes, pointers: list[str]) -> None:
    desk = Desk()
    problem = body(desk.act(0, action, content))
    assert (problem["status"], problem["code"]) == (400, "invalid_request")
    assert [error["pointer"] for error in problem["errors"]] == pointers
    assert desk.api.books().accepted == {}


@pytest.mark.parametrize("content", [b"", b"{}", b'{"force": true}'])
def test_restart_takes_force(content: bytes) -> None:
    assert Desk().act(0, "restart", content).status == 202


def test_a_429_to_the_letter() -> None:
    desk = Desk(limit=Limit(requests=2, seconds=60))
    assert not desk.call("GET", "/api/v2/vps").headers.keys() & {"X-RateLimit-Limit", "Retry-After"}
    desk.advance(10.5)
    desk.accepted()
    reply = desk.act(1)
    assert (reply.status, reply.media) == (429, "application/problem+json")
    assert body(reply)["code"] == "rate_limit_exceeded"
    assert body(reply)["title"] == "Too many requests"
    headers = dict(reply.headers)
    assert headers.pop("Date") == "Fri, 15 Jan 2027 08:00:10 GMT"
    assert headers == {
        "Retry-After": "50",
        "X-RateLimit-Limit": "2",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": "2027-01-15T08:01:00.000Z",
    }
    books = desk.api.books()
    assert (books.refused, books.refused_at) == (1, (10.5,))
    assert desk.ids[1] not in books.accepted


@pytest.mark.parametrize(
    ("written", "reset"),
    [
        ("iso", "2027-01-15T08:01:00.000Z"),
        ("epoch", f"{EPOCH + 60:.0f}"),
        ("epoch_ms", f"{EPOCH + 60:.0f}000"),
        ("delta", "60"),
    ],
)
def test_reset_formats_and_headers_on_success(written: str, reset: str) -> None:
    desk = Desk(limit=Limit(requests=2, seconds=60), headers_on="always", reset_format=written)
    headers = desk.call("GET", "/api/v2/vps").headers
    assert headers["X-RateLimit-Reset"] == reset
    assert headers["X-RateLimit-Remaining"] == "1"
    assert "Retry-After" not in headers


def test_headers_can_be_missing_from_a_429() -> None:
    limit = Limit(requests=1, seconds=60)
    desk = Desk(limit=limit, headers_on="never", retry_after=False, rate_limit_code="rate_limited")
    desk.call("GET", "/api/v2/vps")
    reply = desk.call("GET", "/api/v2/vps")
    assert reply.headers.keys() == {"Date"}
    assert body(reply)["code"] == "rate_limited"


def test_the_old_429() -> None:
    desk = Desk(limit=Limit(requests=1, seconds=60), error_shape="old")
    desk.call("GET", "/api/v2/vps")
    told = body(desk.call("GET", "/api/v2/vps"))
    assert told.keys() == {"error", "message", "timestamp", "requestId", "retryAfter"}
    assert told["retryAfter"] == "2027-01-15T08:01:00.000Z"


def test_a_skewed_clock_is_wrong_in_every_place() -> None:
    desk = Desk(limit=Limit(requests=1, seconds=60), clock_skew=3600)
    desk.call("GET", "/api/v2/vps")
    reply = desk.call("GET", "/api/v2/vps")
    assert reply.headers["Date"] == "Fri, 15 Jan 2027 09:00:00 GMT"
    assert reply.headers["X-RateLimit-Reset"] == "2027-01-15T09:01:00.000Z"
    assert body(reply)["timestamp"] == "2027-01-15T09:00:00.000Z"


def test_clock_windows_follow_wall_time() -> None:
    desk = Desk(limit=Limit(requests=1, seconds=60, kind="clock"))
    desk.advance(59)
    assert desk.call("GET", "/api/v2/vps").status == 200
    assert desk.call("GET", "/api/v2/vps").headers["Retry-After"] == "1"
    desk.advance(1)
    assert desk.call("GET", "/api/v2/vps").status == 200
