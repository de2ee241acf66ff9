"""The command line on a real terminal: the live view, the confirmation, interruptions."""

import re
import signal

import pytest
from cli_tools import PATIENCE, events, here, sandbox, terminal

from hostup_async.sandbox import Durations, Limit

pytestmark = pytest.mark.usefixtures("cli_home")
BRIEF = Durations(median=0.1)
SOME = Durations(kind="lognormal", median=0.6)


@pytest.mark.parametrize(("rows", "columns"), [(24, 80), (50, 200)])
def test_the_live_view_fits(monkeypatch: pytest.MonkeyPatch, rows: int, columns: int) -> None:
    limit = Limit(requests=12, seconds=1)
    options = ("--yes", "--canary", "0")
    with (
        sandbox(monkeypatch, vps=20, jobs=SOME, limit=limit, job_failure_rate=0.2, seed=2),
        terminal("reset", "--all", *options, rows=rows, columns=columns) as run,
    ):
        assert run.end() == 1
    drawn = run.lines()
    bars = [line for line in drawn if re.fullmatch(r"[━─]+", line)]
    assert bars
    assert {len(bar) for bar in bars} == {columns}
    assert any(re.match(r"\d+ completed  ", line) for line in drawn)
    assert any("VPSes/s" in line for line in drawn)
    assert any("in flight of at most" in line for line in drawn)
    assert any(line.startswith("waiting: ") for line in drawn)
    assert max(len(line) for line in drawn if "in flight of at most" in line) <= columns
    failures = [line for line in drawn if re.match(r"vps_\w+  web-\S+  failed: ", line)]
    assert failures
    assert len(failures) == len(set(failures))  # each is told once, and stays
    assert "\x1b[?25h" in run.told  # the cursor is shown again


def test_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        sandbox(monkeypatch, vps=3, jobs=BRIEF),
        terminal("reset", "--all", NO_COLOR="1") as run,
    ):
        assert run.end() == 0
    assert "\x1b[?25l" in run.told
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", run.told)


def test_a_terminal_that_knows_ascii_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        sandbox(monkeypatch, vps=3, jobs=BRIEF),
        terminal("reset", "--all", PYTHONIOENCODING="ascii") as run,
    ):
        assert run.end() == 0
    assert run.told.isascii()
    assert any(re.fullmatch(r"#+", line) for line in run.lines())


@pytest.mark.parametrize(("typed", "code", "resets"), [("12", 0, 12), ("11", 2, 0), ("y", 2, 0)])
def test_above_ten_the_count_is_to_be_typed(
    monkeypatch: pytest.MonkeyPatch, typed: str, code: int, resets: int
) -> None:
    with (
        sandbox(monkeypatch, vps=12, jobs=Durations(kind="instant")) as served,
        terminal("reset", "--all") as run,
    ):
        run.read_until("To reset 12 VPSes, type their number: ")
        assert served.books().resets == {}
        run.type(f"{typed}\n")
        assert run.end() == code
        assert len(served.books().resets) == resets
    assert "Reset 12 VPSes" in run.told
    assert ("nothing was sent" in run.told) is (not resets)


def test_ctrl_c_at_the_question_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with sandbox(monkeypatch, vps=12) as served, terminal("reset", "--all") as run:
        run.read_until("type their number: ")
        run.type("\x03")
        # A Ctrl-C while the interpreter ends ends it by the signal: a shell says 130 of both.
        assert run.end(again="\x03") in {130, -signal.SIGINT}
        assert set(served.books().requests) == {"list"}
    assert "hostup: interrupted before anything was sent" in run.told


def test_ctrl_c_drains_and_a_second_one_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        sandbox(monkeypatch, vps=3, jobs=Durations(median=600)),
        terminal("reset", "--all", "--canary", "0", "--max-in-flight", "2") as run,
    ):
        run.read_until("2 accepted")
        run.type("\x03")
        run.read_until("leave at once")
        run.type("\x03")
        assert run.end() == 130
    assert "Resume with: hostup fleet resume" in run.told
    assert "Traceback" not in run.told


def test_a_terminal_that_closes_stops_the_run_and_loses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with (
        sandbox(monkeypatch, vps=6, jobs=Durations(median=0.6)) as served,
        terminal("reset", "--all", "--canary", "0", "--max-in-flight", "2") as run,
    ):
        run.read_until("2 accepted")
        run.hang_up()
        assert run.process.wait(PATIENCE) == 130
        told = here("fleet", "status", "--json").stdout
        assert len(served.books().resets) == 2
    (record,) = events(told, "run")
    assert record["state"] == "stopped"
    assert record["counts"] == {"completed": 2, "planned": 4}
