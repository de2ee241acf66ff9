"""What users read is plain English: no word of the list below is in it."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from cli_tools import here

import hostup_async
from hostup_async.cli._commands.app import app

ROOT = Path(hostup_async.__file__).parents[1]
FORBIDDEN = (
    r"\bso (?:many|much)\b",
    r"\bso long\b",
    r"\bsuch an? (?:amount|count|interval|length|number|rate|share|size|time|while)\b",
    r"\bnobody\b",
    r"\bwhoever\b",
    r"\blikewise\b",
    r"\AThe same\b",  # a docstring that is only understood after another one
    r"(?m:^\s*\w+: (?:The same|As for)\b)",  # an attribute or argument, likewise
    r"\AAs `",
    r"\AWhat follows\b",
    r"\b(?:is|are) to be typed\b",
    r"(?<!\bthere\s)\bis no (?!longer\b|more\b)\w",  # "is no id"
    r"\blook(?:s|ed|ing)? at (?:a |the |each |its )?jobs?\b",  # we poll
)
# A phrase may stand on two lines.
TICS = re.compile("|".join(FORBIDDEN).replace(" ", r"\s+"), re.IGNORECASE)
DOCUMENTS = [
    *(ROOT / f"{name}.md" for name in ("README", "CHANGELOG", "CONTRIBUTING", "SECURITY")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").glob("*.py")),
    ROOT / "hostup_async/cli/_html/assets/report.html",
]
SOURCES = sorted(
    path
    for package in ("hostup_async", "hostup_sync")
    for path in (ROOT / package).rglob("*.py")
    if path.name != "_generated.py"  # its docstrings are those of hostup_async
)


def place_of(path: Path) -> str:
    """The package that a module is in, or the module itself at the top."""
    return "/".join(path.relative_to(ROOT).parts[:2])


PLACES = sorted(set(map(place_of, SOURCES)))
IN_EACH_PLACE = pytest.mark.parametrize("place", PLACES)


def tics(text: str) -> list[str]:
    """Each forbidden word in a text, with what stands around it."""
    return [
        text[max(0, found.start() - 40) : found.end() + 40].replace("\n", " ")
        for found in TICS.finditer(text)
    ]


def command_paths(command: Any, *path: str) -> Iterator[tuple[str, ...]]:
    """The words that lead to each command and each group below this one, itself included."""
    yield path
    for name, child in getattr(command, "commands", {}).items():
        yield from command_paths(child, *path, name)


COMMANDS = sorted(command_paths(typer.main.get_command(app)))


def docstring_nodes(tree: ast.AST) -> set[ast.expr]:
    """The docstrings of a module, its classes and its functions, and those below attributes."""
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    }


def messages(tree: ast.AST) -> Iterator[str]:
    """Every text in the code that is not a docstring, f-strings as a whole."""
    skipped: set[ast.expr] = docstring_nodes(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            skipped |= {part for part in node.values if isinstance(part, ast.Constant)}
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in skipped:
            yield node.value


def docstrings(tree: ast.AST) -> Iterator[str]:
    for node in docstring_nodes(tree):
        assert isinstance(node, ast.Constant)
        yield str(node.value)


def tics_in(place: str, read: Callable[[ast.AST], Iterator[str]]) -> list[tuple[str, str]]:
    """Module and tic, for each text that `read` finds in a place such as `hostup_async/_http`."""
    return [
        (path.relative_to(ROOT).as_posix(), tic)
        for path in SOURCES
        if place_of(path) == place
        for text in read(ast.parse(path.read_text()))
        for tic in tics(text)
    ]


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_each_help_is_plain(path: tuple[str, ...]) -> None:
    text = here(*path, "--help").stdout
    assert "Usage: hostup" in text
    assert tics(text) == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_each_document_is_plain(path: Path) -> None:
    assert tics(path.read_text()) == []


@IN_EACH_PLACE
def test_each_message_is_plain(place: str) -> None:
    assert tics_in(place, messages) == []


@IN_EACH_PLACE
def test_each_docstring_is_plain(place: str) -> None:
    assert tics_in(place, docstrings) == []


def test_commands_and_modules_are_all_read() -> None:
    assert {(), ("reset",), ("fleet", "resume"), ("auth", "check")} <= set(COMMANDS)
    assert {"hostup_async/cli", "hostup_async/_http", "hostup_sync/_loop.py"} <= set(PLACES)
    assert ROOT / "docs" / "json.md" in DOCUMENTS
    assert ROOT / "examples" / "thread_pool.py" in DOCUMENTS


@pytest.mark.parametrize(
    "text",
    [
        "After so long, so many are gone.",
        "Likewise for those of which nobody can tell.",
        "their number\nis to be typed",
        "after such a time",
        "The same with a timeout.",
        "Args:\n    store: As for `run`.",
        "Attributes:\n    reason: The same, in a sentence.",
        "As `first`, but more exact.",
        "'x' is no time",
        "the run looks at jobs",
    ],
)
def test_a_tic_would_be_found(text: str) -> None:
    assert tics(text)


@pytest.mark.parametrize(
    "text",
    [
        "there is no key",
        "it is no longer held",
        "such as 5%",
        "a limit such as 5, or such a limit",
        "the order is: the same as before",
        "The jobs look as they should.",
    ],
)
def test_plain_sentences_pass(text: str) -> None:
    assert tics(text) == []


def test_the_reader_sees_every_text() -> None:
    tree = ast.parse('''
"""Module."""
def f(x):
    """Function."""
    message = f"one {x} two" "three"
    raise ValueError("four", {"five": 'six'})
''')
    assert set(messages(tree)) == {"one {} twothree", "four", "five", "six"}
    assert set(docstrings(tree)) == {"Module.", "Function."}
