"""Bugs that were found, each with the test that would have caught it."""

import base64
import io
import json
import traceback
from typing import Any

import pytest
from rich.console import Console
from rich.traceback import Traceback
from tools import client_of

from hostup_async import (
    Budget,
    Client,
    ConfigurationError,
    RateLimit,
    RateLimited,
    Vps,
)
from hostup_async._config import find_base, seconds
from hostup_async._http.jobs import read_job
from hostup_async._http.problems import is_failure_envelope, read_problem
from hostup_async._http.responses import parse_response
from hostup_async._http.retry import RequestOutcome
from hostup_async._http.transport import Response
from hostup_async._http.wire import read_object, read_page
from hostup_async._token import read_token


async def test_a_refund_does_not_forget_a_later_send() -> None:
    clock = [0.0]
    budget = Budget(RateLimit(2, 60), clock=lambda: clock[0])
    limiter = budget._limiter
    first = await limiter.acquire()
    clock[0] = 10.0
    second = await limiter.acquire()
    first.refund()
    second.spend()
    clock[0] = 20.0
    (await limiter.acquire()).spend()
    clock[0] = 60.0
    with pytest.raises(RateLimited):
        await limiter.acquire(max_wait=5)


@pytest.mark.parametrize("value", [None, [], True])
def test_an_id_that_is_none_is_empty(value: object) -> None:
    assert read_object(Vps, {"id": value}).id == ""
    assert read_page({"data": [{"id": value}]})[0][0].id == ""


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


@pytest.mark.parametrize("data", [{"status": "completed"}, {"id": "j", "status": "completed"}])
@pytest.mark.parametrize("word", ["success", "ok"])
def test_the_status_of_the_job_goes_before_that_of_the_answer(
    word: str, data: dict[str, Any]
) -> None:
    assert read_job({"status": word, "data": data}).status == "completed"


def test_a_client_that_was_refused_can_be_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Client("k", base_url="ftp://x")
    report = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert "not configured" in "".join(report.format())


@pytest.mark.parametrize(
    "url",
    ["https://a\\b.com", "https://\x9e.com", "https://\ud800", "https://a b.c", "https://h\x00st"],
)
def test_a_base_that_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        Client("k", base_url=url)


def test_the_default_port_is_no_other_api() -> None:
    assert find_base("https://cloud.hostup.se:443") == find_base("https://cloud.hostup.se:")


def token_of(*fields: object) -> str:
    text = json.dumps(fields).encode()
    return "hostup1_" + base64.urlsafe_b64encode(text).decode().rstrip("=")


def test_a_huge_number_in_a_token_is_damage() -> None:
    with pytest.raises(ConfigurationError, match="damaged"):
        read_token(token_of("https://a", None, None, None, None, 10**400, None), "https://a")


def test_a_token_cannot_write_to_the_terminal() -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_token(token_of("\x1b[31m", None, None, None, None, None, None), "https://a")
    assert str(caught.value).isprintable()


def test_a_huge_duration_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        seconds(10**400)


@pytest.mark.parametrize("key", [b"sk_test", 5, ["x"]])
def test_a_key_that_is_no_text_is_refused(key: Any) -> None:
    with pytest.raises(ConfigurationError, match="string"):
        Client(key)


def test_why_a_job_failed_is_found_beside_success_false() -> None:
    data = {"jobId": "j", "status": "completed"}
    body = {"success": False, "message": "The node refused.", "data": data}
    assert read_job(body).error == "The node refused."


def test_the_raw_problem_is_as_it_came() -> None:
    body = {"error": {"code": "X", "message": "m"}}
    assert read_problem(400, body).raw == body


def test_a_long_key_is_in_no_part_of_richs_locals() -> None:
    key = "0123456789abcdef" * 8
    with pytest.raises(ConfigurationError) as caught:
        Client(key, base_url="ftp://x")
    error, out = caught.value, io.StringIO()
    assert error.__traceback__ is not None
    frames = error.__traceback__.tb_next
    Console(file=out, width=200).print(
        Traceback.from_exception(type(error), error, frames, show_locals=True)
    )
    assert "api_key" in out.getvalue()
    assert key[:16] not in out.getvalue()


async def test_a_job_cannot_write_to_the_terminal() -> None:
    async with client_of("https://api.example") as client:
        operation = client.operation("/api/jobs/j")
        operation.job = read_job({"jobId": "\x1b[31mj", "status": "\x1b]0;x\x07"})
        assert repr(operation).isprintable()
