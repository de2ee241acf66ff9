"""Lists for people and for shells: formats, columns, and which VPSes are meant."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cli_tools import COMMAND, PATIENCE, events, here, sandbox, terminal

from hostup_async import Vps
from hostup_async.cli._inputs.targets import VpsFilter, read_tags
from hostup_async.cli._options import Listing
from hostup_async.cli._output.screen import screen
from hostup_async.cli._output.table import fit
from hostup_async.cli._work.inventory import VPSES
from hostup_async.sandbox import Durations
from hostup_async.sandbox._bodies import VpsBodies

pytestmark = pytest.mark.usefixtures("cli_home")
INSTANT = Durations(kind="instant")
LIST = ("vps", "list")
HEADINGS = ("Id", "Name", "Address", "Service", "Power")
BASH = shutil.which("bash") or "bash"


@pytest.fixture
def tags(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """Tags that the sandbox's VPSes have, by name."""
    chosen: dict[str, list[Any]] = {}
    summary = VpsBodies.summary

    def with_tags(self: VpsBodies, machine: Any, now: float) -> Any:
        return {**summary(self, machine, now), "tags": chosen.get(machine.name, [])}

    monkeypatch.setattr(VpsBodies, "summary", with_tags)
    return chosen


# --- formats ------------------------------------------------------------------------------------


def test_a_pipe_gets_rows_without_a_rule_and_nothing_folded(
    monkeypatch: pytest.MonkeyPatch, tags: dict[str, list[Any]]
) -> None:
    long = [f"tag-{number}" for number in range(60)]
    tags["web-1.example.com"] = long
    with sandbox(monkeypatch, vps=2) as served:
        lines = here(*LIST, "-o", "wide").stdout.splitlines()
    assert lines[0].split() == [
        "Id",
        "Name",
        "Address",
        "Service",
        "Power",
        "System",
        "Size",
        "Tags",
    ]
    assert [line.split()[0] for line in lines[1:]] == list(served.vps_ids)
    assert ", ".join(long) in lines[1]
    assert "─" not in "".join(lines)


def test_each_format_has_the_same_vpses(monkeypatch: pytest.MonkeyPatch) -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is in the extra `cli`")
    with sandbox(monkeypatch, vps=3) as served:
        ids = here(*LIST, "-o", "id").stdout.splitlines()
        quiet = here(*LIST, "-q").stdout.splitlines()
        as_json = events(here(*LIST, "-o", "json").stdout, "vps")
        same = events(here(*LIST, "--json").stdout, "vps")
        as_yaml = yaml.safe_load(here(*LIST, "-o", "yaml").stdout)
    assert ids == quiet == list(served.vps_ids)
    assert as_json == same
    assert [one["id"] for one in as_json] == ids
    assert as_yaml == [{k: v for k, v in one.items() if k not in {"v", "event"}} for one in same]


def test_yaml_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with sandbox(monkeypatch, vps=1):
        ended = here(*LIST, "-o", "yaml")
    assert ended.returncode == 1
    assert "pip install 'hostup[cli]'" in ended.stderr


def test_columns_are_chosen_and_ordered(monkeypatch: pytest.MonkeyPatch) -> None:
    with sandbox(monkeypatch, vps=2) as served:
        told = here(*LIST, "--columns", "name,Id", "--no-headers").stdout
        wrong = here(*LIST, "--columns", "id,nmae")
        no_table = here(*LIST, "--columns", "id", "-o", "json")
        assert served.books().requests == {"list": 1}  # wrong options are found before
    assert told.splitlines() == [
        f"web-{number}.example.com  {vps_id}" for number, vps_id in enumerate(served.vps_ids, 1)
    ]
    assert (wrong.returncode, no_table.returncode) == (2, 2)
    assert "the columns are id, name, address, service, power, system" in wrong.stderr
    assert "-o json has none" in no_table.stderr


def test_one_vps_and_its_state_in_each_format(monkeypatch: pytest.MonkeyPatch) -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is in the extra `cli`")
    with sandbox(monkeypatch, vps=1) as served:
        for command in ("show", "status"):
            words = ("vps", command, served.vps_ids[0])
            (as_json,) = events(here(*words, "-o", "json").stdout)
            as_yaml = yaml.safe_load(here(*words, "-o", "yaml").stdout)
            assert as_json["id"] == as_yaml["id"] == served.vps_ids[0]
            assert {*as_json} - {"v", "event"} == {*as_yaml}


