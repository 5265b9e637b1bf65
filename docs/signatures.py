"""Signatures, members and docstrings of public names, read from the source without importing it."""

import ast
import contextlib
import functools
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCES = {
    package.name: package.parent
    for package in (ROOT / "core/src/pegboard", *sorted(ROOT.glob("plugins/*/src/pegboard_*")))
}
"""The folder of each import package: that of the core, and those of its plugins."""

_FOLDERS = {**SOURCES, "tox_pegboard": ROOT / "tox_pegboard/src"}

LONGEST_LINE = 88

Function = ast.FunctionDef | ast.AsyncFunctionDef
Node = Function | ast.ClassDef | ast.Assign | ast.AnnAssign


@dataclass(frozen=True)
class Definition:
    """One name: the function, class or assignment that defines it, and its documentation."""

    name: str
    node: Node
    module: str
    doc: str

    @property
    def decorators(self) -> list[str]:
        """Its decorators, without the `@`."""
        assert not isinstance(self.node, ast.Assign | ast.AnnAssign)
        return [ast.unparse(mark) for mark in self.node.decorator_list]

    @property
    def is_fixture(self) -> bool:
        """Whether it is a fixture of pytest."""
        return isinstance(self.node, Function) and "pytest.fixture" in " ".join(self.decorators)

    @property
    def members(self) -> list["Definition"]:
        """The members of a class in the order of the source, those that `__init__` sets last."""
        assert isinstance(self.node, ast.ClassDef)
        found = list(_definitions(self.node, self.module))
        for one in found:
            if one.name == "__init__":
                return [*found, *map(_annotated(one), _definitions(one.node, one.module, "self."))]
        return found

    @property
    def is_documented(self) -> bool:
        """Whether it is a member for all: settings have a page of their own."""
        value = getattr(self.node, "value", None)
        is_plain = isinstance(self.node, ast.Assign) and not isinstance(value, ast.Constant)
        if self.name[0] == "_" or (value and ast.unparse(value).startswith("setting(")):
            return self.name == "__call__"
        return bool(self.doc) or not is_plain


def _definitions(parent: ast.AST, module: str, prefix: str = "") -> Iterator[Definition]:
    body: list[ast.stmt] = getattr(parent, "body", [])
    for node, following in zip(body, [*body[1:], None], strict=True):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield Definition(node.name, node, module, ast.get_docstring(node) or "")
            case ast.Assign(targets=[target]) | ast.AnnAssign(target=target):
                name = ast.unparse(target)
                match following:
                    case ast.Expr(value=ast.Constant(value=str(text))):
                        doc = inspect.cleandoc(text)
                    case _:
                        doc = ""
                if name.startswith(prefix) and (name := name.removeprefix(prefix)).isidentifier():
                    yield Definition(name, node, module, doc)


def _annotated(init: Definition) -> Callable[[Definition], Definition]:
    """Return what gives the type of an argument to the attribute that keeps it."""
    assert isinstance(init.node, Function)
    types = {one.arg: one.annotation for one in (*init.node.args.args, *init.node.args.kwonlyargs)}

    def annotate(member: Definition) -> Definition:
        match member.node:
            case ast.Assign(targets=[target], value=ast.Name(id=name)) if types.get(name):
                node = ast.parse(f"{ast.unparse(target)}: {ast.unparse(types[name])}").body[0]
                return replace(member, node=node)
        return member

    return annotate


@functools.cache
def _read(module: str) -> tuple[ast.Module, str]:
    path = _FOLDERS[module.partition(".")[0]].joinpath(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    source = path.read_text(encoding="utf-8")
    return ast.parse(source), source


def find(module: str, name: str) -> Definition:
    """Return the definition of a name, in the module or where the module imports it from."""
    tree, _ = _read(module)
    for definition in _definitions(tree, module):
        if definition.name == name:
            return definition
    for node in _imports(tree):
        if (node.module or "").partition(".")[0] in SOURCES:
            for imported in node.names:
                if name == (imported.asname or imported.name):
                    return find(node.module, imported.name)
    message = f"{module} defines no {name}"
    raise LookupError(message)


def _imports(tree: ast.Module) -> Iterator[ast.ImportFrom]:
    """Yield the imports of a module, those for type checkers only included."""
    guarded = [one for node in tree.body if isinstance(node, ast.If) for one in node.body]
    for node in [*tree.body, *guarded]:
        if isinstance(node, ast.ImportFrom):
            yield node


def classes_in(definition: Definition, *, is_exported: bool) -> Iterator[Definition]:
    """Yield the classes of the core that a name mentions in its annotations.

    Only the core makes objects of a class that is not exported, so its constructor does not count;
    its base classes do, as it has their members.
    """
    names = list(_names_in(definition.node, is_exported=is_exported))
    if isinstance(definition.node, ast.ClassDef):
        for member in definition.members:
            if member.is_documented or (is_exported and member.name == "__init__"):
                names += _names_in(member.node, is_exported=is_exported)
    for name in names:
        with contextlib.suppress(LookupError):
            found = find(definition.module, name)
            if isinstance(found.node, ast.ClassDef) and name[0] != "_":
                yield found


def _names_in(node: ast.AST | None, *, is_exported: bool = True) -> Iterator[str]:
    """Yield the names in annotations, also in quoted ones."""
    match node:
        case None:
            return
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            parts: list[ast.AST | None] = [node.returns]
            given = node.args
            arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs]
            arguments += [one for one in (given.vararg, given.kwarg) if one]
            parts += [one.annotation for one in arguments]
        case ast.ClassDef():
            parts = [] if is_exported else list(node.bases)
        case ast.AnnAssign():
            parts = [node.annotation]
        case ast.Assign():
            parts = []
        case _:
            for part in ast.walk(node):
                match part:
                    case ast.Name(id=name):
                        yield name
                    case ast.Constant(value=str(text)):
                        with contextlib.suppress(SyntaxError):
                            yield from _names_in(ast.parse(text, mode="eval").body)
            return
    for one in parts:
        yield from _names_in(one)


