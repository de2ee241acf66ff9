"""Runs as an operator makes them: exit codes, interruptions, kills, resumption."""

import re
import shlex
import signal
from functools import partial
from pathlib import Path

import pytest
from cli_tools import PATIENCE, events, here, hostup, line_with, running, sandbox

from hostup_async import FleetPolicy
from hostup_async.sandbox import Durations, Fault, FaultRule

pytestmark = pytest.mark.usefixtures("cli_home")
SLOW = Durations(median=0.6)


def test_all_completed_is_0(monkeypatch: pytest.MonkeyPatch) -> None:
    with sandbox(monkeypatch, vps=3) as served:
        ended = hostup("reset", *served.vps_ids)
        books = served.books()
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "3  completed" in ended.stdout
    assert set(books.resets) == set(served.vps_ids)
    assert books.reset_twice == ()


@pytest.mark.parametrize("action", ["restart", "stop", "shutdown"])
def test_the_other_actions(monkeypatch: pytest.MonkeyPatch, action: str) -> None:
    with sandbox(monkeypatch, vps=2) as served:
        ended = here(action, served.vps_ids[1])
        books = served.books()
    assert ended.returncode == 0, ended.stdout
    assert books.performed == {served.vps_ids[1]: {action: 1}}


def test_some_failed_is_1_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    with sandbox(monkeypatch, vps=2, job_failure_rate=1):
        ended = hostup("reset", "--all", "--canary", "0")
    assert ended.returncode == 1
    assert "2  failed" in ended.stdout


def test_what_the_cooldown_skips_is_not_done_so_1(monkeypatch: pytest.MonkeyPatch) -> None:
    with sandbox(monkeypatch, vps=1) as served:
        assert here("reset", "--all").returncode == 0
        again = here("reset", "--all")
        anyway = here("reset", "--all", "--cooldown", "0")
        books = served.books()
    assert again.returncode == 1
    assert "cooldown" in again.stdout
    assert anyway.returncode == 0
    assert list(books.resets.values()) == [2]


def test_an_unknown_id_is_left_out_and_1(monkeypatch: pytest.MonkeyPatch) -> None:
    with sandbox(monkeypatch, vps=1) as served:
        mixed = here("reset", "vps_nope", served.vps_ids[0])
        alone = here("reset", "vps_nope")
    assert mixed.returncode == alone.returncode == 1
    assert "vps_nope: the account has no such VPS" in mixed.stdout
    assert "1  completed" in mixed.stdout
    assert "nothing is left to do" in alone.stderr


def test_a_malformed_file_of_ids_is_2_and_names_the_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "ids"
    file.write_text("vps_1\nvps 2\n")
    with sandbox(monkeypatch, vps=1) as served:
        ended = hostup("reset", "--from", str(file))
        assert served.books().total_requests == 0
    assert ended.returncode == 2
    assert ended.stderr == (
        f"hostup: {file}, line 2: expected one id, not 'vps 2'. Nothing was sent.\n"
    )


def test_ids_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    with sandbox(monkeypatch, vps=3) as served:
        told = f"\ufeff{served.vps_ids[0]}  # the first\n\n{served.vps_ids[2]}\r\n"
        ended = here("reset", "-", input=told)
        books = served.books()
    assert ended.returncode == 0, ended.stderr
    assert set(books.resets) == {served.vps_ids[0], served.vps_ids[2]}


def test_more_than_ten_need_a_yes_without_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with sandbox(monkeypatch, vps=11) as served:
        unasked = here("reset", "--all")
        assert served.books().resets == {}
        meant = here("reset", "--all", "--yes")
        assert len(served.books().resets) == 11
    assert unasked.returncode == 2
    assert "add --yes" in unasked.stderr
    assert meant.returncode == 0


