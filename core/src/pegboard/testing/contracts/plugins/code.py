"""What the source code of a plugin says: which hooks it calls, and how it reports failures."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from pegboard.grading import is_within
from pegboard.problems import ProblemCode
from pegboard.testing.contracts.plugins.hook_code import hook_functions, printed, raised

_LOGGING = {"debug", "info", "warning", "error", "exception", "critical", "log"}


class Code:
    """The modules of a plugin's import package."""

    def __init__(self, package: str) -> None:
        """Read the modules; the package is imported, and no namespace package."""
        self.package = package
        root = Path(str(sys.modules[package].__file__))
        files = root.parent.rglob("*.py") if root.name == "__init__.py" else [root]
        self._paths: dict[str, str] = {}
        self._trees: dict[str, ast.Module] = {}
        for path in sorted(files):
            is_package = root.name == "__init__.py"
            name = _module_name(package, path.relative_to(root.parent)) if is_package else package
            self._paths[name] = path.relative_to(root.parent.parent).as_posix()
            self._trees[name] = ast.parse(path.read_text(encoding="utf-8"))

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
        yield from self._failures_of_hooks()
        for name, tree in self._trees.items():
            unnamed = {*_unnamed_loggers(tree)}
            for node in ast.walk(tree):
                place = f"{self._paths[name]}, line {getattr(node, 'lineno', 0)}"
                match node:
                    case ast.Call(func=ast.Attribute(value=logger, attr=method)) if (
                        method in _LOGGING and _is_unnamed(logger, unnamed)
                    ):
                        yield (
                            f"{place}: {ast.unparse(logger)}.{method} logs without a name. Write "
                            "logger = logging.getLogger(__name__), and use the logger"
                        )
                    case ast.Call(
                        func=ast.Name(id="Problem") | ast.Attribute(attr="Problem"),
                        args=[ast.Constant(value=code), *_],
                    ):
                        yield (
                            f"{place}: the code {code!r} of a Problem is not declared. Declare it "
                            "in a subclass of pegboard.ProblemCode"
                        )

    def _failures_of_hooks(self) -> Iterator[str]:
        found: dict[str, str] = {}
        for module, function, hook in hook_functions(self._trees):
            caller = hook if function.name == hook else f"{function.name}, called by {hook},"
            for line, name in raised(function):
                found[f"{self._paths[module]}, line {line}"] = (
                    f"{caller} raises {name}. Raise "
                    "pegboard.StartupError([pegboard.Problem(code, summary, hint)]), with "
                    "a code of the plugin's own ProblemCode"
                )
            for line in printed(function):
                found[f"{self._paths[module]}, line {line}"] = (
                    f"{caller} prints. Log it by logging.getLogger(__name__)"
                )
        for place, text in found.items():
            yield f"{place}: {text}"

    def codes(self) -> Iterator[ProblemCode]:
        """Yield the codes of problems that the package declares."""
        for kind in ProblemCode.__subclasses__():
            module = sys.modules.get(kind.__module__)
            if is_within(kind.__module__, self.package) and kind in vars(module).values():
                yield from kind


def _module_name(package: str, path: Path) -> str:
    """Return the name of the module in a file, which is named from the folder of the package."""
    parts = path.with_suffix("").parts
    return ".".join([package, *(parts[:-1] if parts[-1] == "__init__" else parts)])


def _is_unnamed(logger: ast.expr, unnamed: set[str]) -> bool:
    """Return whether it is the root logger: `logging`, `logging.getLogger()`, or a name for it."""
    match logger:
        case ast.Name(id=name):
            return name == "logging" or name in unnamed
        case ast.Call(
            func=ast.Attribute(value=ast.Name(id="logging"), attr="getLogger"), args=[], keywords=[]
        ):
            return True
    return False


def _unnamed_loggers(tree: ast.Module) -> Iterator[str]:
    """Yield the names that a module gives to the root logger."""
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                if isinstance(value, ast.Call) and _is_unnamed(value, set()):
                    yield name
