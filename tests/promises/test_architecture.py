import ast
import doctest
import enum
import inspect
import pkgutil
import re
import statistics
import sys
import typing
from collections import Counter
from collections.abc import Iterator
from functools import cache, cached_property
from importlib import import_module
from importlib.util import resolve_name
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pytest

import hostup_async
import hostup_async.sandbox
import hostup_sync

ROOT = Path(hostup_async.__file__).parent
SYNC_ROOT = Path(hostup_sync.__file__).parent

# Nothing imports to its right.
ORDER = [
    "_version",
    "_clock",
    "_text",
    "_json",
    "_part",
    "_cancellation",
    "_fork",
    "_models",
    "_outcome",
    "_errors",
    "_config",
    "_log",
    "_token",
    "_ratelimit",
    "_events",
    "_store",
    "_polling",
    "_http",
    "_operation",
    "_vps",
    "_fleet",
    "_client",
    "__init__",
    "cli",
]
SOLE_IMPORTERS = {
    "aiohttp": {"_http", "sandbox"},
    "yarl": {"_http", "sandbox"},
    "cattrs": {"_http"},
    "backoff": {"_http"},
    "typer": {"cli"},
    "rich": {"cli"},
    "aiosqlite": {"_store"},
    "jinja2": {"cli"},
    "keyring": {"cli"},
    "matplotlib": {"cli"},
    "platformdirs": {"cli"},
    "sqlalchemy": {"_store"},
    "yaml": {"cli"},
}
SYNC_ORDER = [
    "_loop",
    "_notes",
    "_running_loop",
    "_work",
    "_handle",
    "_call",
    "_context",
    "_stream",
    "_generated",
    "__init__",
]
# What `cli` uses of hostup_async beside its public names.
PRIVATE_NAMES_FOR_CLI = {
    "_config.BASE_VARIABLE",
    "_config.KEY_VARIABLE",
    "_config.SecretText",
    "_config.find_base",
    "_config.find_key",
    "_config.hide",
    "_polling.durations.DurationModel",
    "_store.owner.whoami",
    "_text.printable",
    "_text.visible",
    "_vps.check_id",
}
LONGEST_MODULE = 400
LONG_FUNCTION = 25
MEDIAN_FUNCTION = 10

# These are made by the client alone, out of its private parts.
MADE_BY_THE_CLIENT = {"FleetResource", "FleetRun", "Operation", "VpsResource"}


@attrs.frozen(slots=False)
class Source:
    """A module; each process that collects the tests reads its name, and few of them its text."""

    name: str
    place: str
    path: Path
    is_package: bool

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.path.read_text())

    @property
    def package(self) -> str:
        return self.name if self.is_package else self.name.rpartition(".")[0]

    @property
    def is_in_a_package(self) -> bool:
        return self.name.count(".") > 1 or (self.is_package and self.place != "__init__")


def read_source(path: Path, root: Path) -> Source:
    """A module of one of our packages; its place is its first part below the package."""
    parts = path.relative_to(root).with_suffix("").parts
    named = [part for part in parts if part != "__init__"]
    return Source(".".join([root.name, *named]), parts[0], path, path.name == "__init__.py")


def sources(root: Path) -> list[Source]:
    return [read_source(path, root) for path in sorted(root.rglob("*.py"))]


ALL = sources(ROOT)
SYNC = sources(SYNC_ROOT)
SUPPORT = sources(Path(__file__).parents[1] / "support")
# What people wrote of it; the rest follows from `hostup_async`.
WRITTEN = [source for source in SYNC if "_generated" not in source.name]
EACH = pytest.mark.parametrize("source", ALL, ids=lambda source: source.name)


@cache
def imported(source: Source) -> frozenset[str]:
    """The full names that a module imports, wherever in it, `from` imports with each name."""
    return frozenset(_imported(source))


