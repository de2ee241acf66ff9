"""Which names a facade's text needs, which of them are handles, and what it must import."""

import ast
import builtins
from collections.abc import Iterator
from typing import Final, NamedTuple

from hostup_sync._generate._source import Function, Module, Origin, Package, Unsupported

STREAMS: Final = frozenset({"AsyncIterator", "AsyncGenerator"})
MANAGERS: Final = frozenset({"AbstractAsyncContextManager"})


class HandleClass(NamedTuple):
    """A public class that has behaviour, and so gets a facade."""

    name: str
    module: Module
    node: ast.ClassDef


class Scope:
    """What the names in the source mean.

    Attributes:
        package: Whose names.
        handles: The public classes that get a facade, in the order in which they depend.
        imports: What the generated text needs, by local name.
    """

    def __init__(self, package: Package) -> None:
        self.package = package
        self.imports: dict[str, Origin] = {}
        found = [handle for handle in self._public_classes() if self._has_behaviour(handle.node)]
        self.handles: dict[str, HandleClass] = {}
        self._places: dict[Origin, str] = {}
        self._add(found)
        while more := [one for one in self._public_classes() if self._derives(one)]:
            self._add(more)  # what derives from a handle is one

    def handle_of(self, module: Module, name: str) -> HandleClass | None:
        """The handle that a name means in a module, if it means one."""
        origin = self._follow(module.names.get(name))
        return self.handles.get(self._places.get(origin, "")) if origin else None

    def need(self, module: Module, node: ast.AST, *, is_default: bool = False) -> None:
        """Import whatever an annotation or a default names.

        Raises:
            Unsupported: It cannot be known where a name comes from, or two names clash.
        """
        named = ((part.id, part) for part in ast.walk(node) if isinstance(part, ast.Name))
        for name, where in named if is_default else names(node):
            if self.handle_of(module, name) is None and not hasattr(builtins, name):
                origin = self._follow(module.names.get(name))
                if origin is None:
                    raise Unsupported(module, where, f"nothing says where {name!r} comes from")
                self.add(module, where, name, origin)

    def add(self, module: Module, node: ast.AST, name: str, origin: Origin) -> None:
        """Import one name; a public one from the package itself."""
        if origin.name in self.package.public and self._is_home(origin):
            origin = Origin(self.package.name, origin.name)
        known = self.imports.setdefault(name, origin)
        if known[:2] != origin[:2] or name in self.handles:
            raise Unsupported(module, node, f"{name!r} already means {known.module}.{known.name}")

    def is_unmade(self, module: Module, node: ast.AST) -> str | None:
        """The private class that an annotation names, if it does: users cannot make one."""
        for name, _ in names(node):
            origin = self._follow(module.names.get(name))
            home = self.package.module(origin.module) if origin else None
            is_class = home is not None and origin is not None and origin.name in home.classes
            if is_class and name not in self.package.public:
                return name
        return None

    def mentioned(self, module: Module, node: ast.AST) -> list[str]:
        """The handles that an annotation names."""
        return [name for name, _ in names(node) if self.handle_of(module, name)]

    def result_of(self, module: Module, called: ast.expr) -> tuple[Module, ast.expr] | None:
        """What a call gives: of a class itself, of a function what it says it returns."""
        origin = self._follow(module.names.get(called.id)) if isinstance(called, ast.Name) else None
        home = self.package.module(origin.module) if origin else None
        if origin is None or home is None or origin.name is None:
            return None
        if origin.name in home.classes:
            return module, called
        function = home.functions.get(origin.name)
        return (home, function.returns) if function and function.returns else None

    def bases(self, handle: HandleClass) -> list[HandleClass]:
        """The handles that a handle derives from; others must be mere marks.

        Raises:
            Unsupported: Another class would bring along members without a check.
        """
        found: list[HandleClass] = []
        for base in handle.node.bases:
            name = handle.module.segment(base)
            known = self.handle_of(handle.module, name)
            if known is not None:
                found.append(known)
            elif name not in {"ABC", "Protocol", "Generic"} and not name.startswith("Generic["):
                raise Unsupported(
                    handle.module, base, f"{handle.name} derives from {name}, no handle"
                )
        return found

    def _public_classes(self) -> Iterator[HandleClass]:
        for name in self.package.public:
            module = self.package.home(name)
            if module is not None and name in module.classes:
                yield HandleClass(name, module, module.classes[name])

    def _add(self, found: list[HandleClass]) -> None:
        self.handles.update({handle.name: handle for handle in found})
        self.handles = {one.name: one for one in self._in_order()}
        self._places = {
            Origin(one.module.name, one.name): one.name for one in self.handles.values()
        }

    def _derives(self, one: HandleClass) -> bool:
        names = [one.module.segment(base) for base in one.node.bases]
        known = any(self.handle_of(one.module, name) for name in names)
        return known and one.name not in self.handles

    def _in_order(self) -> list[HandleClass]:
        """What a module imports comes before what it defines, as when it runs."""
        order: dict[str, None] = {}
        begun = {self.package.name}

        def visit(module: Module) -> None:
            begun.add(module.name)
            for origin in module.names.values():
                imported = self.package.module(origin.module)
                if imported and imported.name not in begun and not origin.for_types_only:
                    visit(imported)
            order.setdefault(module.name)

        for handle in self.handles.values():
            if handle.module.name not in begun:
                visit(handle.module)
        places = list(order)
        return sorted(
            self.handles.values(),
            key=lambda one: (places.index(one.module.name), one.node.lineno),
        )

    @staticmethod
    def _has_behaviour(node: ast.ClassDef) -> bool:
        return any(
            isinstance(member, ast.AsyncFunctionDef)
            or (isinstance(member, Function) and returned(member) in STREAMS | MANAGERS)
            for member in node.body
        )

    def _follow(self, origin: Origin | None) -> Origin | None:
        """Through what other modules of the package only pass on."""
        while origin is not None and origin.name is not None:
            home = self.package.module(origin.module)
            further = home.names.get(origin.name) if home else None
            if further is None or further[:2] == origin[:2]:
                return origin
            origin = further
        return origin

    def _is_home(self, origin: Origin) -> bool:
        public = self.package.front.names.get(origin.name or "")
        return public is not None and (self._follow(public) or public)[:2] == origin[:2]


def returned(function: Function) -> str:
    """The outermost name of what a function returns, such as `AsyncIterator`."""
    outer = function.returns
    if isinstance(outer, ast.Subscript):
        outer = outer.value
    return outer.id if isinstance(outer, ast.Name) else ""


def names(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """The names in an annotation, quoted ones as well, each with its place."""
    match node:
        case ast.Name():
            yield node.id, node
        case ast.Constant(value=str(text)):
            for name, _ in names(ast.parse(text, mode="eval").body):
                yield name, node
        case ast.Subscript(value=ast.Name(id="Literal")):
            yield "Literal", node
        case _:
            for child in ast.iter_child_nodes(node):
                yield from names(child)
