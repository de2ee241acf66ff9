"""Results and arguments: from a handle to its facade and back, by the shape of the annotation."""

import ast
from typing import Final

from hostup_sync._generate._scope import Scope
from hostup_sync._generate._source import Module, Unsupported

_MANY: Final = frozenset({"Iterable", "Sequence", "Collection", "list"})


class Shapes:
    """The rules for one package; what no rule covers is refused.

    `parent` is the text that tells a new facade whose home it shares.
    """

    def __init__(self, scope: Scope, parent: str = ", self") -> None:
        self._scope = scope
        self._parent = parent

    def result(self, module: Module, node: ast.expr, value: str = "it") -> str | None:
        """The expression that turns `value` into what the facade returns; None: as it is.

        Raises:
            Unsupported: There is a handle in it, in a place that no rule covers.
        """
        node = unquoted(node)
        if not self._scope.mentioned(module, node):
            return f"type(self)._of({value}{self._parent})" if _is(node, "Self") else None
        match node:
            case ast.Name(id=name):
                return f"{name}._of({value}{self._parent})"
            case ast.BinOp(left=inner, op=ast.BitOr(), right=ast.Constant(value=None)):
                return f"None if {value} is None else {self.result(module, inner, value)}"
            case ast.Subscript(value=ast.Name(id="list"), slice=inner):
                return f"[{self.result(module, inner, 'one')} for one in {value}]"
            case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=parts)):
                return self._tuple(module, parts, value)
            case _:
                raise self._refusal(module, node, "a result")

    def argument(self, module: Module, node: ast.expr, name: str) -> str:
        """The expression that turns an argument into what the async package takes.

        Raises:
            Unsupported: There is a handle in it, in a place that no rule covers.
        """
        node = unquoted(node)
        if not self._scope.mentioned(module, node):
            return name
        match node:
            case ast.Name():
                return f"{name}._async"
            case ast.Subscript(value=ast.Name(id=outer), slice=inner) if outer in _MANY:
                if isinstance(unquoted(inner), ast.Name):
                    return f"Handle._each({name})"
                raise self._refusal(module, inner, "an argument")
            case ast.BinOp(op=ast.BitOr()):
                return self._one_of(module, node, name)
            case _:
                raise self._refusal(module, node, "an argument")

    def _tuple(self, module: Module, parts: list[ast.expr], value: str) -> str:
        if any(isinstance(part, ast.Constant) and part.value is ... for part in parts):
            return f"tuple({self.result(module, parts[0], 'one')} for one in {value})"
        places = [f"{value}[{place}]" for place in range(len(parts))]
        shaped = [
            self.result(module, part, place) or place
            for part, place in zip(parts, places, strict=True)
        ]
        return f"({', '.join(shaped)})"

    def _one_of(self, module: Module, node: ast.BinOp, name: str) -> str:
        handles = [part for part in _parts(node) if self._scope.mentioned(module, part)]
        if len(handles) != 1 or not isinstance(handles[0], ast.Name):
            raise self._refusal(module, node, "an argument")
        return f"{name}._async if isinstance({name}, {handles[0].id}) else {name}"

    @staticmethod
    def _refusal(module: Module, node: ast.expr, what: str) -> Unsupported:
        return Unsupported(module, node, f"no rule for a handle in {what}: {ast.unparse(node)}")


def unquoted(node: ast.expr) -> ast.expr:
    """An annotation without its quotes."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        inner = ast.parse(node.value, mode="eval").body
        return ast.increment_lineno(inner, node.lineno - 1)
    return node


def _is(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _parts(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.BinOp):
        return [*_parts(node.left), *_parts(node.right)]
    return [node]
