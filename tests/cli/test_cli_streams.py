"""What surrounds a command: its standard streams, ignored signals, paths, encodings, keyrings."""

import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cli_tools import COMMAND, PATIENCE, events, here, hostup, sandbox
from rich.text import Text

from hostup_async.cli import _streams
from hostup_async.cli._exits import CommandFailed, ExitCode
from hostup_async.cli._inputs.account import find_account, find_store
from hostup_async.cli._inputs.profiles import config_path, default_store, read_profile
from hostup_async.cli._options import AccountOptions, LimitOptions
from hostup_async.cli._output import json_lines
from hostup_async.cli._output.files import replace_file
from hostup_async.cli._output.screen import Screen
from hostup_async.cli._work.verdict import exit_code
from hostup_async.sandbox import Durations

pytestmark = pytest.mark.usefixtures("cli_home")
INSTANT = Durations(kind="instant")
BASH = shutil.which("bash") or "bash"
# The superuser may write anywhere, unless it is without this capability.
WITHOUT_OVERRIDE = (shutil.which("setpriv") or "setpriv", "--bounding-set", "-dac_override")
ESCAPE = "\x1b[2J"


def shell(line: str) -> subprocess.CompletedProcess[str]:
    """A line of shell in which `hostup` is the command."""
    line = line.replace("hostup", " ".join(COMMAND))
    return subprocess.run(
        [BASH, "-c", line], capture_output=True, text=True, timeout=PATIENCE, check=False
    )


# --- signals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "name"), [(signal.SIGHUP, "HUP"), (signal.SIGINT, "INT")])
def test_a_signal_that_the_shell_ignores_does_not_stop_a_run(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals, name: str
) -> None:
    with sandbox(monkeypatch, vps=2, jobs=Durations(median=0.4)) as served:
        options = ("reset", "--all", "--canary", "0", "--max-in-flight", "1", "--cooldown", "0")
        line = f'trap "" {name}; exec {shlex.join([*COMMAND, *options])}'
        with subprocess.Popen(
            [BASH, "-c", line], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        ) as run:
            assert run.stdout is not None
            while "1 accepted" not in run.stdout.readline():
                assert run.poll() is None
            run.send_signal(number)
            told, _ = run.communicate(timeout=PATIENCE)
        assert run.returncode == 0, told
        assert len(served.books().resets) == 2


# --- standard streams ---------------------------------------------------------------------------


@pytest.mark.parametrize("options", [("--json",), (), ("-o", "id")])
def test_output_that_cannot_be_written_is_an_error(
    monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    with sandbox(monkeypatch, vps=2):
        ended = shell(f"hostup vps list {' '.join(options)} > /dev/full")
    assert ended.returncode == 1
    assert ended.stderr == ("hostup: standard output cannot be written: No space left on device\n")


def test_a_run_whose_output_is_lost_goes_on_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with sandbox(monkeypatch, vps=2, jobs=INSTANT) as served:
        ended = shell("hostup reset --all --json > /dev/full")
        assert len(served.books().resets) == 2
    assert ended.returncode == 1
    assert "cannot be written" in ended.stderr


def test_closed_streams_are_the_null_device(monkeypatch: pytest.MonkeyPatch) -> None:
    with sandbox(monkeypatch, vps=2, jobs=INSTANT) as served:
        ended = shell("hostup reset --all <&- >&- 2>&-")
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
        assert len(served.books().resets) == 2
    (run,) = events(here("fleet", "runs", "--json").stdout, "run")
    assert run["counts"] == {"completed": 2}


def test_a_closed_stream_is_reopened_at_its_own_descriptor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    opened: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "dup2", lambda one, other: opened.append((one, other)))
    _streams.open_closed_streams()
    try:
        assert sys.stderr is not None
        assert [other for _, other in opened] == [2]
        assert sys.stderr.fileno() == 2
    finally:
        monkeypatch.undo()


def test_a_report_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = tmp_path / "report.html"
    report.write_text("old")
    report.chmod(0o640)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left") as failed:
            replace_file(report, "new")
    assert failed.value.filename == str(report)
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]
    assert report.read_text() == "old"
    replace_file(report, "new")
    assert (report.read_text(), report.stat().st_mode & 0o777) == ("new", 0o640)


