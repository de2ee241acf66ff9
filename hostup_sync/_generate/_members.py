"""One template for each kind of function; a function of no kind is refused."""

import ast
from typing import Final

from hostup_sync._generate._docs import Docs
from hostup_sync._generate._scope import MANAGERS, STREAMS, Scope, returned
from hostup_sync._generate._shapes import Shapes
from hostup_sync._generate._signature import GUARDS, Signature, exploded
from hostup_sync._generate._source import Function, Module, Origin, Unsupported

RENAMED: Final = {"aclose": "close"}
# What a stream or a context manager is called without `async`, and where that comes from.
_SYNC: Final = {
    "AsyncIterator": ("Iterator[{}]", Origin("collections.abc", "Iterator")),
    "AsyncGenerator": ("Generator[{}, None, None]", Origin("collections.abc", "Generator")),
    "manager": ("AbstractContextManager[{}]", Origin("contextlib", "AbstractContextManager")),
}
_DECORATORS: Final = {
    "property",
    "part",
    "classmethod",
    "asynccontextmanager",
    "abstractmethod",
    "overload",
}


class Members:
    """Turns functions of the source into the text of a facade.

    Attributes:
        helpers: The functions of the runtime that the text calls.
        used: The renames and guards that were needed.
    """

    def __init__(self, scope: Scope, docs: Docs) -> None:
        self._scope = scope
        self._docs = docs
        self.helpers: set[str] = set()
        self.used: set[str] = set()

    def method(self, module: Module, node: Function, owner: str) -> str:
        """A method, property or classmethod of the class `owner` of the source."""
        marks = decorators(module, node)
        if marks & {"property", "part"}:
            return self._property(module, node, "part" if "part" in marks else "property")
        if "classmethod" in marks:
            return self._classmethod(module, node, owner)
        if node.name == "aclose":
            self.used.add("aclose")
            self.helpers.add("close")
            body = "close(self._home, self._async, self._async.aclose)"
            return self._whole(module, node, "", ["self"], "None", body)
        if node.name == "open" and returned(node) == "Self":
            self._returns(module, node)
            self.helpers.add("enter")
            body = "enter(self._home, self._async)\n        return self"
            return self._whole(module, node, "", ["self"], "Self", body)
        return self._function(module, node, "self._home", f"self._async.{node.name}", ", self")

    def function(self, module: Module, node: Function) -> str:
        """A public function of the package."""
        self.helpers.add("ClientScope")
        target = f"{self._scope.package.name}.{node.name}"
        return self._function(module, node, "ClientScope()", target, "")

    def constructor(self, module: Module, node: Function, owner: str) -> str:
        """`__init__`, which makes the async object first."""
        signature = Signature(self._scope, module, node, bound=True)
        guards = [f"        {name} = {GUARDS[name].name}({name})\n" for name in signature.guarded]
        for name in signature.guarded:
            self.used.add(name)
            guard = GUARDS[name]
            self._scope.add(module, node, str(guard.name), guard)
        made = f"{self._scope.package.name}.{owner}"
        shapes = Shapes(self._scope)
        return (
            exploded("def __init__", signature.lines(), " -> None:\n", "    ")
            + "".join(guards)
            + exploded(f"made = {made}", signature.passed(shapes), "\n", " " * 8)
            + "        super().__init__(made)\n"
        )

    def enter(self, module: Module, node: Function) -> str:
        """`__enter__`, from `__aenter__`."""
        self.helpers.add("enter")
        annotation = self._returns(module, node)
        head = f"    def __enter__(self) -> {module.segment(annotation)}:\n"
        entered = "enter(self._home, self._async)"
        if isinstance(annotation, ast.Name) and annotation.id == "Self":
            return f"{head}        {entered}\n        return self\n"
        shaped = Shapes(self._scope).result(module, annotation)
        if shaped is None:
            return f"{head}        return {entered}\n"
        return f"{head}        it = {entered}\n        return {shaped}\n"

    def leave(self, module: Module, node: Function) -> str:
        """`__exit__`, from `__aexit__`."""
        self.helpers.add("leave")
        self._scope.add(module, node, "TracebackType", Origin("types", "TracebackType"))
        lines = [
            "self",
            "exc_type: type[BaseException] | None",
            "exc: BaseException | None",
            "traceback: TracebackType | None",
        ]
        annotation = module.segment(self._returns(module, node))
        give = "" if annotation == "None" else "return "
        head = exploded("def __exit__", lines, f" -> {annotation}:\n", "    ")
        return f"{head}        {give}leave(self._home, self._async, exc)\n"

    def _function(self, module: Module, node: Function, home: str, target: str, parent: str) -> str:
        helper, annotation, result = self._kind(module, node)
        shape = Shapes(self._scope, parent).result(module, result)
        self.helpers.add(helper)
        if shape is None:
            self.helpers.add("identity")
        signature = Signature(self._scope, module, node, bound=bool(parent))
        passed = signature.passed(Shapes(self._scope))
        shape = "identity" if shape is None else f"lambda it: {shape}"
        shape = shape.removeprefix("lambda it: ").removesuffix("(it)") if not parent else shape
        give = "" if annotation == "None" else "return "
        indent = "    " if parent else ""
        body = exploded(give + helper, [home, shape, target, *passed], "", f"{indent}    ").lstrip()
        mark = ""
        if "overload" in decorators(module, node):
            self._scope.add(module, node, "overload", Origin("typing", "overload"))
            mark = f"{indent}@overload\n"
        return self._whole(module, node, mark, signature.lines(), annotation, body, indent)

    def _kind(self, module: Module, node: Function) -> tuple[str, str, ast.expr]:
        """The helper that runs it, the annotation of the facade, and what is to be shaped."""
        annotation = self._returns(module, node)
        outer = returned(node)
        is_async = isinstance(node, ast.AsyncFunctionDef)
        if "asynccontextmanager" in decorators(module, node):
            return "Managed", *self._inner(module, node, "manager")
        if outer in MANAGERS and not is_async:
            return "Managed", *self._inner(module, node, "manager")
        if outer in STREAMS and is_async == _yields(node):
            return "stream", *self._inner(module, node, outer)
        if outer in STREAMS | MANAGERS or (_yields(node) and is_async):
            raise Unsupported(module, node, f"no rule for {node.name}, which returns {outer}")
        helper = "call" if is_async else "forward"
        return helper, module.segment(annotation), annotation

    def _inner(self, module: Module, node: Function, kind: str) -> tuple[str, ast.expr]:
        annotation = self._returns(module, node)
        if not isinstance(annotation, ast.Subscript):
            raise Unsupported(module, node, f"{node.name} does not say what it yields, unquoted")
        inner = annotation.slice
        if isinstance(inner, ast.Tuple) and (kind == "manager" or "Generator" in returned(node)):
            inner = inner.elts[0]
        template, origin = _SYNC[kind]
        self._scope.add(module, node, str(origin.name), origin)
        return template.format(module.segment(inner)), inner

    def _property(self, module: Module, node: Function, mark: str) -> str:
        if mark == "part":
            self._scope.add(module, node, mark, module.names[mark])
        annotation = self._returns(module, node)
        shape = Shapes(self._scope).result(module, annotation, f"self._async.{node.name}")
        body = f"return {shape or f'self._async.{node.name}'}"
        text = module.segment(annotation)
        return self._whole(module, node, f"    @{mark}\n", ["self"], text, body)

    def _classmethod(self, module: Module, node: Function, owner: str) -> str:
        if isinstance(node, ast.AsyncFunctionDef):
            raise Unsupported(module, node, f"no rule for the async classmethod {node.name}")
        annotation = self._returns(module, node)
        signature = Signature(self._scope, module, node, bound=True)
        passed = signature.passed(Shapes(self._scope))
        made = exploded(
            f"made = {self._scope.package.name}.{owner}.{node.name}", passed, "", " " * 8
        )
        shape = Shapes(self._scope, "").result(module, annotation, "made")
        if shape is not None and module.segment(annotation).strip('"') in {"Self", owner}:
            shape = "cls._of(made)"
        body = f"{made.lstrip()}\n        return {shape or 'made'}"
        text = module.segment(annotation)
        return self._whole(module, node, "    @classmethod\n", signature.lines(), text, body)

    def _whole(  # noqa: PLR0913, PLR0917 - the parts of a function, in their order
        self,
        module: Module,
        node: Function,
        mark: str,
        lines: list[str],
        annotation: str,
        body: str,
        indent: str = "    ",
    ) -> str:
        name = RENAMED.get(node.name, node.name)
        if "@overload" in mark:
            return mark + exploded(f"def {name}", lines, f" -> {annotation}: ...\n", indent)
        head = exploded(f"def {name}", lines, f" -> {annotation}:\n", indent)
        doc = self.docstring(module, node)
        return f"{mark}{head}{indent}    {doc}\n{indent}    {body}\n"

    def docstring(self, module: Module, node: ast.ClassDef | Function) -> str:
        """The docstring's text, in sync form.

        Raises:
            Unsupported: There is none, or an example in it has no sync form.
        """
        text = module.docstring(node)
        if text is None:
            raise Unsupported(module, node, f"{node.name} has no docstring")
        try:
            return self._docs.rewrite(text)
        except ValueError as error:
            raise Unsupported(module, node, str(error)) from None

    def _returns(self, module: Module, node: Function) -> ast.expr:
        if node.returns is None:
            raise Unsupported(module, node, f"{node.name} does not say what it returns")
        self._scope.need(module, _without_shape(node))
        return node.returns


def decorators(module: Module, node: Function) -> set[str]:
    """The names of a function's decorators, each of which has a rule.

    Raises:
        Unsupported: One has none.
    """
    found = {module.segment(one).rpartition(".")[2] for one in node.decorator_list}
    if unknown := found - _DECORATORS:
        raise Unsupported(module, node, f"no rule for the decorator {min(unknown)} of {node.name}")
    return found


def _without_shape(node: Function) -> ast.AST:
    """What of the return annotation the facade keeps."""
    annotation = node.returns
    if returned(node) in STREAMS | MANAGERS and isinstance(annotation, ast.Subscript):
        inner = annotation.slice
        return inner.elts[0] if isinstance(inner, ast.Tuple) else inner
    return annotation or ast.Constant(None)


def _yields(node: Function) -> bool:
    """Whether it is a generator: a `yield` of its own, not of a function inside."""
    waiting: list[ast.AST] = list(node.body)
    while waiting:
        part = waiting.pop()
        if isinstance(part, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(part, Function | ast.Lambda | ast.ClassDef):
            waiting.extend(ast.iter_child_nodes(part))
    return False
