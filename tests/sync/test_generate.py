"""The generator: its templates, what it refuses, and that every Python writes the same bytes."""

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
from sync_tools import FOLDER, ROOT, made_up

from hostup_sync._generate import PACKAGES, RULES, Unsupported, check, generate, unused
from hostup_sync._generate.__main__ import main

HANDLE = '''class Thing:
    """A thing."""

    async def act(self) -> None:
        """Act."""
'''


def generated(folder: Path, text: str, *, public: str = "Thing") -> str:
    """The facade of a package of one module, as text."""
    package = folder / "pack"
    package.mkdir()
    names = [name.strip() for name in public.split(",")]
    front = f'"""A package."""\n\nfrom pack._one import {public}\n\n__all__ = {names!r}\n'
    (package / "__init__.py").write_text(front)
    (package / "_one.py").write_text(text)
    texts, _ = generate(folder, {"pack": "pack_sync"})
    return texts[Path("pack_sync/_generated.py")]


def method(text: str, imports: str = "") -> str:
    """A handle `Thing` with one more method."""
    lines = [f"    {line}\n" if line else "\n" for line in text.splitlines()]
    return imports + "\n\n" + HANDLE + "\n" + "".join(lines)


def body(text: str, name: str) -> str:
    """One function of a generated text, with its decorators."""
    pattern = rf"((?:    @\w+\n)*    def {name}\(.*?)(?=\n    (?:def|@)|\n\n\nclass|\Z)"
    [found] = re.findall(pattern, text, re.DOTALL)
    return str(found).rstrip() + "\n"


def test_a_coroutine_becomes_a_method(tmp_path: Path) -> None:
    source = method('''async def get(self, one: int, /, two: str = "x", *, three: bool) -> str:
    """Get it.

    Example:
        >>> async def main(thing):
        ...     async with thing:
        ...         return [one async for one in await thing.get(1, three=True)]
    """
''')
    assert (
        body(generated(tmp_path, source), "get")
        == '''    def get(
        self,
        one: int,
        /,
        two: str = "x",
        *,
        three: bool,
    ) -> str:
        """Get it.

        Example:
            >>> def main(thing):
            ...     with thing:
            ...         return [one for one in thing.get(1, three=True)]
        """
        return call(
            self._home,
            identity,
            self._async.get,
            one,
            two,
            three=three,
        )
'''
    )


STREAM = '''    def all(self) -> Iterator[int]:
        """All."""
        return stream(
            self._home,
            identity,
            self._async.all,
        )
'''


@pytest.mark.parametrize(
    "text",
    [
        'async def all(self) -> AsyncIterator[int]:\n    """All."""\n    yield 1\n',
        'def all(self) -> AsyncIterator[int]:\n    """All."""\n    return _all()\n',
    ],
)
def test_both_forms_of_a_stream_become_an_iterator(tmp_path: Path, text: str) -> None:
    text = generated(tmp_path, method(text, "from collections.abc import AsyncIterator"))
    assert body(text, "all") == STREAM
    assert "from collections.abc import Iterator\n" in text
    assert "AsyncIterator" not in text


MANAGER = '''    def held(self) -> AbstractContextManager["Thing"]:
        """Held."""
        return Managed(
            self._home,
            lambda it: Thing._of(it, self),
            self._async.held,
        )
'''


@pytest.mark.parametrize(
    ("text", "imports"),
    [
        (
            (
                '@asynccontextmanager\nasync def held(self) -> AsyncIterator["Thing"]:\n'
                '    """Held."""\n    yield self\n'
            ),
            "from collections.abc import AsyncIterator\nfrom contextlib import asynccontextmanager",
        ),
        (
            (
                'def held(self) -> AbstractAsyncContextManager["Thing", bool | None]:\n'
                '    """Held."""\n'
            ),
            "from contextlib import AbstractAsyncContextManager",
        ),
    ],
)
def test_both_forms_of_a_context_manager(tmp_path: Path, text: str, imports: str) -> None:
    assert body(generated(tmp_path, method(text, imports)), "held") == MANAGER


@pytest.mark.parametrize(
    ("annotation", "shape"),
    [
        ("int", "identity"),
        ('"Thing"', "lambda it: Thing._of(it, self)"),
        ("Self", "lambda it: type(self)._of(it, self)"),
        ('"Thing | None"', "lambda it: None if it is None else Thing._of(it, self)"),
        ('list["Thing"]', "lambda it: [Thing._of(one, self) for one in it]"),
        ('tuple["Thing", int]', "lambda it: (Thing._of(it[0], self), it[1])"),
        ('tuple["Thing", ...]', "lambda it: tuple(Thing._of(one, self) for one in it)"),
        (
            'list[tuple[int, "Thing | None"]]',
            (
                "lambda it: [(one[0], None if one[1] is None else Thing._of(one[1], self))"
                " for one in it]"
            ),
        ),
    ],
)
def test_the_shapes_of_results(tmp_path: Path, annotation: str, shape: str) -> None:
    text = method(
        f'async def get(self) -> {annotation}:\n    """Get."""\n', "from typing import Self"
    )
    assert f"            {shape},\n" in body(generated(tmp_path, text), "get")


