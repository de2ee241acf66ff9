"""A misspelt public name is an error to a type checker, although names are loaded lazily."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hostup_async

NAMES = {
    "hostup_async": "Client",
    "hostup_async.sandbox": "Sandbox",
    "hostup_sync": "Client",
    "hostup_sync.sandbox": "Sandbox",
}
CHECKERS = {
    "mypy": ["-m", "mypy", "--strict", "--no-incremental", "--config-file="],
    "pyright": ["-m", "pyright", "--pythonpath", sys.executable],
}


@pytest.mark.parametrize("checker", CHECKERS)
def test_a_misspelt_name_fails_the_type_check(checker: str, tmp_path: Path) -> None:
    pytest.importorskip(checker, reason="the `types` session has it, and runs this")
    script = tmp_path / "script.py"
    rights = [f"from {package} import {name} as right_{n}" for n, (package, name) in each()]
    wrongs = [f"from {package} import {name}x as wrong_{n}" for n, (package, name) in each()]
    script.write_text("\n".join([*rights, *wrongs]) + "\n")
    root = Path(hostup_async.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, *CHECKERS[checker], str(script)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,  # the project's own settings are not in force
        env={**os.environ, "MYPYPATH": str(root), "PYTHONPATH": str(root)},
    )
    output = done.stdout + done.stderr
    assert done.returncode == 1, output
    for name in NAMES.values():
        assert f'"{name}x"' in output
    wrong = {int(line) for line in re.findall(r"script\.py:(\d+):.*error", output)}
    assert wrong == {len(NAMES) + n + 1 for n, _ in each()}, output


def each() -> list[tuple[int, tuple[str, str]]]:
    return list(enumerate(NAMES.items()))
