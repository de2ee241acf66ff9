import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios

import pytest
from cli_tools import COMMAND, PATIENCE, children, hostup, line_with, lives, running

QUICK = ("demo", "--vps", "20", "--limit", "none", "--job-seconds", "0.2")
SLOW = ("demo", "--vps", "40", "--limit", "10/2", "--job-seconds", "60")
NONE_TWICE = "VPSes reset twice: 0 (by the sandbox's own books)"


def row(name: str, text: str) -> tuple[int, str]:
    """The count and what the books say, from a row of the summary."""
    found = re.search(rf"^ *{name} +(\d+) *(.*?) *$", text, re.MULTILINE)
    assert found, text
    return int(found[1]), found[2]


def test_without_faults_all_are_completed_and_done() -> None:
    ended = hostup(*QUICK, "--faults", "0")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ": 20 VPSes" in ended.stdout
    assert row("completed", ended.stdout) == (20, "20 done")
    assert NONE_TWICE in ended.stdout
    assert "unknown, because" not in ended.stdout.lower()


def test_with_faults_some_are_unknown_and_none_is_reset_twice() -> None:
    ended = hostup(*QUICK, "--faults", "0.1", "--seed", "3")
    assert ended.returncode == 0, ended.stdout
    count, fates = row("unknown", ended.stdout)
    assert count > 0
    assert "done" in fates
    assert "Unknown, because" in ended.stdout
    assert NONE_TWICE in ended.stdout


def test_when_every_reply_is_lost_all_are_unknown_and_done() -> None:
    ended = hostup(*QUICK, "--faults", "1")
    assert ended.returncode == 0
    assert row("unknown", ended.stdout) == (20, "20 done")
    assert "Sending the 20 unknown ones again would have reset 20 of them twice." in ended.stdout


def test_the_limit_is_met_and_kept() -> None:
    ended = hostup("demo", "--vps", "8", "--limit", "8/1", "--job-seconds", "0.1")
    assert ended.returncode == 0, ended.stdout
    assert "for the rate limit" in ended.stdout
    refused = re.search(r"refused with 429: (\d+)\.$", ended.stdout, re.MULTILINE)
    assert refused
    assert int(refused[1]) > 0


def test_no_terminal_means_plain_lines() -> None:
    ended = hostup(*QUICK)
    assert "\x1b" not in ended.stdout
    assert re.search(r"^ +0\.0 s \| 20 queued, ", ended.stdout, re.MULTILINE)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_stops_the_sending_and_sums_up(number: signal.Signals) -> None:
    with running(*SLOW) as demo:
        line_with(demo, "for the rate limit")
        sandboxes = children(demo.pid)
        assert sandboxes
        demo.send_signal(number)
        told, errors = demo.communicate(timeout=PATIENCE)
    assert demo.returncode == 130
    assert errors == ""
    assert "Interrupted after" in told
    assert row("not sent", told)[1].endswith("not done")
    assert NONE_TWICE in told
    assert not any(map(lives, sandboxes))


def test_a_sandbox_that_dies_is_reported_in_one_line() -> None:
    with running(*SLOW) as demo:
        line_with(demo, "for the rate limit")
        for sandbox in children(demo.pid):
            os.kill(sandbox, signal.SIGKILL)
        demo.send_signal(signal.SIGINT)
        _, errors = demo.communicate(timeout=PATIENCE)
    assert demo.returncode == 1
    assert errors.startswith("hostup demo: ")
    assert errors.count("\n") == 1


def read_all(terminal: int) -> str:
    told = bytearray()
    try:
        while part := os.read(terminal, 65536):
            told += part
    except OSError:  # how a pseudo-terminal says that nobody writes to it any more
        pass
    return told.decode()


@pytest.mark.parametrize("options", [(), ("--plain",)])
def test_on_a_terminal(options: tuple[str, ...]) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    demo = subprocess.Popen(
        [*COMMAND, *QUICK, *options],
        stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    told = read_all(ours)
    os.close(ours)
    assert demo.wait(PATIENCE) == 0
    assert NONE_TWICE in told
    assert "Traceback" not in told
    assert ("\x1b[?25l" in told) is (not options)  # a live view hides the cursor