def _imported(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            module = resolve_name(base, source.package)
            yield from (f"{module}.{alias.name}" for alias in node.names)


def places(source: Source) -> set[str]:
    """Where in hostup_async the module imports from: its first parts, `__init__` for its root."""
    names = [f"{name}.__init__".split(".") for name in imported(source)]
    ours = [name[1] for name in names if name[0] == "hostup_async"]
    return {part if part in known_places() else "__init__" for part in ours}


@cache
def known_places() -> set[str]:
    return {source.place for source in ALL}


def tops(source: Source) -> set[str]:
    return {name.partition(".")[0] for name in imported(source)}


def functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def modules(package: ModuleType) -> list[str]:
    found = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    return [package.__name__, *(info.name for info in found)]


def test_every_module_has_its_place() -> None:
    assert known_places() - {"sandbox"} == set(ORDER)
    assert len(set(ORDER)) == len(ORDER)


@EACH
def test_nothing_imports_to_its_right(source: Source) -> None:
    if source.place == "sandbox":
        assert places(source) <= {"sandbox"}
        return
    allowed = set(ORDER[: ORDER.index(source.place)])
    if source.is_in_a_package:
        allowed |= {source.place}
    if source.place == "cli":
        allowed |= {"sandbox"}
    assert places(source) <= allowed


def names_from_below(source: Source) -> set[str]:
    """What a module of `cli` imports from hostup_async outside `cli`, relative to hostup_async."""
    names = (name.partition(".") for name in imported(source))
    ours = {rest for package, _, rest in names if package == "hostup_async"}
    return {name for name in ours if name.partition(".")[0] != "cli"}


@pytest.mark.parametrize(
    "source", [one for one in ALL if one.place == "cli"], ids=lambda source: source.name
)
def test_the_command_line_is_built_on_public_names(source: Source) -> None:
    public = {*hostup_async.__all__, *(f"sandbox.{name}" for name in hostup_async.sandbox.__all__)}
    assert names_from_below(source) <= public | PRIVATE_NAMES_FOR_CLI


def test_the_command_line_uses_each_private_name_that_it_may() -> None:
    used = set[str]().union(*(names_from_below(one) for one in ALL if one.place == "cli"))
    assert used >= PRIVATE_NAMES_FOR_CLI


@EACH
def test_each_library_has_its_sole_importers(source: Source) -> None:
    for library, importers in SOLE_IMPORTERS.items():
        assert library not in tops(source) or source.place in importers


# Where time and chance come from; hostup_async asks `_clock` alone, so that they can be simulated.
TIME_AND_CHANCE = {
    "time": {
        "time",
        "time_ns",
        "monotonic",
        "monotonic_ns",
        "perf_counter",
        "sleep",
        "localtime",
        "clock_gettime",
    },
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
    "os": {"urandom"},
    "uuid": {"uuid1", "uuid4"},
}


def asks_the_machine(tree: ast.Module) -> set[str]:
    """What a module uses of time and chance, past `_clock`; `_clock.wall` bound to a name, too."""
    found = {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        if node.attr in TIME_AND_CHANCE.get(node.value.id, set())
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            names = {alias.name for alias in node.names}
            banned = TIME_AND_CHANCE.get(node.module, set())
            if node.module in {"secrets", "random"} or node.module.endswith("._clock"):
                banned = names
            found |= {f"{node.module}.{name}" for name in names & banned}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names} & {"secrets", "random"}
        elif isinstance(node, ast.arguments):
            defaults = [*node.defaults, *filter(None, node.kw_defaults)]
            found |= {one for one in map(ast.unparse, defaults) if one.startswith("_clock.")}
    return found


@pytest.mark.parametrize(
    "source",
    [one for one in ALL if one.place not in {"_clock", "cli", "sandbox"}],
    ids=lambda source: source.name,
)
def test_time_and_chance_come_from_one_module(source: Source) -> None:
    assert asks_the_machine(source.tree) == set()


@pytest.mark.parametrize(
    "line",
    [
        "x = time.time()",
        "from time import monotonic",
        "import secrets",
        "from random import choice",
        "x = datetime.now(UTC)",
        "x = uuid.uuid4()",
        "from hostup_async._clock import wall",
        "def f(*, clock=_clock.wall): ...",
        "def f(clock=_clock.wall): ...",
    ],
)
def test_each_way_past_that_module_is_seen(line: str) -> None:
    assert asks_the_machine(ast.parse(line)) != set()


@pytest.mark.parametrize("library", [name for name, allowed in SOLE_IMPORTERS.items() if allowed])
def test_each_library_is_imported_at_all(library: str) -> None:
    assert library in set[str]().union(*map(tops, ALL))


@EACH
def test_the_async_package_never_imports_the_sync_one(source: Source) -> None:
    assert "hostup_sync" not in tops(source)


def sync_places(source: Source) -> set[str]:
    """Where in hostup_sync a module imports from, the front aside."""
    names = [name.split(".") for name in imported(source)]
    return {name[1] for name in names if name[0] == "hostup_sync" and len(name) > 1}


@pytest.mark.parametrize("source", SYNC, ids=lambda source: source.name)
def test_nothing_of_the_sync_package_imports_to_its_right(source: Source) -> None:
    if source.place == "_generate":  # it reads text, and needs nothing of what it writes
        assert sync_places(source) <= {"_generate"}
    elif source.place == "sandbox":
        assert sync_places(source) <= {*SYNC_ORDER, "sandbox"}
    else:
        assert sync_places(source) <= set(SYNC_ORDER[: SYNC_ORDER.index(source.place)])


def test_the_generator_needs_the_standard_library_alone() -> None:
    generator = [source for source in SYNC if source.place == "_generate"]
    assert len(generator) > 5
    found = set[str]().union(*map(tops, generator))
    assert found - {"hostup_sync"} <= set(sys.stdlib_module_names)


def test_the_sync_package_imports_no_library_of_the_async_ones() -> None:
    assert not set[str]().union(*map(tops, SYNC)) & set(SOLE_IMPORTERS)


def test_the_readers_of_imports_see_every_form(tmp_path: Path) -> None:
    text = """
import a.b, hostup_async
from d import e
def late():
    from ._x import y
    from .. import z
    from hostup_async import _models
"""
    module = tmp_path / "_one.py"
    module.write_text(text)
    source = Source("hostup_async.sandbox._one", "sandbox", module, is_package=False)
    assert imported(source) == {
        "a.b",
        "hostup_async",
        "d.e",
        "hostup_async.sandbox._x.y",
        "hostup_async.z",
        "hostup_async._models",
    }
    assert places(source) == {"sandbox", "__init__", "_models"}


def test_all_is_sorted_without_duplicates() -> None:
    assert list(hostup_async.__all__) == sorted(set(hostup_async.__all__))


@pytest.mark.parametrize("name", hostup_async.__all__)
def test_every_listed_name_is_there_and_public(name: str) -> None:
    assert hasattr(hostup_async, name)
    assert not name.startswith("_") or name == "__version__"


def is_ours(value: object) -> bool:
    return getattr(value, "__module__", "").partition(".")[0] == "hostup_async"


def test_every_public_name_is_listed() -> None:
    found = {
        name
        for name, value in vars(hostup_async).items()
        if not name.startswith("_") and is_ours(value)
    }
    assert len(found) > 50
    assert found <= set(hostup_async.__all__)


def test_the_lists_of_public_names_agree() -> None:
    """Each name stands in `__init__` for type checkers, in `__all__`, and with its module."""
    [root] = [source for source in ALL if source.name == "hostup_async"]
    [for_checkers] = [
        node
        for node in root.tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    checked = {
        alias.name: node.module
        for node in for_checkers.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    homes = {name: f"hostup_async.{home}" for name, home in hostup_async._HOMES.items()}
    assert checked == homes
    assert {*homes, "__version__"} == set(hostup_async.__all__)


def test_no_class_name_stands_twice_outside_the_sandbox() -> None:
    names = Counter(
        node.name
        for source in ALL
        if source.place != "sandbox"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ClassDef)
    )
    assert len(names) > 100
    assert [name for name, count in names.items() if count > 1] == []


CLASSES = [
    value
    for name in hostup_async.__all__
    if inspect.isclass(value := getattr(hostup_async, name)) and is_ours(value)
]


def members(cls: type[Any]) -> Iterator[Any]:
    """What of a class has a public signature: methods, property getters, its constructor."""
    for name, value in vars(cls).items():
        member = value.fget if isinstance(value, property) else inspect.unwrap(value)
        member = getattr(member, "__func__", member)
        made_by_users = name == "__init__" and cls.__name__ not in MADE_BY_THE_CLIENT
        if inspect.isfunction(member) and (made_by_users or not name.startswith("_")):
            yield member


def hints(cls: type[Any]) -> Iterator[object]:
    owners = [*members(cls)] + ([] if issubclass(cls, enum.Enum) else [cls])
    for owner in owners:
        for name, hint in typing.get_type_hints(owner).items():
            if name == "return" or not name.startswith("_"):
                yield hint


def parts(hint: object) -> Iterator[type[Any]]:
    """The classes that a type hint is made of."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    for part in (origin, *(arguments or () if origin else (hint,))):
        if isinstance(part, list):
            for one in part:
                yield from parts(one)
        elif part is not hint and typing.get_origin(part):
            yield from parts(part)
        elif inspect.isclass(part):
            yield part


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_public_signatures_name_public_types_alone(cls: type[Any]) -> None:
    for hint in hints(cls):
        for part in parts(hint):
            if part.__module__.partition(".")[0] == "hostup_async":
                assert part.__name__ in hostup_async.__all__
            else:
                top = part.__module__.partition(".")[0]
                assert top in sys.stdlib_module_names or top == "aiohttp"


def test_the_reader_of_signatures_sees_into_hints() -> None:
    hint = typing.Callable[[list[int]], dict[str, bytes | None]] | tuple[float, ...]
    assert {int, str, bytes, float, list, dict} <= set(parts(hint))
    found = {part for shown in hints(hostup_async.Client) for part in parts(shown)}
    assert {hostup_async.Budget, hostup_async.Timeouts, hostup_async.Operation} <= found
    assert hostup_async.Gate in {part for hint in hints(hostup_async.Gates) for part in parts(hint)}


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_public_models_are_frozen(cls: type[Any]) -> None:
    if attrs.has(cls):
        assert cls.__setattr__ is not object.__setattr__


def sync_names() -> list[str]:
    return list(getattr(hostup_sync, "__all__", []))


@pytest.mark.parametrize("name", sync_names())
def test_the_sync_package_has_the_same_names_and_mostly_the_same_objects(name: str) -> None:
    ours, theirs = getattr(hostup_sync, name), getattr(hostup_async, name)
    is_facade = getattr(ours, "__module__", "").startswith("hostup_sync")
    assert is_facade == has_coroutines(theirs)
    assert is_facade or ours is theirs


def test_the_sync_package_has_all_names() -> None:
    assert sync_names() == list(hostup_async.__all__)
    assert dir(hostup_sync) == sorted({*dir(hostup_sync), *hostup_async.__all__})
    assert not hasattr(hostup_sync, "AsyncClient")


def has_coroutines(value: object) -> bool:
    """Whether it is a handle, or makes one: what has behaviour, and so has a facade."""
    if not inspect.isclass(value):
        return inspect.isfunction(value) and inspect.isasyncgenfunction(inspect.unwrap(value))
    return any(
        inspect.iscoroutinefunction(member) or inspect.isasyncgenfunction(member)
        for member in vars(value).values()
    )


PACKAGES_WITH_A_MAP = sorted(
    init
    for init in [*ROOT.rglob("__init__.py"), SYNC_ROOT / "_generate" / "__init__.py"]
    if init.parent != ROOT
)


@pytest.mark.parametrize("init", PACKAGES_WITH_A_MAP, ids=lambda init: init.parent.name)
def test_the_head_of_each_package_is_the_map_of_its_modules(init: Path) -> None:
    """In its docstring, or in the comment below it where users read the docstring."""
    head = re.split(r"^(?:from|import) ", init.read_text(), maxsplit=1, flags=re.MULTILINE)[0]
    here = {path.stem for path in init.parent.glob("*.py")}
    packages = {path.parent.name for path in init.parent.glob("*/__init__.py")}
    missing = {name for name in here | packages if f"`{name}`" not in head}
    assert missing <= {"__init__", "__main__"}


@pytest.mark.parametrize("source", [*ALL, *WRITTEN, *SUPPORT], ids=lambda source: source.name)
def test_no_module_is_long(source: Source) -> None:
    assert len(source.path.read_text().splitlines()) < LONGEST_MODULE


def test_functions_are_short() -> None:
    lengths = [
        (node.end_lineno or 0) - node.lineno + 1
        for source in [*ALL, *WRITTEN]
        for node in functions(source.tree)
    ]
    assert len(lengths) > 100
    assert statistics.median(lengths) <= MEDIAN_FUNCTION
    assert sum(length < LONG_FUNCTION for length in lengths) >= 0.9 * len(lengths)


@cache
def classes_in(file: Path) -> set[str]:
    body = ast.parse(file.read_text()).body
    return {node.name for node in body if isinstance(node, ast.ClassDef)}


class Finder(doctest.DocTestFinder):
    """Finds the examples of a public class in the module that has its text."""

    def _from_module(self, module: ModuleType, object: object) -> bool:  # noqa: A002 - as it is called there
        if inspect.isclass(object) and module.__file__ is not None:
            return object.__name__ in classes_in(Path(module.__file__))
        found: bool = super()._from_module(module, object)  # type: ignore[misc]
        return found


@cache
def examples(name: str) -> list[doctest.DocTest]:
    return Finder().find(import_module(name))


@pytest.mark.parametrize("name", [*modules(hostup_async), *modules(hostup_sync)])
def test_the_examples_in_docstrings_run(name: str) -> None:
    runner = doctest.DocTestRunner()
    for example in examples(name):
        runner.run(example)
    assert runner.failures == 0


def test_there_are_examples_for_what_users_meet_first() -> None:
    found = [case for name in modules(hostup_async) for case in examples(name)]
    with_examples = {case.name.rpartition(".")[2] for case in found if case.examples}
    assert {"Client", "Operation", "reset", "wait_all", "Timeouts"} <= with_examples