def test_a_store_that_was_lost_at_the_very_end_is_a_failure() -> None:
    from test_cli_verdict import S, ended  # noqa: PLC0415 - its fixtures would run here too

    from hostup_async import StopCause  # noqa: PLC0415 - likewise

    lost = ended(S.COMPLETED, cause=StopCause.STORE_LOST)
    assert exit_code(lost, left_out=False) is ExitCode.FAILED


# --- foreign text -------------------------------------------------------------------------------


def printed(*renderables: Any, tty: bool = False) -> str:
    class File(io.StringIO):
        def isatty(self) -> bool:
            return tty

    file = File()
    Screen(file).print(*renderables)
    return file.getvalue()


@pytest.mark.parametrize("text", ["2a0c:4d80:0:100::1", "rack:cd:01", "[bold]x[/bold]"])
def test_text_is_shown_as_the_api_has_it(text: str) -> None:
    assert printed(text) == f"{text}\n"
    assert printed(Text(text)) == f"{text}\n"


@pytest.mark.parametrize("tty", [True, False])
def test_nothing_that_is_printed_commands_the_terminal(*, tty: bool) -> None:
    for one in (f"a{ESCAPE}b", Text(f"a{ESCAPE}b")):
        assert printed(one, tty=tty) == "a?[2Jb\n"


def test_nothing_is_folded_on_a_pipe() -> None:
    long = "word " * 100 + "end"
    assert printed(long) == f"{long}\n"


def test_forced_colours_do_not_draw_the_live_view_into_a_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with sandbox(monkeypatch, vps=2, jobs=INSTANT):
        told = here("reset", "--all").stdout
    assert "\x1b[?25l" not in told
    assert "\r" not in told
    assert "\x1b[" in told  # the colours that were asked for


def test_the_api_cannot_overwrite_the_envelope_of_json() -> None:
    line = json.loads(json_lines.line("vps", {"event": "report", "v": 9, "id": "vps_1"}))
    assert line == {"v": json_lines.VERSION, "event": "vps", "id": "vps_1"}


# --- paths --------------------------------------------------------------------------------------


def nameless(*_: object) -> str:
    """What asks for the user of an uid that has no name."""
    raise KeyError


def configure(text: str, *, mark: str = "") -> Path:
    path = config_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(f"{mark}[profiles.default]\n{text}\n".encode())
    path.chmod(0o600)
    return path


def test_a_relative_store_of_a_profile_is_one_file_everywhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = configure('store = "fleet.db"')
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        assert find_store(None, read_profile(None)) == str(path.parent / "fleet.db")


@pytest.mark.parametrize("store", ["~/fleet.db", "sqlite:///~/fleet.db"])
def test_the_home_directory_is_expanded(monkeypatch: pytest.MonkeyPatch, store: str) -> None:
    monkeypatch.setenv("HOME", "/home/ana")
    configure(f'store = "{store}"')
    assert find_store(None, read_profile(None)) == "/home/ana/fleet.db"
    monkeypatch.setenv("HOSTUP_STORE", store)
    assert find_store(store, read_profile(None)) == "/home/ana/fleet.db"


def test_a_relative_store_in_a_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOSTUP_STORE", "fleet.db")
    ended = here("fleet", "runs")
    assert ended.returncode == 2
    assert "another file in each directory" in ended.stderr