@pytest.mark.parametrize(
    ("annotation", "passed"),
    [
        ("int", "it"),
        ('"Thing"', "it._async"),
        ('"Thing | None"', "it._async if isinstance(it, Thing) else it"),
        ('"str | Thing | int"', "it._async if isinstance(it, Thing) else it"),
        ('Iterable["Thing"]', "Handle._each(it)"),
        ('list["Thing"]', "Handle._each(it)"),
    ],
)
def test_the_shapes_of_arguments(tmp_path: Path, annotation: str, passed: str) -> None:
    imports = "from collections.abc import Iterable"
    text = method(f'async def take(self, it: {annotation}) -> None:\n    """Take."""\n', imports)
    assert f"            {passed},\n" in body(generated(tmp_path, text), "take")


def test_the_other_templates(tmp_path: Path) -> None:
    source = '''from abc import ABC
from typing import Final, Self


def size() -> int:
    """How large."""
    return 1


class Part:
    """A part of a thing."""

    def __init__(self, private: "Hidden") -> None: ...

    async def act(self) -> None:
        """Act."""


class Hidden: ...


class Thing(ABC):
    """A thing.

    Attributes:
        name: What it is called; never changes.
    """

    def __init__(self, api_key: str | None = None) -> None:
        self.name: Final[str] = "x"
        self.size: Final = size()
        self.part: Final = Part(Hidden())
        self._private = 1

    @classmethod
    def shared(cls, name: str) -> Self:
        """The one of that name."""

    @property
    def other(self) -> "Thing | None":
        """Another."""

    def build(self) -> "Thing":
        """Build one."""

    def __repr__(self) -> str: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> bool | None: ...

    async def aclose(self) -> None:
        """Close it."""

    async def _hidden(self) -> None: ...
'''
    source = source.replace("        name: What", "        size: How large.\n        name: What")
    text = generated(tmp_path, source, public="Part, Thing")
    assert "        api_key = hide(api_key)\n        made = pack.Thing(\n" in text
    assert '"""What it is called."""\n        return self._async.name' in text
    assert "def size(self) -> int:\n" in text
    assert '"""A part of a thing."""\n        return Part._of(self._async.part, self)' in text
    assert text.count("def __init__") == 1  # users make no parts
    assert "        return cls._of(made)\n" in body(text, "shared")
    other = "self._async.other"
    assert f"return None if {other} is None else Thing._of({other}, self)" in body(text, "other")
    assert "return forward(" in body(text, "build")
    assert "        enter(self._home, self._async)\n        return self\n" in body(
        text, "__enter__"
    )
    assert "return leave(self._home, self._async, exc)" in body(text, "__exit__")
    assert "close(self._home, self._async, self._async.aclose)" in body(text, "close")
    assert "_hidden" not in text


