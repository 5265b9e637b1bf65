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
        for found in _imports(ast.parse(path.read_text(encoding="utf-8")), place):
            if found.top != subject.package:
                yield found


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
