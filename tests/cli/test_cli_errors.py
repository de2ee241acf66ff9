"""What can go wrong around the program: told in a line, with an exit code, never a traceback."""

import os
import resource
import sqlite3
import subprocess
from pathlib import Path

import pytest
from cli_tools import COMMAND, PATIENCE, here, hostup, sandbox
from tools import free_port, unmeasured

from hostup_async._store.sql import sqlite
from hostup_async.sandbox import Durations

pytestmark = pytest.mark.usefixtures("cli_home")
KEY = "sk_test_0123456789"


def one_line(told: str) -> str:
    assert told.startswith("hostup: ")
    assert told.count("\n") == 1
    return told


def test_no_key_says_where_keys_are_looked_for(cli_home: Path) -> None:
    ended = hostup("vps", "list")
    assert ended.returncode == 5
    assert "HOSTUP_API_KEY" in one_line(ended.stderr)
    assert str(cli_home / "config" / "hostup" / "config.toml") in ended.stderr


def test_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOSTUP_API_KEY", KEY)
    base = f"http://127.0.0.1:{free_port()}"
    ended = hostup("vps", "list", "--api-base", base, "--patience", "0.5s")
    assert ended.returncode == 1
    assert "never left this machine" in ended.stderr or "connect" in ended.stderr.lower()


@pytest.mark.parametrize("command", [("vps", "show"), ("vps", "status")])
def test_an_unknown_id(monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]) -> None:
    with sandbox(monkeypatch, vps=1):
        ended = here(*command, "vps_nope")
    assert ended.returncode == 1
    assert "404" in one_line(ended.stderr)


def test_a_store_of_a_newer_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store = tmp_path / "fleet.db"
    with sandbox(monkeypatch, vps=1) as served:
        assert here("reset", "--all", "--store", str(store)).returncode == 0
        with sqlite3.connect(store) as connection:
            connection.execute("UPDATE hostup_store SET version = 99")
        connection.close()
        ended = here("reset", "--all", "--store", str(store))
        assert list(served.books().resets.values()) == [1]
    assert ended.returncode == 1
    assert "version 99" in one_line(ended.stderr)


def test_a_store_that_is_locked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store = tmp_path / "fleet.db"
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.2)
    with sandbox(monkeypatch, vps=1) as served:
        assert here("reset", "--all", "--store", str(store)).returncode == 0
        connection = sqlite3.connect(store, isolation_level=None)
        connection.execute("BEGIN EXCLUSIVE")
        ended = here("reset", "--all", "--store", str(store))
        connection.close()
        assert list(served.books().resets.values()) == [1]
    assert ended.returncode == 1
    assert "has been locked by another process" in one_line(ended.stderr)


def test_a_full_disk_stops_the_sending(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store = tmp_path / "fleet.db"
    with sandbox(monkeypatch, vps=300, jobs=Durations(kind="instant")) as served:
        size = 100_000

        def little_room() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

        options = ("--yes", "--canary", "0", "--store", str(store))
        # What measures coverage would run out of room as well.
        names = unmeasured(os.environ)
        ended = hostup("reset", "--all", *options, env=names, preexec_fn=little_room)
        resets = served.books().resets
        assert 0 < len(resets) < 300
        assert ended.returncode == 1, ended.stdout
        assert "the store is lost" in ended.stdout
        assert "Resume with: hostup fleet resume" in ended.stdout


def test_a_store_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with sandbox(monkeypatch, vps=1) as served:
        ended = here("reset", "--all", "--store", str(tmp_path / "none" / "fleet.db"))
        assert served.books().resets == {}
    assert ended.returncode == 1
    assert "cannot be created" in one_line(ended.stderr)


def test_no_store_is_made_by_looking_at_it(tmp_path: Path) -> None:
    store = tmp_path / "none.db"
    for command in ("runs", "status", "report"):
        ended = here("fleet", command, "--store", str(store))
        assert ended.returncode == 1
        assert "there is no store" in one_line(ended.stderr)
    assert not store.exists()


def test_an_unknown_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with sandbox(monkeypatch, vps=1):
        assert here("reset", "--all").returncode == 0
        ended = here("fleet", "resume", "nope")
    assert ended.returncode == 2
    assert "has no run 'nope'" in one_line(ended.stderr)


def test_a_pipe_that_breaks_ends_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    with sandbox(monkeypatch, vps=2000):
        told = subprocess.run(
            ["/bin/sh", "-c", f"{COMMAND[0]} vps list | head -n 3"], timeout=PATIENCE,
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    assert told.stdout.count("\n") == 3
    assert told.stderr == ""


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_pipe_that_breaks_does_not_end_a_run(
    monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    with sandbox(monkeypatch, vps=3, jobs=Durations(median=0.3)) as served:
        reading, writing = os.pipe()
        with os.fdopen(writing, "wb") as pipe:
            command = [*COMMAND, "reset", "--all", "-v", "--max-in-flight", "1", *options]
            run = subprocess.Popen(command, stdout=pipe, stderr=subprocess.PIPE, text=True)
        os.read(reading, 10)
        os.close(reading)
        _, errors = run.communicate(timeout=PATIENCE)
        assert len(served.books().resets) == 3
    assert (run.returncode, errors) == (0, "")


def test_a_hostile_name_commands_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    with sandbox(monkeypatch, vps=1):
        ended = here("reset", "vps_\x1b[2Jx")
    assert ended.returncode == 2
    assert "\x1b" not in ended.stderr
