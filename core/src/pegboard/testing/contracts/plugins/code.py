"""What the source code of a plugin says: which hooks it calls, and how it reports failures."""

import ast
import builtins
import sys
from collections.abc import Iterator
from pathlib import Path

from pegboard.problems import ProblemCode

_LOGGING = {"debug", "info", "warning", "error", "exception", "critical", "log"}


class Code:
    """The modules of a plugin's import package."""

    def __init__(self, package: str) -> None:
        self.package = package
        module = sys.modules[package]
        root = Path(str(module.__file__))
        files = root.parent.rglob("*.py") if root.name == "__init__.py" else [root]
        self._trees = {
            path.relative_to(root.parent.parent).as_posix(): ast.parse(
                path.read_text(encoding="utf-8")
            )
            for path in sorted(files)
        }

    def uses(self, name: str) -> bool:
        """Return whether some module has the name as an attribute, or as a text."""
        return any(
            (isinstance(node, ast.Attribute) and node.attr == name)
            or (isinstance(node, ast.Constant) and node.value == name)
            for tree in self._trees.values()
            for node in ast.walk(tree)
        )

    def unnamed_failures(self) -> Iterator[str]:
        """Yield each place that reports a failure without the plugin's name or a code."""
        for path, tree in self._trees.items():
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef) and _is_hook(node):
                    for line, name in _raised(node):
                        yield (
                            f"{path}, line {line}: {node.name} raises {name}. Raise "
                            "pegboard.StartupError([pegboard.Problem(code, summary, hint)]), with "
                            "a code of the plugin's own ProblemCode"
                        )
                match node:
                    case ast.Call(func=ast.Attribute(value=ast.Name(id="logging"), attr=name)):
                        if name in _LOGGING:
                            yield (
                                f"{path}, line {node.lineno}: logging.{name} logs without a name. "
                                "Write logger = logging.getLogger(__name__), and use the logger"
                            )
                    case ast.Call(
                        func=ast.Name(id="Problem") | ast.Attribute(attr="Problem"),
                        args=[ast.Constant(value=code), *_],
                    ):
                        yield (
                            f"{path}, line {node.lineno}: the code {code!r} of a Problem is not "
                            "declared. Declare it in a subclass of pegboard.ProblemCode"
                        )

    def codes(self) -> Iterator[ProblemCode]:
        """Yield the codes of problems that the package declares."""
        for kind in ProblemCode.__subclasses__():
            module = sys.modules.get(kind.__module__)
            if kind.__module__.partition(".")[0] == self.package and kind in vars(module).values():
                yield from kind


def _is_hook(node: ast.FunctionDef) -> bool:
    return any("hookimpl" in ast.unparse(mark) for mark in node.decorator_list)


def _raised(function: ast.FunctionDef) -> Iterator[tuple[int, str]]:
    """Yield the line and the name of each exception of Python that a function raises itself."""
    for node in ast.walk(function):
        if isinstance(node, ast.Raise) and node.exc is not None:
            raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            if isinstance(raised, ast.Name) and hasattr(builtins, raised.id):
                yield node.lineno, raised.id
