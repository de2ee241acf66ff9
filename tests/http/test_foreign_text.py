"""Texts of the API's that are cut, escaped or encoded: read alike with any parser."""

import json
import logging
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tools import RawServer, client_of, http

from hostup_async import Client, HostUpError, JobFailed, UnreadableReply
from hostup_async._config import ApiKey
from hostup_async._http import wire

KEY = 'sk_test/0123"45-\\6789'
HALF = "\\ud83d"


@pytest.fixture(params=["orjson", "json"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Each of the two parsers that `wire` may have."""
    if request.param == "orjson":
        pytest.importorskip("orjson")
    else:
        monkeypatch.setattr(wire, "_loads", wire._loads_escaped)
    return request.param


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize(
    ("text", "read"),
    [
        (rf'"disk {HALF}"', "disk \ufffd"),
        (rf'"{HALF} disk"', "\ufffd disk"),
        (r'"\uDE00\uD83D"', "\ufffd\ufffd"),
        (r'"\ud83d\ude00"', "\U0001f600"),
        (r'"\\ud83d"', "\\ud83d"),
        (rf'{{"{HALF}": ["{HALF}", 1, null]}}', {"\ufffd": ["\ufffd", 1, None]}),
    ],
)
def test_half_a_surrogate_pair_is_a_replacement_character(text: str, read: object) -> None:
    assert wire.read_json(text.encode()) == read


@given(st.text(st.characters(categories=["Cs", "L"])))
def test_any_escaped_text_is_read_as_one_that_can_be_written(text: str) -> None:
    [read] = wire.read_json(json.dumps([text]).encode())
    read.encode()


@pytest.mark.usefixtures("parser")
async def test_a_failed_job_with_half_an_emoji_has_failed() -> None:
    failed = f'{{"data": {{"jobId": "j1", "isFailed": true, "failedReason": "disk {HALF}"}}}}'
    async with RawServer(http(failed.encode())) as server, client_of(server.url) as client:
        with pytest.raises(JobFailed, match="disk"):
            await client.operation("/api/jobs/j1").wait(timeout=5)


@pytest.mark.parametrize("body", [b'"webb\xf6"', b'{"a": "\xff"}'])
@pytest.mark.usefixtures("parser")
def test_bytes_that_are_not_utf8_are_not_dropped(body: bytes) -> None:
    with pytest.raises(UnreadableReply):
        wire.read_json(body)


def test_without_orjson_the_module_reads_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "orjson", None)
    module = ModuleType("without")
    exec(compile(source(), "wire", "exec"), module.__dict__)  # noqa: S102 - our own source
    assert module.read_json(b'["\\ud83d"]') == ["\ufffd"]
    assert module.read_json(b'{"a": 1}') == {"a": 1}


def source() -> str:
    assert wire.__file__ is not None
    return Path(wire.__file__).read_text()


@pytest.mark.parametrize(
    "poll_url",
    [
        "/api/jobs/a%2Fb%7Ec%41?x=%41+%20b&y=%e5",
        "/api/v2/vps/x/agent/exec?pid=4242",
        "/api/jobs/a;b=c,d",
    ],
)
async def test_a_poll_url_is_followed_as_it_came(poll_url: str) -> None:
    done = http(b'{"operation": {"jobId": "j", "status": "completed"}}')
    async with RawServer(done, done) as server, client_of(server.url) as client:
        await client.operation(poll_url).poll()
        await client.operation(server.url + poll_url).poll()
        assert [line.split(" ")[1] for line in server.requests] == [poll_url] * 2


@pytest.mark.parametrize("poll_url", ["/api/jobs/å", "/api/jobs/a b", "/api/jobs/a\r\nX: y"])
async def test_a_poll_url_that_is_not_one_is_quoted(poll_url: str) -> None:
    done = http(b'{"operation": {"jobId": "j", "status": "completed"}}')
    async with RawServer(done) as server, client_of(server.url) as client:
        await client.operation(poll_url).poll()
        [line] = server.requests
        assert line.isascii()
        assert line.count(" ") == 2


def escaped(text: str, how: str) -> str:
    return "".join(
        {"plain": json.dumps(c)[1:-1], "low": f"\\u{ord(c):04x}", "high": f"\\u{ord(c):04X}"}[how]
        for c in text
    )


@pytest.mark.parametrize("how", ["plain", "low", "high"])
async def test_a_key_in_json_escapes_is_in_no_message(
    how: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    body = f'{{"detail": "bad header Bearer {escaped(KEY, how)}", "code": "invalid_request"}}'
    answer = http(body.encode(), "400 X")
    async with RawServer(answer) as server, Client(KEY, base_url=server.url) as client:
        with pytest.raises(HostUpError, match="bad header") as caught:
            await client.vps.reset("vps_1")
    report = "".join(traceback.format_exception(caught.value)) + repr(caught.value.raw)
    assert KEY not in report + caplog.text
    assert caught.value.raw is not None
    assert KEY not in caught.value.raw["detail"]


@pytest.mark.parametrize("key", ["000000000u", "u0075u0075", "uuuuuuuu"])
@pytest.mark.parametrize("how", ["plain", "low", "high"])
def test_a_key_that_looks_like_an_escape_is_hidden_whole(key: str, how: str) -> None:
    body = f'"\\n{escaped(key, how)}"'.encode()
    assert ApiKey(key).redact_bytes(body) == b'"\\n<ApiKey>"'


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8), st.data())
def test_no_mix_of_escapes_hides_a_key(text: str, data: st.DataObject) -> None:
    ways = data.draw(st.lists(st.sampled_from(["plain", "low", "high"]), min_size=len(text)))
    body = "".join(escaped(c, way) for c, way in zip(text, ways, strict=False)).encode()
    assert ApiKey(text).redact_bytes(b'"' + body + b'"') == b'"<ApiKey>"'