def names_of(module: str) -> list[str]:
    """Return the public names of a module."""
    node = find(module, "__all__").node
    assert isinstance(node, ast.Assign)
    return list(ast.literal_eval(node.value))


def head(definition: Definition) -> str:
    """Return the code that shows how a name is used: a signature, or how an object is made."""
    node = definition.node
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            marks = [f"@{mark}\n" for mark in definition.decorators]
            return f"{''.join(marks)}{_signature(definition)}"
        case ast.ClassDef():
            names = [base for base in map(ast.unparse, node.bases) if base[0] != "_"]
            bases = f"({', '.join(names)})" if names else ""
            return f"class {node.name}{bases}{_constructor(definition)}"
        case _:
            return ast.unparse(node)


def _signature(definition: Definition) -> str:
    """Return the first lines of a function as they are in the source, up to the colon."""
    node = definition.node
    assert isinstance(node, Function)
    lines = _read(definition.module)[1].splitlines()[node.lineno - 1 : node.body[0].lineno - 1]
    shown = (re.sub(r"  # noqa: .*", "", line) for line in lines)
    return textwrap.dedent("\n".join(shown)).removesuffix(":")


def _constructor(definition: Definition) -> str:
    """Return the line that shows the arguments of a class, if it has a constructor of its own."""
    node = definition.node
    assert isinstance(node, ast.ClassDef)
    for member in definition.members:
        if member.name == "__init__":
            arguments = re.sub(
                r"\bself\b,?\s*", "", _signature(member).removeprefix("def __init__")
            )
            return f"\n\n{node.name}{arguments.removesuffix(' -> None')}"
    kinds = [
        *map(ast.unparse, node.bases),
        *(mark.partition("(")[0] for mark in definition.decorators),
    ]
    if not {"NamedTuple", "dataclass"} & set(kinds):
        return ""
    fields = [ast.unparse(member.node) for member in definition.members if _is_field(member)]
    shown = f"{node.name}({', '.join(fields)})"
    if len(shown) > LONGEST_LINE:
        lines = "".join(f"    {field},\n" for field in fields)
        shown = f"{node.name}(\n{lines})"
    return f"\n\n{shown}"


def _is_field(member: Definition) -> bool:
    return isinstance(member.node, ast.AnnAssign) and "ClassVar" not in ast.unparse(member.node)


def aliases_in(definition: Definition) -> list[str]:
    """Return the aliases of types that the annotations of a name use, as they are defined."""
    nodes: list[ast.AST] = [definition.node]
    if isinstance(definition.node, ast.ClassDef):
        nodes = [member.node for member in definition.members if member.is_documented]
    names = {part.id for node in nodes for part in ast.walk(node) if isinstance(part, ast.Name)}
    found = []
    for name in sorted(names):
        with contextlib.suppress(LookupError):
            node = find(definition.module, name).node
            value = getattr(node, "value", None)
            if name[0].isupper() and isinstance(value, ast.BinOp | ast.Subscript | ast.Name):
                found.append(ast.unparse(node))
    return found


def arguments_of(node: Function) -> list[str]:
    """Return the arguments of a function, as they are written."""
    bare = ast.parse(f"def f({ast.unparse(node.args)}): ...").body[0]
    assert isinstance(bare, ast.FunctionDef)
    text = ast.unparse(bare.args)
    depth, parts = 0, [""]
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    parts = [re.sub(r": '([^']+)'", r": \1", part.strip()) for part in parts]
    return [part.replace("=", " = " if ":" in part else "=", 1) for part in parts]
