import json
import os
import re
import shlex
import signal
import time
from pathlib import Path

import pytest
from cli_tools import PATIENCE, children, here, line_with, lives, running, terminal

from hostup_async.cli._demo.config import make_config

pytestmark = pytest.mark.usefixtures("cli_home")
QUICK = ("demo", "--vps", "12", "--limit", "none", "--job-seconds", "0.2")
SLOW = ("demo", "--vps", "24", "--limit", "10/1", "--job-seconds", "0.5", "--faults", "0")
LONG = (*QUICK[:-1], "1.5", "--faults", "0")
NONE_TWICE = "VPSes reset twice: 0 (as the sandbox's own books say)"


def row(name: str, text: str) -> tuple[int, str]:
    """The count and what the books say, from a row of the summary."""
    found = re.search(rf"^ *{name} +(\d+) *(.*?) *$", text, re.MULTILINE)
    assert found, text
    return int(found[1]), found[2]


def test_without_faults_all_are_completed_and_done() -> None:
    ended = here(*QUICK, "--faults", "0")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ": 12 VPSes" in ended.stdout
    assert row("completed", ended.stdout) == (12, "12 done")
    assert NONE_TWICE in ended.stdout


def test_with_faults_the_uptime_tells_and_none_is_reset_twice() -> None:
    ended = here("demo", "--vps", "60", "--limit", "none", "--job-seconds", "0.1", "--seed", "3")
    assert ended.returncode == 0, ended.stdout
    count, fates = row(r"completed \(shown by its uptime\)", ended.stdout)
    assert fates == f"{count} done"
    assert re.search(r"Sending again would have reset \d+ of them twice", ended.stdout)
    assert NONE_TWICE in ended.stdout


def test_it_has_the_bounds_of_the_command_line_and_an_outcome_soon() -> None:
    ended = here("demo", "--vps", "4", "--limit", "none", "--faults", "0")
    assert ended.returncode == 0, ended.stdout
    assert "waiting for the canary: " in ended.stdout
    found = re.search(r"^0:(\d\d)  \d+ % known, .* [1-9]\d* completed", ended.stdout, re.MULTILINE)
    assert found
    assert int(found[1]) <= 5  # its job takes 2 s


def test_its_canary_meets_no_fault() -> None:
    config = make_config(vps=4, limit="none", seed=0, job_seconds=2.0, faults=0.1)
    resets = [rule for rule in config.faults if rule.on == "reset"]
    assert len(resets) == 6
    assert all(rule.skip == 1 for rule in resets)


def test_the_limit_is_met_and_kept() -> None:
    ended = here("demo", "--vps", "6", "--limit", "4/3", "--job-seconds", "0.1", "--faults", "0")
    assert ended.returncode == 0, ended.stdout
    assert "waiting: " in ended.stdout
    refused = re.search(r"refused with 429: (\d+)\.$", ended.stdout, re.MULTILINE)
    assert refused
    assert int(refused[1]) > 0


def test_no_terminal_means_plain_lines() -> None:
    ended = here(*QUICK, "--faults", "0")
    assert "\x1b" not in ended.stdout
    assert re.search(r"^0:00  0 % known, .* 12 planned", ended.stdout, re.MULTILINE)


def test_an_interruption_stops_the_sending_sums_up_and_is_resumed() -> None:
    with running(*SLOW, "--linger", "45") as demo:
        line_with(demo, "waiting: ")
        sandboxes = children(demo.pid)
        assert sandboxes
        demo.send_signal(signal.SIGINT)
        told, errors = demo.communicate(timeout=PATIENCE)
    assert (demo.returncode, errors) == (130, "")
    assert "Interrupted after" in told
    assert row("not sent", told)[1].endswith("not done")
    assert NONE_TWICE in told
    assert all(map(lives, sandboxes))
    found = re.search(r"^Resume it within a minute: hostup (.*)$", told, re.MULTILINE)
    assert found
    resumed = here(*shlex.split(found[1]))
    assert resumed.returncode == 0, resumed.stdout
    assert row("completed", resumed.stdout) == (24, "24 done")
    assert NONE_TWICE in resumed.stdout


def test_after_kill_9_the_printed_command_finishes_the_demo() -> None:
    with running(*LONG, "--linger", "45") as demo:
        resume = line_with(demo, "Resume it with: ").rpartition("hostup ")[2]
        line_with(demo, "waiting for jobs to end")
        demo.kill()
    resumed = here(*shlex.split(resume))
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert row("completed", resumed.stdout) == (12, "12 done")
    assert NONE_TWICE in resumed.stdout


def test_a_demo_whose_sandbox_is_gone_says_so(cli_home: Path) -> None:
    with running(*LONG, "--linger", "1") as demo:
        resume = line_with(demo, "Resume it with: ").rpartition("hostup ")[2]
        (sandbox,) = children(demo.pid)
        os.kill(sandbox, signal.SIGKILL)
        demo.kill()
    ended = here(*shlex.split(resume))
    assert ended.returncode == 1
    assert "has ended: start a new demo" in ended.stderr
    nothing = here("demo", "--resume", str(cli_home))
    assert nothing.returncode == 1
    assert "start a new one" in nothing.stderr


def test_the_sandbox_of_a_killed_demo_ends_by_itself(cli_home: Path) -> None:
    with running(*LONG, "--linger", "1") as demo:
        line_with(demo, "Resume it with: ")
        (sandbox,) = children(demo.pid)
        demo.kill()
    give_up_at = time.monotonic() + PATIENCE
    while lives(sandbox):
        assert time.monotonic() < give_up_at
        time.sleep(0.05)
    (left,) = cli_home.glob("hostup-demo-*/demo.json")
    assert json.loads(left.read_text())["run_id"]


@pytest.mark.parametrize("options", [(), ("--plain",)])
def test_on_a_terminal(options: tuple[str, ...]) -> None:
    with terminal(*QUICK, "--faults", "0", *options) as demo:
        assert demo.end() == 0
        assert NONE_TWICE in demo.told
        assert "Traceback" not in demo.told
        assert ("\x1b[?25l" in demo.told) is (not options)  # a live view hides the cursor
