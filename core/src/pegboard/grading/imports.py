"""What the modules of a plugin import, read without importing them."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pegboard.grading.subject import Subject


@dataclass(frozen=True)
class Import:
    """One imported name."""

    place: str
    """File and line."""
    module: str
    """The module that is named, in full."""
    name: str | None
    """What is taken from it; None if the module itself is imported."""
    is_typing: bool
    """Whether only type checkers execute it."""

    @property
    def top(self) -> str:
        """The top-level package."""
        return self.module.partition(".")[0]


def imports_of(subject: Subject) -> Iterator[Import]:
    """Yield what a plugin's modules import of other packages."""
    for path in subject.modules:
        place = path.relative_to(subject.folder.parent)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for found in (*_imports(tree, place), *_imports_by_call(tree, place)):
            if found.top != subject.package:
                yield found


def _imports_by_call(tree: ast.Module, place: Path) -> Iterator[Import]:
    """Yield what `import_module`, under whatever name, and `__import__` are called with."""
    names = {"import_module", "__import__"} | {
        alias.asname
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname and alias.name in {"import_module", "__import__"}
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        called = function.attr if isinstance(function, ast.Attribute) else None
        called = function.id if isinstance(function, ast.Name) else called
        named = [one.value for one in node.keywords if one.arg == "name"]
        for first in [*node.args, *named][:1]:
            module = first.value if isinstance(first, ast.Constant) else None
            if called in names and isinstance(module, str) and not module.startswith("."):
                yield Import(f"{place}:{node.lineno}", module, None, is_typing=False)


def _imports(node: ast.AST, place: Path, *, is_typing: bool = False) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        where = f"{place}:{getattr(child, 'lineno', 0)}"
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(where, alias.name, None, is_typing)
        elif isinstance(child, ast.ImportFrom):
            if child.level == 0:
                for alias in child.names:
                    yield Import(where, child.module or "", alias.name, is_typing)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for one in child.body:
                yield from _imports(ast.Module([one], []), place, is_typing=True)
            for one in child.orelse:
                yield from _imports(ast.Module([one], []), place, is_typing=is_typing)
        else:
            yield from _imports(child, place, is_typing=is_typing)
