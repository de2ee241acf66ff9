"""The examples of the README and of `docs/testing.md` run as they stand, on a sandbox."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hostup_async.sandbox import ThreadedSandbox

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
EXAMPLES = BLOCK.findall((ROOT / "README.md").read_text())
SCRIPTS = [text for text in EXAMPLES if "asyncio.run" in text or "hostup_sync" in text]
TESTS = [text for text in EXAMPLES if "def test_" in text]
EXAMPLE_ID = "vps_01hxa3b4c5d6e7f8g9h0j1k2m3"


def test_each_example_is_a_script_or_a_test() -> None:
    assert len(SCRIPTS) >= 3
    assert len(TESTS) >= 1
    assert len(SCRIPTS) + len(TESTS) == len(EXAMPLES)


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_scripts_reset_what_they_say(script: str, tmp_path: Path) -> None:
    with ThreadedSandbox() as sandbox:
        program = script.replace(EXAMPLE_ID, sandbox.vps_ids[0]).replace('name="web"', "all=True")
        names = {"HOSTUP_API_KEY": sandbox.api_key, "HOSTUP_API_BASE": sandbox.url}
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            env={**os.environ, **names},
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )
        books = sandbox.books()
    assert (done.returncode, done.stderr) == (0, "")
    assert books.resets
    assert books.reset_twice == ()
    assert set(books.resets) == set(sandbox.vps_ids) or EXAMPLE_ID in script


PLUGINS = 'pytest_plugins = ["hostup_async.sandbox.pytest_plugin"]\n'
BACKEND = "import pytest\n\n\n@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n"


def run_suite(folder: Path, *modules: str, conftest: str = PLUGINS) -> str:
    """Run modules as a suite of a user's own, with anyio's plugin; what pytest wrote."""
    (folder / "conftest.py").write_text(conftest + BACKEND)
    (folder / "pytest.ini").write_text(
        "[pytest]\nanyio_mode = auto\nfilterwarnings = error\naddopts = --strict-markers\n"
    )
    for number, text in enumerate(modules):
        (folder / f"test_{number}.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.parametrize("text", TESTS)
def test_the_tests_pass_in_a_suite_of_a_users_own(text: str, tmp_path: Path) -> None:
    assert "1 passed" in run_suite(tmp_path, text)


def test_the_examples_on_testing_pass(tmp_path: Path) -> None:
    conftest, *modules = BLOCK.findall((ROOT / "docs/testing.md").read_text())
    assert conftest == PLUGINS
    assert all("def test_" in text for text in modules)
    assert f"{len(modules)} passed" in run_suite(tmp_path, *modules, conftest=conftest)
