"""The lowest versions that pyproject.toml allows; `nox -s lowest` runs the tests with them."""

import re
import tomllib
from pathlib import Path

import pytest

PYPROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
EXTRAS = PYPROJECT["project"]["optional-dependencies"]
REQUIREMENTS = [
    *PYPROJECT["project"]["dependencies"],
    *(one for extra in EXTRAS.values() for one in extra),
    *PYPROJECT["dependency-groups"]["tests"],
]


@pytest.mark.parametrize("requirement", REQUIREMENTS)
def test_each_package_has_a_floor(requirement: str) -> None:
    """Without one, the lowest version is the first that was ever released."""
    assert re.search(r">=\d", requirement) or requirement.startswith("hostup[")


def test_the_command_line_asks_for_a_typer_that_it_works_with() -> None:
    """Before 0.19, its help breaks with a Click that pip installs beside it."""
    [typer] = [one for one in EXTRAS["cli"] if one.startswith("typer")]
    version = tuple(map(int, typer.partition(">=")[2].split(".")))
    assert version >= (0, 19)