@pytest.mark.parametrize("command", [("reset", "--dry-run"), ("fleet", "plan")])
def test_a_dry_run_shows_the_plan_and_sends_no_post(
    monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    with sandbox(monkeypatch, vps=30, not_ready=1) as served:
        bounds = ("--max-failures", "5", "--max-in-flight", "4")
        ended = here(*command, "--all", *bounds)
        assert set(served.books().requests) == {"list"}
    assert ended.returncode == 0
    assert "Reset 29 VPSes" in ended.stdout
    assert f"{served.vps_ids[1]}  web-2.example.com" in ended.stdout
    assert "Left out: 1" in ended.stdout
    assert f"{served.vps_ids[0]} (web-1.example.com): its gate is shut" in ended.stdout
    assert "At most 5 + 4 = 9 can fail." in ended.stdout
    assert "1 VPS goes first, as canary" in ended.stdout
    assert "nothing was sent" in ended.stdout


@pytest.mark.parametrize(
    "options", [("--canary", "1"), ("--canary", "0", "--max-failures", "2", "--max-in-flight", "1")]
)
def test_a_failure_budget_or_a_canary_is_3(
    monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    with sandbox(monkeypatch, vps=6, job_failure_rate=1) as served:
        ended = here("reset", "--all", *options)
        sent = sum(kind == "reset" for _, kind, _ in served.books().request_times)
    assert ended.returncode == 3
    assert "Stopped: " in ended.stdout
    assert re.search(r"Resume with: hostup fleet resume \S+\n", ended.stdout)
    assert sent <= 3


def test_an_unknown_outcome_is_4(monkeypatch: pytest.MonkeyPatch) -> None:
    soon = partial(FleetPolicy, evidence_interval=0.2)
    monkeypatch.setattr("hostup_async.cli._inputs.policy.FleetPolicy", soon)
    with sandbox(monkeypatch, vps=1, completed_without_effect_rate=1):
        ended = here("reset", "--all", "--verify")
    assert ended.returncode == 4
    assert "1  ambiguous" in ended.stdout


def test_no_key_a_wrong_key_and_a_missing_scope_are_5(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert hostup("reset", "vps_1").returncode == 5
    with sandbox(monkeypatch, vps=2, scopes={"read:vm"}):
        lacking = here("reset", "--all")
        monkeypatch.setenv("HOSTUP_API_KEY", "sk_test_wrong")
        wrong = here("reset", "--all")
        unread = here("reset", "--all", "--preflight", "none")
    assert (lacking.returncode, wrong.returncode, unread.returncode) == (5, 5, 5)
    assert "403" in lacking.stdout
    assert "401" in wrong.stderr
    assert "sk_test_wrong" not in wrong.stderr + wrong.stdout + unread.stdout


def test_the_first_signal_drains_and_the_run_is_resumed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with sandbox(monkeypatch, vps=6, jobs=SLOW) as served:
        told = interrupted(signal.SIGINT)
        resume = re.search(r"Resume with: hostup (.*)\n", told)
        assert resume
        resumed = here(*shlex.split(resume[1]))
        books = served.books()
    assert resumed.returncode == 0, resumed.stdout
    assert "6  completed" in resumed.stdout
    assert set(books.resets.values()) == {1}
    assert len(books.resets) == 6


@pytest.mark.parametrize("number", [signal.SIGTERM])
def test_other_signals_drain_too(monkeypatch: pytest.MonkeyPatch, number: signal.Signals) -> None:
    with sandbox(monkeypatch, vps=6, jobs=SLOW):
        assert "Resume with: hostup fleet resume" in interrupted(number)


def interrupted(number: signal.Signals) -> str:
    """What a run tells that is stopped with two resets under way and four to go."""
    with running("reset", "--all", "--canary", "0", "--max-in-flight", "2") as run:
        line_with(run, "2 accepted")
        run.send_signal(number)
        told, errors = run.communicate(timeout=PATIENCE)
    assert (run.returncode, errors) == (130, "")
    assert "2  completed" in told
    assert "4  not sent" in told
    return told


def test_the_second_signal_leaves_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with sandbox(monkeypatch, vps=2, jobs=Durations(median=600)):
        with running("reset", "--all", "--canary", "0") as run:
            line_with(run, "2 accepted")
            run.send_signal(signal.SIGINT)
            line_with(run, "leave at once")
            line_with(run, "stopping: it was interrupted; waiting for jobs to end: 2")
            run.send_signal(signal.SIGINT)
            told, errors = run.communicate(timeout=PATIENCE)
        runs = here("fleet", "runs")
    assert (run.returncode, errors) == (130, "")
    assert "Resume with: hostup fleet resume" in told
    assert "stopped" in runs.stdout


def test_after_kill_9_a_resumption_finishes_and_nothing_is_reset_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with sandbox(monkeypatch, vps=8, jobs=SLOW) as served:
        with running("reset", "--all", "--canary", "0", "--max-in-flight", "4") as run:
            line_with(run, "4 accepted")
            run.kill()
        before = events(here("fleet", "status", "--json").stdout, "run")[0]
        resumed = here("fleet", "resume", "last", "--json")
        books = served.books()
    assert before["state"] == "running"
    assert resumed.returncode == 0
    (report,) = events(resumed.stdout, "report")
    assert report["counts"] == {"completed": 8}
    assert books.reset_twice == ()
    assert len(books.resets) == 8


def test_a_lost_reply_is_settled_by_the_uptime_and_never_sent_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    faults = [FaultRule(Fault.LOST_REPLY, on="reset", times=1)]
    jobs = Durations(median=0.1)
    with sandbox(monkeypatch, vps=40, jobs=jobs, faults=faults) as served:
        ended = here("reset", "--all", "--yes", "--canary", "0")
        books = served.books()
    assert ended.returncode == 0, ended.stdout
    assert "40  completed" in ended.stdout
    assert books.reset_twice == ()


def test_the_events_are_json_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    with sandbox(monkeypatch, vps=3) as served:
        ended = here("reset", "--all", "--json", "--reason", "a test")
    told = events(ended.stdout)
    names = [one["event"] for one in told]
    assert all(one["v"] == 1 for one in told)
    assert names[0] == "plan"
    assert names[-1] == "report"
    assert names.count("outcome") == 3
    assert {one["vps_id"] for one in told if one["event"] == "outcome"} == set(served.vps_ids)
    assert told[-1]["exit_code"] == ended.returncode == 0


def test_runs_are_listed_shown_and_abandoned(monkeypatch: pytest.MonkeyPatch) -> None:
    with sandbox(monkeypatch, vps=4, job_failure_rate=1):
        assert here("reset", "--all", "--reason", "as a test").returncode == 3
        listed, shown = here("fleet", "runs"), here("fleet", "status", "-v")
        given_up = here("fleet", "abandon", "last", "--reason", "enough", "--yes")
        (run_id,) = re.findall(r"Run (\S+) is abandoned", given_up.stdout)
        again, newest = here("fleet", "resume", run_id), here("fleet", "resume")
    assert "stopped" in listed.stdout
    assert "as a test" in listed.stdout
    assert "3  planned" in shown.stdout
    assert "created" in shown.stdout
    assert "is abandoned" in given_up.stdout
    assert again.returncode == 2
    assert "nothing of it is left to do" in again.stderr
    assert newest.returncode == 1
    assert "no run can be resumed: nothing is left to do" in newest.stderr


def test_a_run_at_another_api_is_not_resumed_here(monkeypatch: pytest.MonkeyPatch) -> None:
    with sandbox(monkeypatch, vps=4, job_failure_rate=1):
        (report,) = events(here("reset", "--all", "--json").stdout, "report")
    with sandbox(monkeypatch, vps=4):
        ended, newest = here("fleet", "resume", report["run_id"]), here("fleet", "resume", "last")
    assert ended.returncode == 2
    assert "this client talks to" in ended.stderr
    assert newest.returncode == 1
    assert f"Run {report['run_id']} was begun at" in newest.stderr


def test_quiet_tells_failures_and_the_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    with sandbox(monkeypatch, vps=2, job_failure_rate=1) as served:
        ended = here("reset", "--all", "--canary", "0", "-q")
    assert "Plan" not in ended.stdout
    assert "in flight of at most" not in ended.stdout
    assert f"{served.vps_ids[0]}  web-1.example.com  failed" in ended.stdout
    assert "2  failed" in ended.stdout


def test_without_a_store_nothing_is_recorded(
    monkeypatch: pytest.MonkeyPatch, cli_home: Path
) -> None:
    with sandbox(monkeypatch, vps=1):
        ended = here("reset", "--all", "--store", "none")
    assert ended.returncode == 0
    assert not (cli_home / "state" / "hostup" / "fleet.db").exists()


def test_a_run_is_drawn_as_a_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    with sandbox(monkeypatch, vps=2) as served:
        assert here("reset", *served.vps_ids).returncode == 0
        drawn = here("fleet", "report", "last", "-o", str(page))
        told = page.read_text()
    assert drawn.returncode == 0, drawn.stderr
    assert str(page) in drawn.stdout
    assert all(vps_id in told for vps_id in served.vps_ids)
