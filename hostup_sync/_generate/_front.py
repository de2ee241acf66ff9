"""The top of a generated file: imports in the formatter's order, and a package's lazy exports."""

import sys
from collections.abc import Iterable
from typing import Final

from hostup_sync._generate._source import Origin

MARK: Final = "# Written by `nox -s facade` from the text of {}: change that, and not this."
_LONGEST: Final = 100
_OURS: Final = ("hostup_async", "hostup_sync")

_FRONT: Final = """{doc}

{mark}

from importlib import import_module
from typing import TYPE_CHECKING, Any
{eager}
if TYPE_CHECKING:
{imports}

__all__ = [
{names}]

_OURS = frozenset(
    {{
{ours}    }}
)


if not TYPE_CHECKING:  # or else every misspelt name would pass for one of `Any`

    def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever was asked for
        if name not in __all__:
            msg = f"module {{__name__!r}} has no attribute {{name!r}}"
            raise AttributeError(msg)
        if name not in _OURS:
            value = globals()[name] = getattr(import_module("{package}"), name)
            return value
        generated = import_module(f"{{__name__}}._generated")
        for one in _OURS:
            globals()[one] = getattr(generated, one)
            globals()[one].__module__ = __name__  # where users import it from
        return globals()[name]


def __dir__() -> list[str]:
    return sorted({{*globals(), *__all__}})
"""


def front_text(doc: str, package: str, name: str, ours: list[str], theirs: list[str]) -> str:
    """The `__init__.py`, with the public names of the source, each loaded at its first use."""
    eager = [one for one in theirs if one.startswith("__")]
    lazy = [Origin(package, one) for one in theirs if one not in eager]
    generated = [Origin(f"{name}._generated", one) for one in ours]
    lines = _from_lines(package, [str(one.name) for one in lazy])
    lines += _from_lines(f"{name}._generated", [str(one.name) for one in generated])
    return _FRONT.format(
        doc=doc,
        mark=MARK.format(package),
        eager="\n" + "\n".join(_from_lines(package, eager)) + "\n" if eager else "",
        imports="\n".join(f"    {line}" for line in lines),
        names="".join(f'    "{one}",\n' for one in sorted([*ours, *theirs])),
        ours="".join(f'        "{one}",\n' for one in ours),
        package=package,
    )


def import_block(origins: dict[str, Origin]) -> str:
    """Import statements, each with its own local name, in sections as the linter sorts them."""
    runtime = {name: one for name, one in origins.items() if not one.for_types_only}
    typing_only = {name: one for name, one in origins.items() if one.for_types_only}
    if typing_only:
        runtime["TYPE_CHECKING"] = Origin("typing", "TYPE_CHECKING")
    text = "\n\n".join("\n".join(lines) for lines in _sections(runtime) if lines) + "\n"
    if typing_only:
        inner = [f"    {line}" for lines in _sections(typing_only) for line in lines]
        text += "\n" + "\n".join(["if TYPE_CHECKING:", *inner]) + "\n"
    return text


def _sections(origins: dict[str, Origin]) -> list[list[str]]:
    tops = {one.module.partition(".")[0] for one in origins.values()}
    stdlib = {top for top in tops if top in sys.stdlib_module_names}
    ours = {top for top in tops if top in _OURS}
    return [_lines(origins, group) for group in (stdlib, tops - stdlib - ours, ours)]


def _lines(origins: dict[str, Origin], tops: set[str]) -> list[str]:
    here = {name: one for name, one in origins.items() if one.module.partition(".")[0] in tops}
    lines = [
        f"import {one.module}" if name == one.module else f"import {one.module} as {name}"
        for name, one in sorted(here.items(), key=lambda item: item[1].module)
        if one.name is None
    ]
    for module in sorted({one.module for one in here.values() if one.name is not None}):
        members = [
            str(one.name) if one.name == name else f"{one.name} as {name}"
            for name, one in here.items()
            if one.module == module and one.name is not None
        ]
        lines += _from_lines(module, members)
    return lines


def _from_lines(module: str, members: Iterable[str]) -> list[str]:
    ordered = sorted(members, key=_sort_key)
    if not ordered:
        return []
    line = f"from {module} import {', '.join(ordered)}"
    if len(line) <= _LONGEST - 4:
        return [line]
    return [f"from {module} import (", *(f"    {member}," for member in ordered), ")"]


def _sort_key(member: str) -> tuple[int, str]:
    """Constants, then classes, then the rest, as the linter has them."""
    if member.isupper() and len(member) > 1:
        return 0, member.lower()
    return (1 if member[:1].isupper() else 2), member.lower()