STREAMS = "from collections.abc import AsyncIterator, Callable, Mapping"
REFUSED = {
    "takes *args": "async def get(self, *args: int) -> None:\n    '''Get.'''",
    "has no annotation": "async def get(self, one) -> None:\n    '''Get.'''",
    "does not say what it returns": "async def get(self):\n    '''Get.'''",
    "has no docstring": "async def get(self) -> None: ...",
    "the decorator cached": "@functools.cached\nasync def get(self) -> None:\n    '''Get.'''",
    "no rule for __len__": "def __len__(self) -> int: ...",
    "a result": "async def get(self) -> Mapping[str, 'Thing']:\n    '''Get.'''",
    "an argument": "async def get(self, tell: Callable[['Thing'], None]) -> None:\n    '''Get.'''",
    "returns AsyncIterator": "async def get(self) -> AsyncIterator[int]:\n    '''Get.'''",
    "what it yields": "async def get(self) -> AsyncIterator:\n    '''Get.'''\n    yield 1",
    "comes from": "async def get(self) -> Unheard:\n    '''Get.'''",
    "'asyncio' sync": "async def get(self) -> None:\n    '''Get.\n\n    >>> asyncio.x\n    '''",
    "the async classmethod": "@classmethod\nasync def get(cls) -> None:\n    '''Get.'''",
    "hides the runtime's own": "async def get(self, call: int) -> None:\n    '''Get.'''",
    "public class attribute": "name: str",
    "does not say its type": "def __init__(self) -> None:\n    self.name = object",
    "does not describe name": "def __init__(self) -> None:\n    self.name: str = ''",
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_has_no_rule_is_refused_with_its_place(tmp_path: Path, why: str) -> None:
    source = method(REFUSED[why], STREAMS)
    with pytest.raises(Unsupported, match=re.escape(why)) as refused:
        generated(tmp_path, source)
    path, line, _ = str(refused.value).split(":", 2)
    assert path == str(tmp_path / "pack" / "_one.py")
    assert 8 < int(line) <= len(source.splitlines())


@pytest.mark.parametrize(
    ("why", "source", "public"),
    [
        ("holds the handle", HANDLE + "\nclass Model:\n    thing: Thing\n", "Model, Thing"),
        ("no handle", "class Base: ...\n\n" + HANDLE.replace("Thing:", "Thing(Base):"), "Thing"),
    ],
)
def test_what_else_is_refused(tmp_path: Path, why: str, source: str, public: str) -> None:
    with pytest.raises(Unsupported, match=why):
        generated(tmp_path, source, public=public)


def test_one_name_that_means_two_things_is_refused(tmp_path: Path) -> None:
    other = "from there import Other\n\n" + HANDLE.replace("None", "Other").replace("Thing", "Two")
    package = tmp_path / "pack"
    package.mkdir()
    (package / "_two.py").write_text(other)
    text = "from here import Other\nfrom pack._two import Two\n" + HANDLE.replace("None", "Other")
    (package / "_one.py").write_text(text)
    front = "from pack._one import Thing\nfrom pack._two import Two\n__all__ = ['Thing', 'Two']\n"
    (package / "__init__.py").write_text(front)
    with pytest.raises(Unsupported, match=r"'Other' already means there\.Other"):
        generate(tmp_path, {"pack": "pack_sync"})


def test_a_package_without_public_names_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text("")
    with pytest.raises(Unsupported, match="no __all__"):
        generate(tmp_path, {"pack": "pack_sync"})
    with pytest.raises(FileNotFoundError):
        generate(tmp_path, {"other": "other_sync"})


@cache
def facade() -> tuple[dict[Path, str], set[str]]:
    return generate(ROOT, PACKAGES)


def test_the_facade_is_up_to_date() -> None:
    texts, used = facade()
    assert check(ROOT, texts) == []
    assert unused(used) == []


def copied(folder: Path) -> Path:
    for package in ("hostup_async", "hostup_sync"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, folder / package, ignore=ignored)
    return folder


def test_the_check_finds_stale_missing_and_orphaned_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = copied(tmp_path)
    front, old = root / "hostup_sync" / "__init__.py", root / "hostup_sync" / "_old.py"
    old.write_bytes(front.read_bytes())
    front.write_text(front.read_text() + "\n")
    (root / "hostup_sync" / "sandbox" / "_generated.py").unlink()
    assert main(["--check", "--root", str(root)]) == 1
    told = capsys.readouterr().err
    for words in ("__init__.py is stale", "_generated.py is missing", "_old.py is no longer"):
        assert words in told
    assert main(["--root", str(root)]) == 0
    assert check(root, facade()[0]) == []
    assert not old.exists()


def test_a_changed_source_makes_it_stale_and_a_refusal_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = copied(tmp_path)
    source = root / "hostup_async" / "_operation.py"
    source.write_text(source.read_text().replace("Poll the job once", "Poll the job one time"))
    assert main(["--check", "--root", str(root)]) == 1
    assert "stale" in capsys.readouterr().err
    source.write_text(
        source.read_text().replace("async def poll(self)", "async def poll(self, *a)")
    )
    assert main(["--root", str(root)]) == 1
    assert f"{source}:" in capsys.readouterr().err
    assert check(root, facade()[0]) == []


def test_a_rule_that_nothing_needs_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RULES, "a relic", (r"\brelic\b", ""))
    assert main(["--check", "--root", str(copied(tmp_path))]) == 1
    assert "'a relic' is not needed" in capsys.readouterr().err


def pythons() -> list[str]:
    """Every supported Python that can be found, this one's version included."""
    found = {f"3.{minor}": shutil.which(f"python3.{minor}") for minor in range(11, 16)}
    return [path for path in found.values() if path]


@pytest.mark.parametrize("python", pythons())
def test_every_python_writes_the_same_bytes(python: str) -> None:
    version = python.rpartition("python")[2]
    names = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    if Path(python).parent.name == "shims":  # pyenv's, which run what this variable names
        versions = Path(python).parent.parent / "versions"
        names["PYENV_VERSION"] = min(path.name for path in versions.glob(f"{version}.*"))
    command = [python, "-I", "-c", "import sys; print(sys.version_info[:2])"]
    if subprocess.run(command, env=names, capture_output=True, check=False).returncode:
        pytest.skip(f"{python} does not start")
    command = [python, "-m", "hostup_sync._generate", "--check"]
    done = subprocess.run(command, env=names, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_package_of_every_shape_comes_out_as_it_always_did() -> None:
    assert check(FOLDER, made_up()) == []
