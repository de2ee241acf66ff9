"""What a run says that it waits for."""

import re
import time
from typing import Any

import pytest
from cli_tools import here, sandbox

from hostup_async import (
    Accepted,
    Action,
    Budget,
    BudgetSnapshot,
    EntryState,
    RequestDone,
    Retrying,
    RunSnapshot,
    WaitReason,
)
from hostup_async.cli._output.format import format_clock
from hostup_async.cli._output.waits import Waits, budget_in_words
from hostup_async.sandbox import Durations, Fault, FaultRule, Limit

pytestmark = pytest.mark.usefixtures("cli_home")
REFUSED = (
    "http://x could not be reached (connection refused; ClientConnectorError: Cannot connect to "
    "host x [Connect call failed ('127.0.0.1', 1)]). Nothing was sent: check the network."
)
UNKNOWN_HOST = (
    "http://x could not be reached (ClientConnectorDNSError: Cannot connect to host x ssl:default "
    "[Name or service not known]). Nothing was sent: check the network."
)


def snapshot(**changes: Any) -> RunSnapshot:
    values: dict[str, Any] = {
        "run_id": "r",
        "total": 10,
        "counts": {EntryState.PLANNED: 8, EntryState.ACCEPTED: 2},
        "in_flight": 2,
        "window": 4,
        "is_held_back": False,
        "seconds": 1.0,
        "seconds_left": None,
        "stopping": None,
        "budget": Budget().snapshot(),
    }
    return RunSnapshot(**{**values, **changes})


def limited(seconds: float) -> BudgetSnapshot:
    return BudgetSnapshot(
        in_flight=0, queued=12, reason=WaitReason.LIMITED, wait=seconds, left=0, limit=60,
        window=60.0, share=1.0, limited=1, is_split=False,
    )  # fmt: skip


def no_response(waits: Waits, at: float, reason: str, method: str = "POST") -> None:
    waits.listen(RequestDone(method, "/x", None, 0.1, at=at))
    waits.listen(Retrying(method, "/x", 1.0, reason, at=at))


@pytest.mark.parametrize(
    ("reason", "cause"),
    [(REFUSED, "connection refused"), (UNKNOWN_HOST, "Name or service not known")],
)
def test_an_api_that_cannot_be_reached(reason: str, cause: str) -> None:
    waits, at = Waits(180.0), time.time()
    no_response(waits, at, reason)
    assert "reached" not in waits.in_words(snapshot())  # one request alone may fail by chance
    no_response(waits, at + 1, reason)
    assert (
        f"the API cannot be reached since {format_clock(at)} ({cause}): trying for 3 min, until "
        f"{format_clock(at + 180)}; nothing was sent"
    ) in waits.in_words(snapshot())
    waits.listen(RequestDone("GET", "/x", 200, 0.1))
    assert "reached" not in waits.in_words(snapshot())


def test_nothing_was_sent_is_said_only_while_it_is_true() -> None:
    waits = Waits(180.0)
    waits.listen(Accepted("vps_1", Action.RESET, "job", "token"))
    for at in (1.0, 2.0):
        no_response(waits, at, REFUSED, "GET")
    assert "cannot be reached" in waits.in_words(snapshot())
    assert "nothing was sent" not in waits.in_words(snapshot())


def test_a_429_is_told_with_the_time_of_day() -> None:
    words = Waits(180.0).in_words(snapshot(budget=limited(61.0), in_flight=0))
    assert re.fullmatch(
        r"waiting: 429: the limit resets in 61\.0 s, 12 queued, until \d\d:\d\d:\d\d", words
    )
    assert budget_in_words(WaitReason.LEARNING, 9.0, "learning") == "learning"


def test_lost_answers_the_canary_and_a_pause_are_told() -> None:
    waits = Waits(180.0)
    waits.names = {"vps_1": "web-1"}
    in_doubt = waits.in_words(snapshot(in_doubt=2, doubt_seconds=240.0))
    assert re.fullmatch(
        r"no answer for 2: their own status is watched until about \d\d:\d\d:\d\d", in_doubt
    )
    canaries = ("vps_1", "vps_2", "vps_3", "vps_4")
    assert waits.in_words(snapshot(canaries=canaries, in_flight=4)) == (
        "waiting for the canary: vps_1 (web-1), vps_2, vps_3 and 1 more"
    )
    paused = waits.in_words(snapshot(is_paused=True, in_flight=0))
    assert paused == "paused: nothing is sent until hostup fleet unpause r"


def test_it_is_told_after_an_interruption_too() -> None:
    words = Waits(180.0).in_words(
        snapshot(stopping="it was interrupted", in_flight=5, in_doubt=2, doubt_seconds=9.0)
    )
    assert words.startswith("stopping: it was interrupted; no answer for 2: their own status")
    assert words.endswith("; waiting for jobs to end: 3")


def test_a_run_tells_its_canary_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with sandbox(monkeypatch, vps=3, jobs=Durations(median=0.3)) as served:
        ended = here("reset", "--all")
    assert ended.returncode == 0
    assert f"waiting for the canary: {served.vps_ids[0]} (web-1.example.com)" in ended.stdout


def test_a_run_tells_how_long_a_lost_answer_is_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    faults = [FaultRule(Fault.LOST_REPLY, on="reset", times=1)]
    with sandbox(monkeypatch, vps=1, jobs=Durations(median=0.3), faults=faults):
        ended = here("reset", "--all")
    assert ended.returncode == 0, ended.stdout
    assert re.search(
        r"no answer for 1: their own status is watched until about \d\d:", ended.stdout
    )


def test_planning_under_a_limit_says_why_it_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = Limit(requests=1, seconds=2)
    with sandbox(monkeypatch, vps=150, limit=limit):
        ended = here("reset", "--all", "--dry-run")
    assert ended.returncode == 0
    assert re.search(
        r"hostup: waiting for the rate limit: .* s.*, until \d\d:\d\d:\d\d", ended.stderr
    )


def test_a_run_whose_api_is_gone_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with sandbox(monkeypatch, vps=1) as served:
        gone = served.vps_ids[0]
    ended = here("reset", gone, "--preflight", "none", "--patience", "2s")
    assert ended.returncode == 1
    assert re.search(
        r"the API cannot be reached since \d\d:\d\d:\d\d \(connection refused\): trying for 2 s, "
        r"until \d\d:\d\d:\d\d; nothing was sent",
        ended.stdout,
    )