@pytest.mark.parametrize("columns", [80, 60])
def test_a_narrow_terminal_breaks_no_line(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    with (
        sandbox(monkeypatch, vps=3) as served,
        terminal(*LIST, "-o", "wide", columns=columns) as run,
    ):
        assert run.end() == 0
    lines = [line for line in run.lines() if line]
    rows = [line for line in lines if line.startswith("vps_")]
    assert [row.split()[0] for row in rows] == list(served.vps_ids)
    assert max(map(len, lines)) <= max(columns, len(lines[-2]))
    assert all(len(row) <= columns for row in rows)
    assert any("…" in row for row in rows)
    assert "No room for: " in run.told
    assert "3 VPSes" in run.told


@pytest.mark.parametrize(
    ("widths", "room", "wanted"),
    [
        ([31, 18, 10], 80, [31, 18, 10]),
        ([31, 40, 10, 8], 80, [31, 25, 10, 8]),
        ([31, 8, 8, 8], 60, [31, 8, 8, 8][:3]),
        ([31, 20], 20, [31]),
    ],
)
def test_what_does_not_fit_is_cut_and_then_left_out(
    widths: list[int], room: int, wanted: list[int]
) -> None:
    assert fit(widths, room) == wanted


def test_runs_are_listed_in_each_format(monkeypatch: pytest.MonkeyPatch) -> None:
    with sandbox(monkeypatch, vps=1, jobs=INSTANT):
        assert here("reset", "--all", "--reason", "hung").returncode == 0
    (run,) = events(here("fleet", "runs", "--json").stdout, "run")
    assert here("fleet", "runs", "-q").stdout == f"{run['id']}\n"
    row = here("fleet", "runs", "--columns", "id,vpses,reason", "--no-headers").stdout
    assert row == f"{run['id']}  1 completed  hung\n"
    assert run["fingerprint"] in here("fleet", "runs", "-o", "wide").stdout


def test_an_id_with_a_line_end_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    VPSES.write(screen(), Listing(output="id"), [vps(), Vps(id="vps_2\nvps_3\x1b[2J"), Vps(id="")])
    assert capsys.readouterr().out == "vps_1\nvps_2?vps_3?[2J\n"


# --- one command's output is another one's input --------------------------------------------------


@pytest.mark.parametrize("form", [("-o", "id"), ("--json",), ("-q",)])
def test_a_list_is_piped_into_a_reset(
    monkeypatch: pytest.MonkeyPatch, form: tuple[str, ...]
) -> None:
    with sandbox(monkeypatch, vps=3, stopped=1, jobs=INSTANT) as served:
        listed = here(*LIST, "--power", "running", *form).stdout
        ended = here("reset", "--canary", "0", "-", input=listed)
        assert ended.returncode == 0, ended.stderr
        resets = set(served.books().resets)
    assert len(resets) == 2
    assert resets == {one for one in served.vps_ids if one in listed}


def test_the_pipe_of_a_real_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    program = " ".join(COMMAND)
    with sandbox(monkeypatch, vps=12, jobs=INSTANT) as served:
        line = f"{program} vps list --json | {program} reset --yes --canary 0 -"
        done = subprocess.run(
            [BASH, "-c", line], capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert done.returncode == 0, done.stderr
        assert len(served.books().resets) == 12


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"event": "run", "id": "20260921-141320-abcde"}\n', "line 1: the event 'run' names no"),
        ('{"event": "vps", "id": 5}\n', "line 1: the event 'vps' names no VPS"),
        ('{"id": "vps_1"}\n{"id": "vps_', "line 2: this is not whole JSON"),
        ("[1]", "item 1: this names no VPS"),
        ("Id  Name\nvps_1  web\n", "line 1: expected one id"),
    ],
)
def test_input_that_names_no_vps_sends_nothing(
    monkeypatch: pytest.MonkeyPatch, text: str, words: str
) -> None:
    with sandbox(monkeypatch, vps=1) as served:
        ended = here("reset", "-", input=text)
        assert served.books().requests == {}
    assert ended.returncode == 2
    assert words in ended.stderr


