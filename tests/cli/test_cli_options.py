"""From options to what they mean, read in this process."""

import io
import sys
from pathlib import Path
from typing import Annotated, Any

import attrs
import pytest
import typer
from typer.testing import CliRunner

from hostup_async.cli._commands.option_groups import expand_option_groups
from hostup_async.cli._exits import CommandFailed, ExitCode
from hostup_async.cli._inputs.id_lists import given_ids
from hostup_async.cli._inputs.policy import count_or_share, duration, make_policy
from hostup_async.cli._inputs.targets import selector
from hostup_async.cli._options import PolicyOptions, Selection


@pytest.mark.parametrize(
    ("ids", "selection", "wanted"),
    [
        (["vps_1", "vps_2"], Selection(), {"ids": ["vps_1", "vps_2"]}),
        ([], Selection(all_of_them=True), {"all": True}),
        ([], Selection(name="web"), {"name": "web"}),
    ],
)
def test_one_way_to_select(ids: list[str], selection: Selection, wanted: dict[str, Any]) -> None:
    assert selector(ids, selection) == wanted


@pytest.mark.parametrize(
    ("ids", "selection"),
    [
        ([], Selection()),
        (["vps_1"], Selection(all_of_them=True)),
        ([], Selection(all_of_them=True, name="web")),
        ([], Selection(from_file="-", name="web")),
    ],
)
def test_no_way_or_two_ways_to_select(ids: list[str], selection: Selection) -> None:
    with pytest.raises(CommandFailed, match="in exactly one way") as failed:
        selector(ids, selection)
    assert failed.value.code is ExitCode.USAGE


def test_a_file_of_ids(tmp_path: Path) -> None:
    file = tmp_path / "ids"
    file.write_bytes(b"\xef\xbb\xbfvps_1 # web\r\n\n  # nothing\nvps_2")
    assert selector(["vps_0"], Selection(from_file=str(file))) == {
        "ids": ["vps_0", "vps_1", "vps_2"]
    }


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"vps_1\nvps 2\n", "line 2: expected one id"),
        (b"# all of them\n\n a/b # bad\n", "line 3: 'a/b' cannot be a VPS id"),
        (b"vps_1\n\xff\n", "line 2: this is not UTF-8 text"),
        (b"vps_1\nvps_\x1b[2J\n", "line 2: "),
        (b"..\n", "line 1: "),
        (b"# nothing\n", "the list of VPS ids is empty"),
    ],
)
def test_a_malformed_file_of_ids(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "ids"
    file.write_bytes(content)
    with pytest.raises(CommandFailed, match=words) as failed:
        given_ids([], str(file))
    assert failed.value.code is ExitCode.USAGE
    assert "\x1b" not in str(failed.value)


def test_a_file_of_ids_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="cannot be read: No such file"):
        given_ids([], str(tmp_path / "none"))


def test_standard_input_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a b")))
    with pytest.raises(CommandFailed, match="standard input, line 1"):
        given_ids(["-"])


@pytest.mark.parametrize(
    ("text", "seconds"), [("0", 0), ("90", 90), ("1.5s", 1.5), ("5 m", 300), ("2h", 7200)]
)
def test_durations(text: str, seconds: float) -> None:
    assert duration("--cooldown", text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "5w", "-1", "1e3", "nan", "٣"])
def test_no_durations(text: str) -> None:
    with pytest.raises(CommandFailed, match="--cooldown"):
        duration("--cooldown", text)


@pytest.mark.parametrize(("text", "value"), [("5", 5), ("2.5%", 0.025), (None, None)])
def test_failure_budgets(text: str | None, value: float | None) -> None:
    assert count_or_share("--max-failures", text) == value


@pytest.mark.parametrize("text", ["", "many", "0%", "100%", "0.05", "-1", "٣"])
def test_no_failure_budgets(text: str) -> None:
    with pytest.raises(CommandFailed, match="--max-failures"):
        count_or_share("--max-failures", text)


def test_the_policy() -> None:
    policy = make_policy(PolicyOptions(max_failures="5%", cooldown="0", verify=True, reason="why"))
    assert (policy.canary, policy.max_failures, policy.cooldown) == (1, 0.05, 0)
    assert policy.skip_booted_within is None
    assert make_policy(PolicyOptions(skip_booted_within="10m")).skip_booted_within == 600
    assert make_policy(PolicyOptions(skip_booted_within="0")).skip_booted_within == 0
    assert (policy.verify, policy.reason) == (True, "why")


@attrs.frozen
class Size:
    width: Annotated[int, typer.Option(help="How wide.")] = 80
    loud: Annotated[bool, typer.Option("--loud")] = False


def test_groups_of_options_are_spread_into_a_commands_own() -> None:
    seen: list[object] = []

    def draw(*, name: Annotated[str, typer.Argument()], size: Size) -> None:
        seen.extend((name, size))

    app = typer.Typer()
    app.command()(expand_option_groups(draw))
    assert CliRunner().invoke(app, ["box", "--width", "132", "--loud"]).exit_code == 0
    assert seen == ["box", Size(132, loud=True)]
