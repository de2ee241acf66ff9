"""The text of the facade of one package: its handles, and a front that exports all names."""

import ast
from collections.abc import Iterator
from typing import Final

from hostup_sync._generate._docs import Docs, described, summary
from hostup_sync._generate._front import MARK, front_text, import_block
from hostup_sync._generate._members import Members
from hostup_sync._generate._scope import HandleClass, Scope
from hostup_sync._generate._shapes import Shapes
from hostup_sync._generate._signature import HELPERS
from hostup_sync._generate._source import Function, Module, Origin, Package, Unsupported

# Special methods with a rule; `__init__` and the two of `async with` have their own.
_SPECIAL: Final = {"__init__", "__aenter__", "__aexit__", "__repr__"}

# Facades reach for each other's async objects.
_ALLOWED: Final = "# pyright: reportPrivateUsage=false"


class Facade:
    """The sync form of one package.

    Args:
        package: What it is the facade of.
        name: Its own full name.
        docs: Counts the rules for docstrings, of all packages together.
    """

    def __init__(self, package: Package, name: str, docs: Docs) -> None:
        self._package = package
        self._name = name
        self._docs = docs
        self._scope = Scope(package)
        self._members = Members(self._scope, docs)
        self._functions: list[str] = []

    @property
    def used(self) -> set[str]:
        """The renames and guards that were needed."""
        return self._members.used

    def texts(self) -> dict[str, str]:
        """Its two files."""
        return {"_generated.py": self._generated(), "__init__.py": self._front()}

    def _generated(self) -> str:
        self._check_models()
        classes = [self._class(handle) for handle in self._scope.handles.values()]
        functions = list(self._public_functions())
        blocks = "\n\n".join([self._imports(), *classes, *functions])
        title = f'"""The handles of `{self._package.name}` in sync form."""\n'
        return f"{title}\n{MARK.format(self._package.name)}\n{_ALLOWED}\n\n{blocks}"

    def _check_models(self) -> None:
        """Models are shared by both packages, so none may hold a handle."""
        for name in self._package.public:
            module = self._package.home(name)
            node = module.classes.get(name) if module else None
            if module is None or node is None or name in self._scope.handles:
                continue
            for member in node.body:
                if isinstance(member, ast.AnnAssign):
                    for handle in self._scope.mentioned(module, member.annotation):
                        raise Unsupported(
                            module, member, f"the model {name} holds the handle {handle}"
                        )

    def _class(self, handle: HandleClass) -> str:
        module, node = handle.module, handle.node
        bases = [base.name for base in self._scope.bases(handle)]
        bases = bases or [f"Handle[{self._package.name}.{handle.name}]"]
        doc = self._members.docstring(module, node)
        parts = list(self._parts(handle))
        head = f"class {handle.name}({', '.join(bases)}):\n    {doc}\n"
        return "\n".join([head, *parts])

    def _parts(self, handle: HandleClass) -> Iterator[str]:
        module = handle.module
        own = self._scope.bases(handle)
        if own:
            yield self._narrowed(handle)
        constructor = self._constructor(handle)
        if constructor is not None:
            yield self._members.constructor(*constructor, handle.name)
        elif not _init_of(handle.node) and not self._is_abstract(handle) and not own:
            made = f"{self._package.name}.{handle.name}()"
            yield f"    def __init__(self) -> None:\n        super().__init__({made})\n"
        yield from self._attributes(handle)
        for member in handle.node.body:
            if isinstance(member, Function):
                yield from self._member(module, member, handle.name)
            elif isinstance(member, ast.AnnAssign) and not _is_private(module, member.target):
                raise Unsupported(module, member, f"{handle.name} has a public class attribute")

    def _member(self, module: Module, node: Function, owner: str) -> Iterator[str]:
        name = node.name
        if name == "__aenter__":
            yield self._members.enter(module, node)
        elif name == "__aexit__":
            yield self._members.leave(module, node)
        elif name == "__repr__":
            yield "    def __repr__(self) -> str:\n        return self._shown()\n"
        elif name.startswith("__") and name not in _SPECIAL:
            raise Unsupported(module, node, f"no rule for {name} of {owner}")
        elif not name.startswith("_"):
            yield self._members.method(module, node, owner)

    def _constructor(self, handle: HandleClass) -> tuple[Module, Function] | None:
        """The `__init__` that users call; none where only the package itself makes them."""
        if self._is_abstract(handle):
            return None
        for owner in [handle, *self._scope.bases(handle)]:
            for member in owner.node.body:
                if isinstance(member, ast.FunctionDef) and member.name == "__init__":
                    every = [*member.args.posonlyargs, *member.args.args, *member.args.kwonlyargs]
                    hints = [one.annotation for one in every if one.annotation]
                    if any(self._scope.is_unmade(owner.module, hint) for hint in hints):
                        return None
                    return owner.module, member
        return None

    @staticmethod
    def _is_abstract(handle: HandleClass) -> bool:
        functions = [one for one in handle.node.body if isinstance(one, Function)]
        marks = [mark for one in functions for mark in one.decorator_list]
        return any(handle.module.segment(mark).endswith("abstractmethod") for mark in marks)

    def _narrowed(self, handle: HandleClass) -> str:
        name = f"{self._package.name}.{handle.name}"
        return f"    _async: {name}\n"

    def _attributes(self, handle: HandleClass) -> Iterator[str]:
        """The public attributes that `__init__` sets, as properties."""
        init = _init_of(handle.node)
        for node in ast.walk(init) if init else ():
            if isinstance(node, ast.Assign | ast.AnnAssign):
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                if _is_attribute(target) and not _is_private(handle.module, target):
                    name = handle.module.segment(target).removeprefix("self.")
                    yield self._attribute(handle, node, name, self._hint(handle, node, init))

    def _attribute(
        self, handle: HandleClass, node: ast.AST, name: str, hint: tuple[Module, ast.expr]
    ) -> str:
        module, annotation = hint
        self._scope.need(module, annotation)
        doc = described(ast.get_docstring(handle.node), name)
        if doc is None and isinstance(annotation, ast.Name):
            kind = self._scope.handle_of(module, annotation.id)
            doc = summary(ast.get_docstring(kind.node)) if kind else None
        if doc is None:
            raise Unsupported(
                handle.module, node, f"`Attributes:` of {handle.name} does not describe {name}"
            )
        value = f"self._async.{name}"
        value = Shapes(self._scope).result(module, annotation, value) or value
        head = f"    @property\n    def {name}(self) -> {module.segment(annotation)}:\n"
        return f'{head}        """{doc}"""\n        return {value}\n'

    def _hint(
        self, handle: HandleClass, node: ast.Assign | ast.AnnAssign, init: Function | None
    ) -> tuple[Module, ast.expr]:
        """Its annotation; or that of the argument, or of the result, which it is given."""
        module = handle.module
        match node:
            case ast.AnnAssign(annotation=ast.Subscript(value=ast.Name(id="Final"), slice=inner)):
                return module, inner
            case ast.AnnAssign(annotation=hint) if module.segment(hint) != "Final":
                return module, hint
            case _:
                found = self._hint_of_value(module, node.value, init)
        if found is None:
            raise Unsupported(module, node, f"an attribute of {handle.name} does not say its type")
        return found

    def _hint_of_value(
        self, module: Module, value: ast.expr | None, init: Function | None
    ) -> tuple[Module, ast.expr] | None:
        if isinstance(value, ast.Call):
            return self._scope.result_of(module, value.func)
        for one in [*init.args.args, *init.args.kwonlyargs] if init else ():
            if isinstance(value, ast.Name) and one.arg == value.id and one.annotation:
                return module, one.annotation
        return None

    def _public_functions(self) -> Iterator[str]:
        for name in self._package.public:
            module = self._package.home(name)
            node = module.functions.get(name) if module else None
            if module is not None and node is not None and self._needs_facade(module, node):
                yield self._members.function(module, node)
                self._functions.append(name)

    def _needs_facade(self, module: Module, node: Function) -> bool:
        hints = [part for part in ast.walk(node) if isinstance(part, ast.arg) and part.annotation]
        parts = [one.annotation for one in hints if one.annotation] + [node.returns or node]
        return isinstance(node, ast.AsyncFunctionDef) or any(
            self._scope.mentioned(module, part) for part in parts
        )

    def _imports(self) -> str:
        helpers = {"Handle", *self._members.helpers}
        origins = dict(self._scope.imports)
        for name in helpers:
            origins[name] = Origin(f"hostup_sync.{HELPERS[name]}", name)
        origins[self._package.name] = Origin(self._package.name, None)
        return import_block(origins)

    def _front(self) -> str:
        doc = self._docs.rewrite(
            self._package.front.docstring(self._package.front.tree) or '""""""'
        )
        ours = [*self._scope.handles, *self._functions]
        theirs = [name for name in self._package.public if name not in ours]
        return front_text(doc, self._package.name, self._name, sorted(ours), theirs)


def _init_of(node: ast.ClassDef) -> Function | None:
    for member in node.body:
        if isinstance(member, Function) and member.name == "__init__":
            return member
    return None


def _is_attribute(target: ast.expr) -> bool:
    match target:
        case ast.Attribute(value=ast.Name(id="self")):
            return True
        case _:
            return False


def _is_private(module: Module, target: ast.expr) -> bool:
    return module.segment(target).rpartition(".")[2].startswith("_")
