"""Signatures: one parameter a line with a trailing comma, which is how the formatter keeps them."""

import ast
from collections.abc import Iterator
from typing import Final, NamedTuple

from hostup_sync._generate._scope import Scope
from hostup_sync._generate._shapes import Shapes
from hostup_sync._generate._source import Function, Module, Origin, Unsupported

# What a facade does with an argument first, so that no traceback's locals show it.
GUARDS: Final = {"api_key": Origin("hostup_async._config", "hide")}

# Where the names live that generated text calls.
HELPERS: Final = {
    "Handle": "_handle",
    "ClientScope": "_handle",
    "Managed": "_context",
    "call": "_call",
    "close": "_context",
    "enter": "_context",
    "forward": "_call",
    "leave": "_context",
    "identity": "_call",
    "stream": "_stream",
}


class Parameter(NamedTuple):
    """One parameter; `kind` is `/`, empty or `*`, as in a signature."""

    name: str
    kind: str
    annotation: ast.expr
    default: ast.expr | None


class Signature:
    """The parameters of a function, as text of the facade.

    Attributes:
        parameters: All but the first, `self` or `cls`.
        guarded: The names of those that have a guard.
    """

    def __init__(self, scope: Scope, module: Module, function: Function, *, bound: bool) -> None:
        self._scope = scope
        self._module = module
        self._first = ["self"] if bound else []
        arguments = function.args
        for star in (arguments.vararg, arguments.kwarg):
            if star is not None:
                raise Unsupported(module, star, f"{function.name} takes *args or **kwargs")
        self.parameters = list(self._read(arguments))[len(self._first) :]
        if bound:
            self._first = [(arguments.posonlyargs + arguments.args)[0].arg]
        self.guarded = [one.name for one in self.parameters if one.name in GUARDS]

    def _read(self, arguments: ast.arguments) -> Iterator[Parameter]:
        positional = [*arguments.posonlyargs, *arguments.args]
        missing = [None] * (len(positional) - len(arguments.defaults))
        for place, (one, default) in enumerate(
            zip(positional, [*missing, *arguments.defaults], strict=True)
        ):
            kind = "/" if place < len(arguments.posonlyargs) else ""
            yield self._parameter(one, kind, default, is_first=place == 0)
        for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
            yield self._parameter(one, "*", default)

    def _parameter(
        self, one: ast.arg, kind: str, default: ast.expr | None, *, is_first: bool = False
    ) -> Parameter:
        if is_first and self._first:
            return Parameter(one.arg, kind, ast.Name("Self"), None)
        if one.arg in HELPERS:
            raise Unsupported(
                self._module, one, f"the parameter {one.arg!r} hides the runtime's own"
            )
        if one.annotation is None:
            raise Unsupported(self._module, one, f"the parameter {one.arg!r} has no annotation")
        self._scope.need(self._module, one.annotation)
        if default is not None:
            self._scope.need(self._module, default, is_default=True)
        return Parameter(one.arg, kind, one.annotation, default)

    def lines(self) -> list[str]:
        """The parameters with their markers, one a line."""
        lines = list(self._first)
        kind = "/" if any(one.kind == "/" for one in self.parameters) else ""
        for one in self.parameters:
            if one.kind != kind:
                lines.append("/" if kind == "/" else "*")
                if kind == "/" and one.kind == "*":
                    lines.append("*")
                kind = one.kind
            lines.append(self._text(one))
        return [*lines, "/"] if kind == "/" else lines

    def passed(self, shapes: Shapes) -> list[str]:
        """The arguments as the facade passes them on."""
        texts: list[str] = []
        for one in self.parameters:
            value = shapes.argument(self._module, one.annotation, one.name)
            texts.append(f"{one.name}={value}" if one.kind == "*" else value)
        return texts

    def _text(self, one: Parameter) -> str:
        text = f"{one.name}: {self._module.segment(one.annotation)}"
        return text if one.default is None else f"{text} = {self._module.segment(one.default)}"


def exploded(head: str, lines: list[str], tail: str, indent: str = "") -> str:
    """`head(`, the lines, and `)tail`: on lines of their own, unless there is only `self`."""
    if lines in ([], ["self"], ["cls"]):
        return f"{indent}{head}({''.join(lines)}){tail}"
    inner = "".join(f"{indent}    {line},\n" for line in lines)
    return f"{indent}{head}(\n{inner}{indent}){tail}"
