"""Helps in sections with examples, and errors in the words of a shell."""

import ast
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_tools import events, here, sandbox

import hostup_async
from hostup_async.cli._shell_words import in_shell_words
from hostup_async.sandbox import Durations

pytestmark = pytest.mark.usefixtures("cli_home")
PACKAGE = Path(hostup_async.__file__).parent
# What speaks of Python objects, and not of this program.
PYTHON = re.compile(r"\bclient\.|\bClient\(|[a-z_]+=(True|None|\.\.\.)|`[a-z_]+\(")
# Only a program that is built on the library can see these.
NOT_AT_A_SHELL = re.compile(
    r"ClientSession|async with|await client|`where`|`ids`|Select the VPSes|pass \["
)
SECTIONS = ["Selection", "Bounds", "Confirmation", "Output", "Connection", "Options"]


def sections(text: str) -> dict[str, str]:
    found = re.split(r"^(\w[\w ,]*):\n", text, flags=re.MULTILINE)
    return dict(zip(found[1::2], found[2::2], strict=True))


@pytest.mark.parametrize("action", ["reset", "restart", "start", "stop", "shutdown"])
def test_the_options_of_an_action_are_in_sections(action: str) -> None:
    found = sections(here(action, "--help").stdout)
    assert [name for name in found if name in SECTIONS] == SECTIONS
    for section, option in [
        ("Selection", "--exclude FILE"),
        ("Bounds", "--max-failures"),
        ("Confirmation", "--dry-run"),
        ("Output", "--json"),
        ("Connection", "--api-base"),
    ]:
        assert option in found[section]
    options, _, _ = found["Options"].partition("Examples")
    assert options.strip() == "-h, --help  Show this message and exit."


def test_the_commands_are_in_sections() -> None:
    found = sections(here("--help").stdout)
    assert "reset" in found["Act on VPSes"]
    assert {"vps", "auth"} <= set(found["Read"].split())
    assert {"fleet", "limit"} <= set(found["Recorded runs"].split())


def examples(*command: str) -> list[list[str]]:
    text = here(*command, "--help").stdout
    lines = text.partition("Examples:\n")[2].strip().splitlines()
    return [part for line in lines for part in split_at_pipes(shlex.split(line))]


def split_at_pipes(words: list[str]) -> Iterator[list[str]]:
    while "|" in words:
        at = words.index("|")
        yield words[:at]
        words = words[at + 1 :]
    yield words


@pytest.mark.parametrize("command", [("reset",), ("start",), ("vps", "list")])
def test_the_examples_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    found = examples(*command)
    assert len(found) >= 3
    with sandbox(monkeypatch, vps=2, stopped=1, jobs=Durations(kind="instant")) as served:
        for name in ("keep.txt", "ids.txt"):
            Path(name).write_text(served.vps_ids[0])
        given = ""
        for program, *words in found:
            assert program == "hostup"
            ended = here(*words, input=given or served.vps_ids[0])
            assert ended.returncode in {0, 1}, ended.stderr  # not 2: each option is known
            given = ended.stdout


def test_force_is_for_restart_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with sandbox(monkeypatch, vps=1, jobs=Durations(kind="instant")) as served:
        for action in ("reset", "start", "stop", "shutdown"):
            assert here(action, "--all", "--force").returncode == 2
            assert "--force" not in here(action, "--help").stdout.partition("Arguments")[2]
        planned = here("fleet", "plan", "--all", "--force")
        assert (planned.returncode, served.books().requests) == (2, {})
        assert here("restart", "--all", "--force").returncode == 0
    assert "for restart alone" in planned.stderr


# --- errors -------------------------------------------------------------------------------------


def messages() -> Iterator[str]:
    """Each text of the library that is no docstring, with x for what is filled in."""
    for path in PACKAGE.rglob("*.py"):
        place = path.relative_to(PACKAGE).parts[0]
        if place in {"cli", "sandbox"}:
            continue
        tree = ast.parse(path.read_text())
        inside = set[int]()
        for node in ast.walk(tree):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                inside.add(id(node.value))
            if isinstance(node, ast.JoinedStr):
                inside.update(map(id, ast.walk(node)))
                inside.discard(id(node))
                yield "".join(
                    "'x'" if isinstance(one, ast.FormattedValue) else str(one.value)  # type: ignore[attr-defined]
                    for one in node.values
                )
        for node in ast.walk(tree):
            value = node.value if isinstance(node, ast.Constant) else None
            if isinstance(value, str) and id(node) not in inside:
                yield value


SPOKEN = [
    one
    for one in messages()
    if " " in one and PYTHON.search(one) and not NOT_AT_A_SHELL.search(one)
]


def test_some_messages_speak_of_python() -> None:
    assert len(SPOKEN) >= 8


@pytest.mark.parametrize("message", SPOKEN)
def test_each_message_is_put_in_the_words_of_a_shell(message: str) -> None:
    assert not PYTHON.search(in_shell_words(message)), in_shell_words(message)


def test_an_unknown_vps(monkeypatch: pytest.MonkeyPatch) -> None:
    with sandbox(monkeypatch, vps=1):
        ended = here("vps", "show", "vps_nope")
    assert ended.stderr.startswith("hostup: 404 vps_not_found: ")
    assert "Check the id against hostup vps list." in ended.stderr
    assert re.search(r"\(GET /api/v2/vps/vps_nope, request \S+\)\n$", ended.stderr)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--max-in-flight", "0"), "--max-in-flight"),
        (("--max-failures", "0"), "--max-failures must be"),
        (("--job-timeout", "0"), "--job-timeout must be"),
        (("a/b",), "take the `id` that hostup vps list gives"),
        (("--store", ":memory:"), "--store none"),
    ],
)
def test_options_are_called_as_they_are_written(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    with sandbox(monkeypatch, vps=1) as served:
        target = () if words == ("a/b",) else ("--all",)
        ended = here("reset", *target, *words)
        assert served.books().resets == {}
    assert ended.returncode == 2
    assert said in ended.stderr
    assert not PYTHON.search(ended.stderr)


# --- the key ------------------------------------------------------------------------------------


def test_auth_check_in_rows_and_in_json(monkeypatch: pytest.MonkeyPatch) -> None:
    with sandbox(monkeypatch, vps=1) as served:
        url = served.url
        rows = here("auth", "check").stdout
        (facts,) = events(here("auth", "check", "-o", "json").stdout, "auth")
    assert dict(line.split("  ", 1) for line in rows.splitlines()).keys() == {
        *("API", "Profile", "Key from", "Fingerprint", "Checked", "read:vm", "power:vm")
    }
    assert facts["api"] == url
    assert (facts["profile"], facts["source"]) == ("default", "the variable HOSTUP_API_KEY")
    assert re.fullmatch(r"[0-9a-f]{12}", facts["fingerprint"])
    assert facts["scopes"]["read:vm"] == {"works": True, "detail": "works"}
    assert facts["scopes"]["power:vm"]["works"] is None
    assert facts["checked_at"] > 1_700_000_000
    assert served.api_key not in rows + json.dumps(facts)


def test_auth_check_of_a_key_that_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with sandbox(monkeypatch, vps=1):
        monkeypatch.setenv("HOSTUP_API_KEY", "sk_wrong_00000000")
        ended = here("auth", "check", "--json")
    (facts,) = events(ended.stdout, "auth")
    assert ended.returncode == 5
    assert facts["scopes"]["read:vm"]["works"] is False