def test_json_of_other_commands_names_vpses(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with sandbox(monkeypatch, vps=3, jobs=INSTANT) as served:
        one, two, three = served.vps_ids
        file = tmp_path / "ids.json"
        file.write_text(json.dumps([one, {"id": two}, {"event": "entry", "vps_id": three}]))
        ended = here("reset", "--from", str(file), "--canary", "0")
        assert ended.returncode == 0, ended.stderr
        assert len(served.books().resets) == 3


# --- which VPSes are meant ------------------------------------------------------------------------


def names_of(*words: str) -> list[str]:
    told = here(*LIST, *words, "--columns", "name", "--no-headers")
    assert told.returncode == 0, told.stderr
    return [line.removesuffix(".example.com") for line in told.stdout.splitlines()]


def test_selectors_choose_what_is_listed(
    monkeypatch: pytest.MonkeyPatch, tags: dict[str, list[Any]], tmp_path: Path
) -> None:
    tags["web-2.example.com"] = ["blue", {"name": "env", "value": "prod"}]
    tags["web-3.example.com"] = ["Blue"]
    with sandbox(monkeypatch, vps=12, stopped=1) as served:
        skip = tmp_path / "skip.txt"
        skip.write_text(f"{served.vps_ids[1]} # kept\n")
        assert names_of("--name", "WEB-1*") == ["web-1", "web-10", "web-11", "web-12"]
        assert names_of("--name", "web-?.example.com", "--tag", "blue") == ["web-2", "web-3"]
        assert names_of("--tag", "blue", "--tag", "env=*") == ["web-2"]
        assert names_of("--tag", "blue", "--exclude", str(skip)) == ["web-3"]
        assert len(names_of("--power", "running")) == 11
        assert names_of("--name", "web-1") == []


def test_selectors_choose_what_is_reset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with sandbox(monkeypatch, vps=12, jobs=INSTANT) as served:
        skip = tmp_path / "skip.txt"
        skip.write_text(f"{served.vps_ids[9]}\nvps_typo\n")
        words = ("--name", "web-1*", "--exclude", str(skip))
        planned = here("fleet", "plan", *words)
        ended = here("reset", *words, "--canary", "0", "--json")
        resets = set(served.books().resets)
    assert ended.returncode == 0, ended.stderr
    assert resets == {served.vps_ids[number] for number in (0, 10, 11)}
    assert "Reset 3 VPSes" in planned.stdout
    assert f"{served.vps_ids[9]} (web-10.example.com): it is in the file of" in planned.stdout
    assert "of --exclude, 1 are not among them: vps_typo" in ended.stderr
    names = {one["vps_id"]: one["name"] for one in events(ended.stdout, "outcome")}
    assert names[served.vps_ids[0]] == "web-1.example.com"


def test_ids_that_are_excluded_were_not_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with sandbox(monkeypatch, vps=3, jobs=INSTANT) as served:
        skip = tmp_path / "skip.txt"
        skip.write_text(served.vps_ids[0])
        ended = here("reset", *served.vps_ids, "--canary", "0", "--exclude", str(skip))
        assert len(served.books().resets) == 2
    assert ended.returncode == 0


@pytest.mark.parametrize("words", [("--name", " "), ("--tag", ""), ("--all", "--tag", "x")])
def test_selectors_that_select_nothing_or_all(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    with sandbox(monkeypatch, vps=1) as served:
        assert here("reset", *words).returncode == 2
        assert served.books().requests == {}


def vps(**raw: Any) -> Vps:
    return Vps(id="vps_1", name=raw.get("name"), power_state=raw.get("powerState"), raw=raw)


def test_what_the_api_does_not_say_matches_nothing() -> None:
    assert not VpsFilter(power="stopped").matches(vps())
    assert not VpsFilter(tags=("*",)).matches(vps(tags=None))
    assert not VpsFilter(name="?*").matches(vps())
    assert VpsFilter(name="web[1]").matches(vps(name="WEB[1]"))
    assert not VpsFilter(name="web[1]*").matches(vps(name="web1"))  # [1] is no set of characters


def test_tags_in_any_form_are_text() -> None:
    found = vps(tags=["a", {"key": "env", "value": "prod"}, {"label": "x"}, 5, None])
    assert list(read_tags(found)) == ["a", "env=prod", "x"]


# --- reasons ------------------------------------------------------------------------------------


def test_equal_reasons_are_one_line_with_the_cause_first_and_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hidden = {"gates_on": ["details"], "not_ready": 5}  # the plan sees nothing of it
    with sandbox(monkeypatch, vps=6, jobs=INSTANT, **hidden) as served:
        ended = here("reset", "--all", "--canary", "0", "-q")
    lines = [line for line in ended.stdout.splitlines() if "vps_not_ready" in line]
    summary = lines[-1]
    assert summary.startswith("       5  refused: 409 vps_not_ready: ")
    assert "see hostup vps show ID" in summary
    path = summary.index("(POST /api/v2/vps/…/actions/reset, request …)")
    assert summary.index("see hostup vps show") < path
    few = ", ".join(f"{one} (web-{n}.example.com)" for n, one in enumerate(served.vps_ids[:3], 1))
    assert summary.endswith(f"[{few}, and 2 more]")
    assert len(lines) == 1 + 5  # the others said it one by one, with their own ids, and whole
    assert all("web-" in line and "request " in line for line in lines)
