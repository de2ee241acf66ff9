"""The text of a package, read and never imported: its public names, and where each comes from."""

import ast
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path
from typing import NamedTuple, TypeAlias

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


class Unsupported(Exception):
    """The generator has no rule for something, and does not guess: it says where that is."""

    def __init__(self, module: "Module", node: ast.AST, why: str) -> None:
        super().__init__(f"{module.path}:{getattr(node, 'lineno', 1)}: {why}")


class Origin(NamedTuple):
    """Where a name is defined: in `module`, or it is that module if `name` is None."""

    module: str
    name: str | None
    for_types_only: bool = False


class Module:
    """One file, parsed.

    Attributes:
        name: Its full name.
        path: Its path, for refusals.
        names: The origin of each name at its top level.
        classes: The classes that it defines.
        functions: The functions that it defines.
    """

    def __init__(self, name: str, path: Path, package: str) -> None:
        self.name = name
        self.path = path
        self.text = path.read_text(encoding="utf-8")
        self.tree = ast.parse(self.text, str(path))
        self.names: dict[str, Origin] = {}
        self.classes: dict[str, ast.ClassDef] = {}
        self.functions: dict[str, Function] = {}
        self._package = package
        for node in self.tree.body:
            self._read(node, for_types_only=False)

    def segment(self, node: ast.AST) -> str:
        """The text of a node, on one line."""
        text = ast.get_source_segment(self.text, node) or ""
        joined = " ".join(text.split())
        return joined.replace("[ ", "[").replace(", ]", "]").replace(" ]", "]")

    def docstring(self, node: ast.Module | ast.ClassDef | Function) -> str | None:
        """The text of a docstring, quotes and all."""
        first = node.body[0] if node.body else None
        if ast.get_docstring(node) is None or not isinstance(first, ast.Expr):
            return None
        return ast.get_source_segment(self.text, first)

    def _read(self, node: ast.stmt, *, for_types_only: bool) -> None:
        match node:
            case ast.Import():
                for alias in node.names:
                    self.names[alias.asname or alias.name] = Origin(
                        alias.name, None, for_types_only
                    )
            case ast.ImportFrom():
                self._read_from(node, for_types_only=for_types_only)
            case ast.If():
                for inner in node.body:
                    self._read(inner, for_types_only="TYPE_CHECKING" in ast.dump(node.test))
            case _:
                self._read_definition(node)

    def _read_from(self, node: ast.ImportFrom, *, for_types_only: bool) -> None:
        module = resolve_name("." * node.level + (node.module or ""), self._package)
        for alias in node.names:
            name = alias.asname or alias.name
            self.names[name] = Origin(module, alias.name, for_types_only)

    def _read_definition(self, node: ast.stmt) -> None:
        if isinstance(node, ast.ClassDef):
            self.classes[node.name] = node
        elif isinstance(node, Function):
            self.functions[node.name] = node
        for name in _defined(node):
            self.names[name] = Origin(self.name, name)


def _defined(node: ast.stmt) -> Iterator[str]:
    match node:
        case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
            yield node.name
        case ast.Assign():
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        case ast.AnnAssign(target=ast.Name()):
            yield node.target.id  # type: ignore[union-attr]  # the pattern says so
        case _:
            return


class Package:
    """A package's public names, and its modules, each read when first asked for."""

    def __init__(self, name: str, root: Path) -> None:
        self.name = name
        self.root = root
        self._modules: dict[str, Module | None] = {}
        front = self.module(name)
        if front is None:
            msg = f"{root}: there is no package {name}"
            raise FileNotFoundError(msg)
        self.front = front
        self.public = _names_in_all(front)

    def module(self, name: str) -> Module | None:
        """A module of this package; None if it is another's."""
        if name not in self._modules:
            self._modules[name] = self._load(name)
        return self._modules[name]

    def home(self, name: str) -> Module | None:
        """The module of this package that defines a public name."""
        origin = self.front.names.get(name)
        return None if origin is None else self.module(origin.module)

    def _load(self, name: str) -> Module | None:
        if name != self.name and not name.startswith(self.name + "."):
            return None
        path = self.root.joinpath(*name.removeprefix(self.name).split("."))
        if (path / "__init__.py").exists():
            return Module(name, path / "__init__.py", name)
        path = path.with_suffix(".py")
        return Module(name, path, name.rpartition(".")[0]) if path.exists() else None


def _names_in_all(front: Module) -> list[str]:
    for node in front.tree.body:
        if isinstance(node, ast.Assign) and front.segment(node.targets[0]) == "__all__":
            names: list[str] = ast.literal_eval(node.value)
            return names
    raise Unsupported(front, front.tree, "there is no __all__, a list of the public names")
