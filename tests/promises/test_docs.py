"""What the documents name is there: links, files, tests, classes, functions, and the layers."""

import ast
import builtins
import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from test_architecture import ORDER

ROOT = Path(__file__).parents[2]
PACKAGES = (ROOT / "hostup_async", ROOT / "hostup_sync")
AT_THE_TOP = [ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY")]
PAGES = sorted([*ROOT.glob("docs/**/*.md"), *AT_THE_TOP])
DECISIONS = [page for page in PAGES if page.parent.name == "decisions"]
GLOSSARY = (ROOT / "docs/glossary.md").read_text()
MOST_OWN_WORDS = 10
WIDTH = 100
MOST_ROWS = 10  # of the table in CONTRIBUTING
# Code spans that begin with one of these are paths, and not routes, media types or URLs.
TOPS = {"tests", "docs", "benchmarks", "examples", "hostup_async", "hostup_sync", "cli", "sandbox"}
# Headers of HTTP, and classes of Python's own.
NOT_OURS = {"Authorization", "Date", "CancelledError", *dir(builtins)}

LINK = re.compile(r"\]\(([^)\s]+)\)")
SPAN = re.compile(r"`([^`\n]+)`")
FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
DRAWING = re.compile(r"^```text\n(.*?)^```$", re.DOTALL | re.MULTILINE)
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
PATH = re.compile(r"[\w.-]+(?:/[\w.-]*)+")
TEST = re.compile(r"(tests/[\w/]+\.py)(?:::(\w+))?")
CLASS = re.compile(r"[A-Z][a-z]+(?:[A-Z][a-z]+)*")
# A class or a function, and where it is: in words, or in brackets.
HOME = re.compile(r"`(\w+)(?:\(\))?`\s+(?:in\s+|\()`([\w/]+\.py)`")
FUNCTION = re.compile(r"(\w+)\(\)")
OWN_WORD = re.compile(r"^\| \*\*([\w ]+)\*\* \|", re.MULTILINE)


def trees(*folders: Path) -> Iterator[ast.Module]:
    for folder in folders:
        for path in folder.rglob("*.py"):
            yield ast.parse(path.read_text())


@cache
def names_in_code() -> tuple[set[str], set[str]]:
    """The names of all classes, and of all functions."""
    nodes = [node for tree in trees(*PACKAGES) for node in ast.walk(tree)]
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return (
        {node.name for node in nodes if isinstance(node, ast.ClassDef)},
        {node.name for node in nodes if isinstance(node, functions)},
    )


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def is_there(link: str, page: Path) -> bool:
    """Whether a link leads somewhere; one to another site is believed."""
    if re.match(r"[a-z]+:", link):
        return True
    name, _, anchor = link.partition("#")
    target = (page.parent / name).resolve() if name else page
    if not target.exists() or not anchor:
        return target.exists()
    return anchor in {slug(heading) for heading in HEADING.findall(target.read_text())}


def is_path(span: str) -> bool:
    top = span.partition("/")[0]
    return bool(PATH.fullmatch(span)) and (top in TOPS or top.startswith("_"))


def has_path(span: str) -> bool:
    bases = (ROOT, *PACKAGES)
    return any((base / span).exists() or (base / f"{span}.py").is_file() for base in bases)


def has_test(file: str, name: str) -> bool:
    path = ROOT / file
    return path.is_file() and (not name or bool(re.search(rf"def {name}\(", path.read_text())))


def places(text: str) -> list[str]:
    """The modules and packages at the top of `hostup_async` that a text names, in its order."""
    return [name for name in re.findall(r"\w+", text) if name in {*ORDER, "sandbox"}]


def in_order(*rows: list[str]) -> bool:
    """Whether each row imports nothing of the rows after it."""
    ranks = [[ORDER.index(name) for name in row] for row in rows if row]
    return all(max(one) < min(after) for one, after in pairwise(ranks))


def defines(file: str, name: str) -> bool:
    """Whether a module of ours, named as in a page, has a class or function of that name."""
    paths = [base / file for base in (ROOT, *PACKAGES) if (base / file).is_file()]
    return any(re.search(rf"\b(?:class|def) {name}\b", path.read_text()) for path in paths)


def missing(text: str, page: Path) -> list[str]:
    """What a text names that is not there."""
    spans = SPAN.findall(FENCE.sub("", text))
    classes, functions = names_in_code()
    called = [found[1] for span in spans if (found := FUNCTION.fullmatch(span))]
    return [
        *(link for link in LINK.findall(text) if not is_there(link, page)),
        *(span for span in spans if is_path(span) and not has_path(span)),
        *(f"{file}::{name}" for file, name in TEST.findall(text) if not has_test(file, name)),
        *(f"{name} in {file}" for name, file in HOME.findall(text) if not defines(file, name)),
        *(s for s in spans if CLASS.fullmatch(s) and s not in classes | NOT_OURS),
        *(name for name in called if name not in functions),
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_is_there(page: Path) -> None:
    assert missing(page.read_text(), page) == []


@pytest.mark.parametrize(
    "broken",
    [
        "[a page](docs/nowhere.md)",
        "[a heading](docs/glossary.md#nowhere)",
        "`_http/nowhere.py`",
        "`hostup_sync/_nowhere`",
        "`tests/nowhere/`",
        "tests/nowhere.py",
        "`tests/promises/test_docs.py::test_nowhere`",
        "`NoSuchClass`",
        "`no_such_function()`",
        "`Exchange` in `_http/transport.py`",
        "`decide()` (`_http/wire.py`)",
    ],
)
def test_what_is_not_there_is_found(broken: str) -> None:
    assert missing(f"See {broken}.", ROOT / "README.md")


@pytest.mark.parametrize(
    "sound",
    [
        "[a page](docs/glossary.md#our-own-words)",
        "[a site](https://example.com/x)",
        "`_http/retry.py`",
        "`hostup_sync/_generate`",
        "`application/json`",
        "`tests/promises/test_docs.py::test_what_is_there_is_not_complained_of`",
        "`Ledger`",
        "`open_store()`",
        "`Exchange` in `_http/exchange.py`",
        "`decide()` (`_http/retry.py`)",
        "`DateTime is no span of one class`",
    ],
)
def test_what_is_there_is_not_complained_of(sound: str) -> None:
    assert missing(f"See {sound}.", ROOT / "README.md") == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_line_runs_over_the_width_of_a_page(page: Path) -> None:
    lines = page.read_text().splitlines()
    rows = [line for line in lines if not line.startswith("|")]  # those of a table cannot be split
    assert [line for line in rows if len(line) > WIDTH] == []


def test_the_glossary_has_few_words_of_our_own_and_all_are_in_use() -> None:
    words = OWN_WORD.findall(GLOSSARY)
    assert 1 <= len(words) <= MOST_OWN_WORDS
    assert words == sorted(set(words))
    source = "\n".join(path.read_text() for path in (ROOT / "hostup_async").rglob("*.py"))
    for word in words:
        assert re.search(rf"\b{word}s?\b", source, re.IGNORECASE)


def test_the_architecture_lists_the_layers_in_their_order() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    lists = [block.split() for block in DRAWING.findall(text)]
    assert ORDER in lists


def test_the_drawing_has_nothing_above_what_imports_it() -> None:
    drawing = DRAWING.findall((ROOT / "docs/architecture.md").read_text())[0]
    rows = [*map(places, reversed(drawing.splitlines()))]
    assert len([*filter(None, rows)]) > 5
    assert in_order(*rows)


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_says_why_what_and_at_which_price(page: Path) -> None:
    text = page.read_text()
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings == ["Context", "Decision", "Rejected", "Consequences"]
    assert f"decisions/{page.name}" in (ROOT / "docs/architecture.md").read_text()


def table_of_packages() -> list[list[str]]:
    """The names in each row of the table in CONTRIBUTING."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    return [places(row) for row in re.findall(r"^\| (`.*?`(?:, `.*?`)*) \|", text, re.MULTILINE)]


def test_contributing_has_each_package_in_a_short_table() -> None:
    rows = table_of_packages()
    folders = {path.parent.name for path in (ROOT / "hostup_async").glob("*/__init__.py")}
    assert len(rows) <= MOST_ROWS
    assert folders <= {name for row in rows for name in row}


def test_no_row_of_that_table_imports_what_stands_below_it() -> None:
    *rows, last = table_of_packages()
    assert last == ["sandbox"]
    assert in_order(*rows)
    assert not in_order(*reversed(rows))
