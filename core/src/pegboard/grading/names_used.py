"""What a module takes from others by attributes, and by calls that are given a module's name."""

import ast
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import resolve_name

IMPORTING = frozenset(
    {
        "builtins.__import__",
        "importlib.__import__",
        "importlib.import_module",
        "importlib.util.find_spec",
        "pkgutil.resolve_name",
        "runpy.run_module",
        "sys.modules.get",
        "sys.modules.pop",
        "werkzeug.utils.import_string",
    }
)
"""Functions whose first argument names a module, or something in one."""

_BUILTINS = ("__import__", "eval", "exec", "getattr", "vars")
_FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


class _Text(str):
    """A text that the source has, in place of the dotted name of what a name is bound to."""

    __slots__ = ()


def names_used(tree: ast.AST) -> Iterator[tuple[int, str, bool]]:
    """Yield line and dotted name of what is used, and whether a call named it as a module."""
    reader = _Reader()
    reader.visit(tree)
    yield from reader.found


class _Reader(ast.NodeVisitor):
    """Follows what the names of each scope are bound to: modules, what is of them, and texts."""

    def __init__(self) -> None:
        self.found: list[tuple[int, str, bool]] = []
        self._scopes: list[dict[str, str | None]] = []

    def visit_Module(self, node: ast.Module) -> None:
        self._enter(node, {})

    def _visit_function(self, node: _FUNCTION) -> None:
        arguments = [one.arg for one in ast.walk(node.args) if isinstance(one, ast.arg)]
        self._enter(node, dict.fromkeys(arguments))

    def visit(self, node: ast.AST) -> None:
        """Visit a node; a function begins a scope, whatever kind it is."""
        if isinstance(node, _FUNCTION):
            self._visit_function(node)
        else:
            super().visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self._note(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self._note(node)

    def visit_Call(self, node: ast.Call) -> None:
        called = self._value(node.func)
        if called in {"builtins.exec", "builtins.eval"}:
            self._read(self._first(node), node.lineno)
        elif called in IMPORTING:
            if name := self._imported(node):
                self.found.append((node.lineno, name, True))
            self.generic_visit(node)
            return
        self._note(node)

    def _enter(self, node: ast.Module | _FUNCTION, bound: dict[str, str | None]) -> None:
        """Visit a scope, after all that is bound in it: a function may use what follows it."""
        self._scopes.append(bound)
        inside = [*_of_scope(node)]
        for one in inside:
            if isinstance(one, ast.Import | ast.ImportFrom):
                bound |= _bound_by(one)
        imported = frozenset(bound)
        for one in inside:
            match one:
                case ast.Assign(targets=[ast.Name(id=name)], value=value) if name not in imported:
                    is_first = name not in bound
                    bound[name] = self._value(value) if is_first else None
                case ast.Name(id=name, ctx=ast.Store()) if name not in imported:
                    bound.setdefault(name, None)
        self.generic_visit(node)
        self._scopes.pop()

    def _note(self, node: ast.expr) -> None:
        """Note what an expression is, or else look at its parts."""
        value = self._value(node)
        if value is None or isinstance(value, _Text):
            self.generic_visit(node)
            return
        self.found.append((node.lineno, value, False))
        inner = node
        while isinstance(inner, ast.Attribute | ast.Subscript):
            inner = inner.value
        if isinstance(inner, ast.Call) and inner is not node:
            self.visit(inner)

    def _value(self, node: ast.expr) -> str | None:  # noqa: PLR0911 - one for each expression
        """Return the dotted name of what an expression is, or its text; None if that is unknown."""
        match node:
            case ast.Name(id=name):
                return self._named(name)
            case ast.Constant(value=str(text)):
                return _Text(text)
            case ast.Attribute(value=inner, attr=name):
                return _of(self._value(inner), name)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return _joined([self._value(left), self._value(right)])
            case ast.JoinedStr(values=parts):
                return _joined([self._value(one) for one in parts])
            case ast.FormattedValue(value=inner):
                return self._value(inner)
            case ast.Subscript(value=inner, slice=key):
                return self._item(self._value(inner), self._value(key))
            case ast.Call():
                return self._result(node)
        return None

    def _named(self, name: str) -> str | None:
        for scope in reversed(self._scopes):
            if name in scope:
                return scope[name]
        return f"builtins.{name}" if name in _BUILTINS else None

    def _item(self, container: str | None, key: str | None) -> str | None:
        if not isinstance(key, _Text) or container is None:
            return None
        if container == "sys.modules":
            return str(key)
        owner = container.removesuffix(".__dict__")
        return _of(owner, key) if owner != container else None

    def _result(self, node: ast.Call) -> str | None:
        called = self._value(node.func)
        match called, node.args:
            case "builtins.getattr", [owner, name, *_]:
                key = self._value(name)
                return _of(self._value(owner), key) if isinstance(key, _Text) else None
            case "builtins.vars", [owner]:
                return _of(self._value(owner), "__dict__")
        imported = self._imported(node) if called in IMPORTING else None
        if (
            imported
            and called == "builtins.__import__"
            and len(node.args) + len(node.keywords) == 1
        ):
            return imported.partition(".")[0]
        return imported

    def _imported(self, node: ast.Call) -> str | None:
        """Return what a call imports; None if that is unknown, or relative to what is unknown."""
        name = self._first(node)
        if name is None or not name.startswith("."):
            return name and str(name.replace(":", "."))
        named = [one.value for one in node.keywords if one.arg == "package"]
        package = next(map(self._value, [*node.args[1:2], *named]), None)
        # A package that is no text is the plugin's own, as `__package__` is.
        with suppress(ImportError):
            return resolve_name(name, package) if isinstance(package, _Text) else None
        return None

    def _first(self, node: ast.Call) -> str | None:
        """Return the text that a call is given first, or as a name."""
        named = [one.value for one in node.keywords if one.arg in {"name", "mod_name"}]
        for one in [*node.args, *named][:1]:
            text = self._value(one)
            return text if isinstance(text, _Text) else None
        return None

    def _read(self, source: str | None, line: int) -> None:
        """Look at the source that is given to `exec` or `eval`."""
        try:
            tree = ast.parse(source or "")
        except SyntaxError:
            return
        self.found += [(line, name, by_call) for _, name, by_call in names_used(tree)]
        for one in ast.walk(tree):
            if isinstance(one, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in one.names]
                module = getattr(one, "module", None)
                self.found += [(line, f"{module}.{n}" if module else n, True) for n in names]


def _of(owner: str | None, name: str) -> str | None:
    return None if owner is None or isinstance(owner, _Text) else f"{owner}.{name}"


def _joined(parts: list[str | None]) -> _Text | None:
    texts = [one for one in parts if isinstance(one, _Text)]
    return _Text("".join(texts)) if len(texts) == len(parts) else None


def _of_scope(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what is in a scope, and not in that of a function inside it."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, _FUNCTION):
            yield from _of_scope(child)


def _bound_by(statement: ast.Import | ast.ImportFrom) -> dict[str, str | None]:
    """Return the names that an import binds, and what to; what is relative is the plugin's own."""
    if isinstance(statement, ast.Import):
        return {
            one.asname or one.name.partition(".")[0]: one.name
            if one.asname
            else one.name.partition(".")[0]
            for one in statement.names
        }
    return {
        one.asname or one.name: None if statement.level else f"{statement.module}.{one.name}"
        for one in statement.names
    }
