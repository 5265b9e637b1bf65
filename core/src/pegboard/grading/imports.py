"""What the modules of a plugin import, and use of what they import, read without running them."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pegboard.grading.names_used import names_used
from pegboard.grading.subject import Subject
from pegboard.plugins import PUBLIC_MODULES


@dataclass(frozen=True)
class Import:
    """One name that is imported, or used of a module that is."""

    place: str
    """File and line."""
    module: str
    """The module that is named, in full."""
    name: str | None
    """What is taken from it, with attributes of that; None if it is the module itself."""
    is_typing: bool
    """Whether only type checkers execute it."""

    @property
    def is_for_tests(self) -> bool:
        """Whether it stands in the subpackage `testing` of the plugin."""
        _package, *inside = Path(self.place.partition(":")[0]).parts
        return inside[:1] == ["testing"]

    @property
    def top(self) -> str:
        """The top-level package."""
        return self.module.partition(".")[0]


def imports_of(subject: Subject) -> Iterator[Import]:
    """Yield what a plugin's modules import and use of other packages."""
    for path in subject.modules:
        place = path.relative_to(subject.folder.parent)
        tree = ast.parse(path.read_bytes())
        for found in (*_imports(tree, place), *_uses(tree, place)):
            if found.top != subject.package:
                yield found


def _uses(tree: ast.Module, place: Path) -> Iterator[Import]:
    """Yield the modules that calls name, and what is used of the core and of other plugins."""
    for line, dotted, is_named in names_used(tree):
        where = f"{place}:{line}"
        is_of_pegboard = dotted.partition(".")[0].startswith("pegboard")
        if is_of_pegboard:
            module, name = _split(dotted)
            yield Import(where, module, name, is_typing=False)
        elif is_named:
            yield Import(where, dotted, None, is_typing=False)


def _split(dotted: str) -> tuple[str, str | None]:
    """Return the longest public module of a dotted name, and the rest; else all as a module."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        module = ".".join(parts[:length])
        if module in PUBLIC_MODULES or module.startswith("pegboard.testing") or length == 1:
            return module, ".".join(parts[length:]) or None
    raise AssertionError(dotted)


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