def test_the_command_that_resumes_names_whole_paths(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with sandbox(monkeypatch, vps=3, job_failure_rate=1.0, jobs=INSTANT) as served:
        (tmp_path / "key").write_text(served.api_key)
        ended = here("reset", "--all", "--store", "s.db", "--key-file", "key")
    (line,) = [one for one in ended.stdout.splitlines() if "Resume with" in one]
    assert f"--store {tmp_path / 's.db'} " in line
    assert f"--key-file {tmp_path / 'key'}" in line


def test_without_a_home_nothing_is_kept_in_the_working_directory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", nameless)
    monkeypatch.setenv("HOSTUP_API_KEY", "sk_env_00000000")
    for find in (default_store, config_path):
        with pytest.raises(CommandFailed, match="set HOME") as failed:
            find()
        assert failed.value.code is ExitCode.USAGE
    assert str(find_account(AccountOptions(), LimitOptions()).key) == "sk_env_00000000"


# --- encodings ----------------------------------------------------------------------------------


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    configure('api_key = "sk_prod_00000000"', mark="\ufeff")
    assert str(find_account(AccountOptions(), LimitOptions()).key) == "sk_prod_00000000"
    key = tmp_path / "key"
    key.write_bytes(b"\xef\xbb\xbfsk_file_00000000\r\n")
    found = find_account(AccountOptions(key_file=str(key)), LimitOptions())
    assert found.key == "sk_file_00000000"


@pytest.mark.parametrize(
    ("option", "value"),
    [("--reason", b"gr\xfcn"), ("--name", b"web\xf6"), ("", b"vps_\xf6"), ("--profile", b"\xe5")],
)
def test_an_argument_that_is_not_utf_8_is_refused(
    monkeypatch: pytest.MonkeyPatch, option: str, value: bytes
) -> None:
    text = os.fsdecode(value)
    with sandbox(monkeypatch, vps=1) as served:
        words = [option, text] if option else [text]
        ended = here("reset", *words, *(["--all"] if option == "--reason" else []))
        assert served.books().requests == {}
    assert ended.returncode == 2
    assert f"{option or 'an id'} is not UTF-8 text" in ended.stderr


def test_the_name_of_a_file_may_have_any_bytes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store, ids = (tmp_path / os.fsdecode(name) for name in (b"st\xf6re.db", b"\xfcds"))
    with sandbox(monkeypatch, vps=1, jobs=INSTANT) as served:
        ids.write_text(served.vps_ids[0])
        assert here("reset", "--from", str(ids), "--store", str(store)).returncode == 0
    assert store.exists()
    assert here("fleet", "status", "--store", str(store)).returncode == 0


def test_a_latin_1_reason_on_the_real_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with sandbox(monkeypatch, vps=1):
        ended = hostup("reset", "--all", os.fsdecode(b"--reason=gr\xfcn"))
    assert ended.returncode == 2
    assert "--reason is not UTF-8 text" in ended.stderr


# --- the user and the keyring -------------------------------------------------------------------


def test_an_uid_without_a_name_can_abandon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", nameless)
    with sandbox(monkeypatch, vps=2, job_failure_rate=1.0, jobs=INSTANT):
        here("reset", "--all")
        (run,) = events(here("fleet", "runs", "--json").stdout, "run")
        ended = here("fleet", "abandon", run["id"], "--yes")
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("error", [RuntimeError("no D-Bus"), ImportError("no backend")])
def test_a_keyring_that_fails_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: str) -> str:
        raise error

    ring = ModuleType("keyring")
    vars(ring)["get_password"] = fail
    vars(ring)["__spec__"] = sys.__spec__
    monkeypatch.setitem(sys.modules, "keyring", ring)
    ended = here("vps", "list")
    assert ended.returncode == 5
    assert f"hostup: the keyring cannot be used: {error}" in ended.stderr
    assert "there is no API key" in ended.stderr


# --- a store that may only be read --------------------------------------------------------------


def test_a_store_that_may_not_be_written_can_be_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    store = folder / "fleet.db"
    with sandbox(monkeypatch, vps=2, jobs=INSTANT):
        assert here("reset", "--all", "--store", str(store)).returncode == 0
    store.chmod(0o444)
    folder.chmod(0o555)
    before = store.read_bytes()
    prefix = WITHOUT_OVERRIDE if os.getuid() == 0 else ()
    for command in (("fleet", "runs"), ("fleet", "status")):
        words = [*prefix, *COMMAND, *command, "--json", "--store", str(store)]
        ended = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert ended.returncode == 0, ended.stderr
        assert events(ended.stdout, "run")[0]["counts"] == {"completed": 2}
    assert store.read_bytes() == before
    assert [one.name for one in folder.iterdir()] == ["fleet.db"]
