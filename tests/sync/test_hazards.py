"""Each script in `hazards/` is run by itself; its docstring says which lines it prints."""

import ast
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from sync_tools import FOLDER, ROOT
from tools import accepted, repeats, unmeasured

from hostup_async.sandbox import Durations, Fault, FaultRule, SandboxConfig, ThreadedSandbox

SCRIPTS = sorted((FOLDER / "hazards").glob("[!_]*.py"))
RACY = {"ctrl_c_in_a_call", "ctrl_c_at_any_moment", "second_ctrl_c", "fork_and_open_anew"}
LONG = Durations(kind="constant", median=600)
SERVERS: dict[str, dict[str, Any]] = {
    "plain": {"jobs": Durations(kind="constant", median=0.1)},
    "long": {"jobs": LONG},
    "stall reset": {"faults": [FaultRule(Fault.STALL, on="reset")]},
}
HARD_TIMEOUT = 60.0
# An exit takes 2 s at most; the rest is what starting Python takes on a busy machine.
LONGEST = 40.0
WARNING = re.compile(r".*ResourceWarning: ((?:Unclosed|unclosed) .*)\n(  .*\n)?")


def said(docstring: str, title: str) -> list[str]:
    """The lines of a section of a script's docstring, or what stands on the title's own line."""
    found = re.search(rf"^{title}:(?: (.+)|\n((?:    .+\n?)+))", docstring, re.MULTILINE)
    if found is None:
        return []
    return [found[1]] if found[1] else [line.strip() for line in found[2].splitlines()]


def run_script(path: Path, sandbox: ThreadedSandbox, *, is_measured: bool) -> tuple[list[str], str]:
    """The lines that it prints, and its standard error."""
    environment = os.environ if is_measured else unmeasured(os.environ)
    places = [FOLDER, ROOT / "tests" / "support", ROOT]
    names = {"HOSTUP_API_KEY": sandbox.api_key, "HOSTUP_API_BASE": sandbox.url}
    warnings = ["-W", "always::ResourceWarning", "-W", "ignore::DeprecationWarning"]
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, *warnings, str(path)],
        env={**environment, **names, "PYTHONPATH": os.pathsep.join(map(str, places))},
        capture_output=True,
        text=True,
        timeout=HARD_TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert time.monotonic() - began < LONGEST, done.stdout
    return done.stdout.splitlines(), done.stderr


EACH = [
    pytest.param(path, turn, id=f"{path.stem}-{turn}")
    for path in SCRIPTS
    for turn in range(repeats(10) if path.stem in RACY else 1)
]


@pytest.mark.parametrize(("path", "turn"), EACH)
def test_a_script_prints_what_it_says(path: Path, turn: int) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    [server] = said(docstring, "Server") or ["plain"]
    with ThreadedSandbox(SandboxConfig(**{"vps": 3, **SERVERS[server]})) as sandbox:
        lines, errors = run_script(path, sandbox, is_measured=turn == 0)
        assert sandbox.books().reset_twice == ()
    assert lines == said(docstring, "Lines"), errors
    warned = WARNING.findall(errors)
    logged = WARNING.sub("", errors).splitlines()
    for line, beginning in zip(logged, said(docstring, "Log"), strict=True):
        assert line.startswith(beginning)
    assert len(warned) == len(said(docstring, "Warnings"))
    for (warning, _), wanted in zip(warned, said(docstring, "Warnings"), strict=True):
        assert warning.partition(">")[2] == wanted.partition(">")[2]


def test_no_accepted_reset_is_lost_to_ctrl_c() -> None:
    config = SandboxConfig(vps=100, latency=0.002, jobs=SERVERS["long"]["jobs"])
    script = FOLDER / "counted" / "ctrl_c_during_resets.py"
    with ThreadedSandbox(config) as sandbox:
        for _ in range(repeats(10)):
            sandbox.reset_books()
            lines, errors = run_script(script, sandbox, is_measured=False)
            logged = errors.splitlines()  # the core logs what it notes
            assert all("accepted before the cancellation" in line for line in logged)
            taken = accepted(sandbox.books())
            assert len(lines) == sum(taken.values())
            assert all(any(vps_id in line for line in lines) for vps_id in taken)
