"""Running the command line as users do: a process, its output, its terminal, its signals."""

import codecs
import fcntl
import json
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from hostup_async.cli._commands.app import app
from hostup_async.sandbox import SandboxConfig, ThreadedSandbox

COMMAND = (str(Path(sys.executable).with_name("hostup")),)
PATIENCE = 30
SETSID = shutil.which("setsid") or "setsid"
# As after a login: whatever runs the tests may ignore the signals, and children inherit that.
HEEDS_SIGNALS = ["env", "--default-signal=INT,HUP"]
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def hostup(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        **options,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def here(*arguments: str, input: str | None = None) -> subprocess.CompletedProcess[str]:  # noqa: A002 - as of subprocess.run
    """The command line in this process, without a terminal: quick, and enough for most tests."""
    ended = CliRunner().invoke(app, list(arguments), input=input, prog_name="hostup")
    if ended.exception is not None and not isinstance(ended.exception, SystemExit):
        raise ended.exception
    return subprocess.CompletedProcess(arguments, ended.exit_code, ended.stdout, ended.stderr)


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The command while it runs; killed in the end if it still does."""
    process = subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def line_with(process: subprocess.Popen[str], *words: str) -> str:
    """The first line of output that holds all these words."""
    assert process.stdout is not None
    for line in process.stdout:
        if all(word in line for word in words):
            return line
    message = f"no line with {words}"
    raise AssertionError(message)


def events(output: str, name: str | None = None) -> list[dict[str, Any]]:
    """What `--json` told, all of it or the events of a name."""
    told: list[dict[str, Any]] = [json.loads(line) for line in output.splitlines()]
    return [one for one in told if name in {None, one["event"]}]


@contextmanager
def sandbox(monkeypatch: Any, **settings: Any) -> Iterator[ThreadedSandbox]:
    """A sandbox that the environment points the command line at."""
    with ThreadedSandbox(SandboxConfig(**settings)) as served:
        monkeypatch.setenv("HOSTUP_API_BASE", served.url)
        monkeypatch.setenv("HOSTUP_API_KEY", served.api_key)
        yield served


class Terminal:
    """The command on a terminal of its own, which it is the master of as of a login."""

    def __init__(self, *arguments: str, rows: int = 24, columns: int = 80, **env: str) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(
            [SETSID, "--ctty", *HEEDS_SIGNALS, *COMMAND, *arguments],
            stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm", **env},
        )  # fmt: skip
        os.close(theirs)
        self.told = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def read_until(self, *words: str, again: str = "") -> str:
        """All that was told until these words have come; without words, until the end.

        A signal that comes just before a blocking read is seen after it: `again` is typed again.
        """
        give_up_at = time.monotonic() + PATIENCE
        while not words or not all(word in self.told for word in words):
            assert time.monotonic() < give_up_at, self.told
            if not select.select([self._ours], [], [], 1)[0]:
                self.type(again)
                continue
            try:
                part = os.read(self._ours, 65536)
            except OSError:  # how a pseudo-terminal says that nobody writes to it any more
                break
            self.told += self._decoder.decode(part)
        return self.told

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def hang_up(self) -> None:
        """Close the terminal."""
        os.close(self._ours)

    def end(self, *, again: str = "") -> int:
        """Its exit code, once it has told everything."""
        self.read_until(again=again)
        self.hang_up()
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        """End it, whatever it does, unless it has ended."""
        self.process.kill()
        self.process.wait()

    def lines(self) -> list[str]:
        """What was drawn, without what commands the terminal."""
        return re.split(r"[\r\n]+", ANSI.sub("", self.told))


@contextmanager
def terminal(*arguments: str, **options: Any) -> Iterator[Terminal]:
    """The command on a terminal; killed in the end if it still runs."""
    run = Terminal(*arguments, **options)
    try:
        yield run
    finally:
        run.kill()


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def lives(pid: int) -> bool:
    """Whether a process runs; one that nobody reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
