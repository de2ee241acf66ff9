"""The log: who writes it, what it says, when it shows, and that the key is never in it."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest
from tools import QUICK, Connect, RawServer, StartSandbox, child_environment, client_of, http

from hostup_async import Client, ConfigurationError, Event, HostUpError, RequestDone
from hostup_async.sandbox import Durations

KEY = "sk_live/0123+abc=def"
NAMES = {"hostup.http", "hostup.fleet", "hostup.events"}
# Prints whatever reaches standard error of its own accord.
SCRIPT = """
import asyncio, logging, sys
from hostup_async import Client, Budget
{setup}
async def main():
    async with Client("sk_test_1", base_url="http://127.0.0.1:9", budget=Budget(),
                      timeouts=__import__("hostup_async").Timeouts(call=0.01)) as client:
        {later}
        try:
            await client.vps.get("vps_1")
        except Exception as error:
            print(type(error).__name__)
asyncio.run(main())
"""


def run(word: str | None, setup: str = "", later: str = "pass") -> str:
    environment = child_environment()
    environment.pop("HOSTUP_LOG", None)
    if word is not None:
        environment["HOSTUP_LOG"] = word
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(setup=setup, later=later)],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    assert done.stdout == "NotSent\n"
    return done.stderr


def test_a_script_sees_its_requests_where_the_variable_asks_for_it() -> None:
    lines = run("debug").splitlines()
    assert lines
    assert all(" DEBUG hostup.http: " in line for line in lines)
    assert "GET /api/v2/vps/vps_1: no response in 0.0" in lines[0]
    assert run(None) == ""
    assert run("warning") == ""


def test_a_log_that_the_program_has_set_up_gets_the_records_alone() -> None:
    setup = "logging.basicConfig(format='mine %(message)s')"
    for lines in (run("debug", setup), run("debug", later=setup)):  # before us, or after
        assert lines.startswith("mine GET /api/v2/vps/vps_1")
        assert "hostup.http" not in lines
    level = "logging.basicConfig(); logging.getLogger('hostup').setLevel('ERROR')"
    assert run("debug", level) == ""


def test_another_word_in_the_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOSTUP_LOG", "loud")
    with pytest.raises(ConfigurationError, match="HOSTUP_LOG must be one of debug, info"):
        Client("sk_test_1")


async def test_every_request_has_a_line_and_every_run_three(
    start_sandbox: StartSandbox, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "hostup")
    sandbox = await start_sandbox(vps=2, jobs=Durations(median=0.05))
    requests: list[Event] = []
    client = await connect(sandbox, jobs_take=0.05, on_event=requests.append)
    report = await client.fleet.reset(sandbox.vps_ids)
    lines = [one.getMessage() for one in caplog.records if one.name == "hostup.http"]
    done = [one for one in requests if isinstance(one, RequestDone)]
    assert [line.partition(" in ")[0] for line in lines] == [
        f"{one.method} {one.path}: {one.status}" for one in done
    ]
    runs = [one.getMessage() for one in caplog.records if one.name == "hostup.fleet"]
    assert runs[0] == f"Run {report.run_id} begins: reset of 2 VPSes"
    assert runs[-1].endswith("2 completed")


def test_the_names_of_the_loggers_are_those_that_are_documented() -> None:
    root = Path(__file__).parents[2]
    written = {
        line.partition('getLogger("')[2].partition('"')[0]
        for path in (root / "hostup_async").rglob("*.py")
        for line in path.read_text().splitlines()
        if "getLogger(" in line
    }
    assert NAMES <= written <= NAMES | {"hostup", ""}
    page = (root / "docs/events.md").read_text()
    assert all(f"`{name}`" in page for name in NAMES)


async def test_the_key_is_in_no_log_and_no_event(caplog: pytest.LogCaptureFixture) -> None:
    """A server that echoes the key wherever it can: headers, body, escaped, ids, poll URL."""
    caplog.set_level(logging.DEBUG)
    escaped = "".join(f"\\u{ord(one):04x}" for one in KEY)
    echo = f'{{"detail": "{KEY}", "code": "{KEY}", "title": "{escaped}", "requestId": "{KEY}"}}'
    headers = (f"X-Request-Id: {KEY}", f"Retry-After: {KEY}", f"Server: {KEY}")
    job = f'{{"operation": {{"jobId": "{KEY}", "pollUrl": "/api/jobs/{KEY}"}}}}'
    answers = [
        http(echo.encode(), "503 Error", *headers),
        http(echo.encode(), "401 Error", *headers),
        http(job.encode(), "202 Accepted", *headers),
        http(b"<html>" + KEY.encode(), "502 Error", *headers),
    ]
    events: list[Event] = []
    texts: list[str] = []
    async with (
        RawServer(*answers) as server,
        client_of(server.url, api_key=KEY, on_event=events.append, timeouts=QUICK) as client,
    ):
        for call in (client.vps.get("vps_1"), client.vps.reset("vps_1"), client.vps.reset("vps_2")):
            try:
                texts.append(repr(await call))
            except HostUpError as error:
                texts.append(f"{error!r} {error.problem!r}")
        texts += [repr(client), repr(client.vps), repr(client.fleet), repr(client.budget)]
    assert len(events) >= 4
    assert len(caplog.records) >= 4
    texts += [caplog.text, repr(events), repr([event.to_dict() for event in events])]
    assert not [text for text in texts if KEY in text or escaped in text]


@pytest.mark.parametrize("quoted", [False, True])
async def test_the_key_in_the_place_of_an_id_is_not_sent(
    caplog: pytest.LogCaptureFixture, *, quoted: bool
) -> None:
    caplog.set_level(logging.DEBUG)
    key = "sk_live_0123456789+=" if quoted else "sk_live_0123456789"
    events: list[Event] = []
    async with (
        RawServer() as server,
        client_of(server.url, api_key=key, on_event=events.append) as client,
    ):
        for call in (
            lambda: client.vps.reset(key),
            lambda: client.vps.get(f"vps_{key}"),
            lambda: anext(client.vps.list(name=key)),
        ):
            with pytest.raises(ConfigurationError, match="The API key stands where") as caught:
                await call()
            assert key not in str(caught.value)
        with pytest.raises(ConfigurationError, match="The API key stands where"):
            client.operation(f"/api/jobs/{key}")
    assert server.requests == []
    assert events == []
    assert key not in caplog.text
