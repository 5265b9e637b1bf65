"""The functions that the hooks of a plugin run when they are called, found in its source code."""

import ast
import builtins
from collections import Counter
from collections.abc import Iterator, Mapping

Trees = Mapping[str, ast.Module]
"""The modules of a package by their dotted names."""

_NESTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def hook_functions(trees: Trees) -> Iterator[tuple[str, ast.FunctionDef, str]]:
    """Yield each function that runs when a hook is called, with its module and that hook's name.

    These are the hooks and the package's functions that only they call, by name and also
    indirectly, where no `try` catches what these raise. What others call as well, such as a check
    of settings, may raise for them what cannot happen in the hook.
    """
    uses = Counter(one for tree in trees.values() for one in _named(tree))
    for module, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and is_hook(node):
                seen: set[tuple[str, str]] = set()
                yield from _with_called(trees, uses, (module, node), node.name, seen)


def is_hook(node: ast.FunctionDef) -> bool:
    """Return whether the function implements a hook."""
    return any("hookimpl" in ast.unparse(mark) for mark in node.decorator_list)


def raised(function: ast.FunctionDef) -> Iterator[tuple[int, str]]:
    """Yield the line and the name of each exception of Python that a function raises itself."""
    for node in ast.walk(function) if is_hook(function) else _run(function):
        if isinstance(node, ast.Raise) and node.exc is not None:
            error = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            if isinstance(error, ast.Name) and hasattr(builtins, error.id):
                yield node.lineno, error.id


def printed(function: ast.FunctionDef) -> Iterator[int]:
    """Yield the line of each `print` to the standard output."""
    for node in _run(function):
        match node:
            case ast.Call(func=ast.Name(id="print"), keywords=options):
                if all(one.arg != "file" for one in options):
                    yield node.lineno


def _with_called(
    trees: Trees,
    uses: Mapping[str, int],
    place: tuple[str, ast.FunctionDef],
    hook: str,
    seen: set[tuple[str, str]],
) -> Iterator[tuple[str, ast.FunctionDef, str]]:
    module, function = place
    if (module, function.name) in seen:
        return
    seen.add((module, function.name))
    yield module, function, hook
    mine = Counter(_named(function))
    for node in _run(function):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            found = _find(trees, module, node.func.id)
            if found is None:
                continue
            names = {node.func.id, found[1].name}
            imports = 0 if found[0] == module else 1
            if sum(uses[one] for one in names) == sum(mine[one] for one in names) + imports:
                yield from _with_called(trees, uses, found, hook, seen)


def _named(tree: ast.AST) -> Iterator[str]:
    """Yield each name that code uses, or imports, as often as it does."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name):
                yield name


def _run(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """Yield what a function runs itself, outside of functions in it and of `try`."""
    waiting: list[ast.AST] = [*function.body]
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, _NESTED):
            continue
        yield node
        if isinstance(node, ast.Try | ast.TryStar) and node.handlers:
            waiting = [*node.handlers, *node.orelse, *node.finalbody, *waiting]
        else:
            waiting = [*ast.iter_child_nodes(node), *waiting]


def _find(trees: Trees, module: str, name: str) -> tuple[str, ast.FunctionDef] | None:
    """Return the function of the package that a name of a module means, and its module."""
    for node in trees[module].body:
        match node:
            case ast.FunctionDef(name=known) if known == name:
                # What a decorator makes of it may catch what it raises, or call it later.
                return None if node.decorator_list else (module, node)
            case ast.ImportFrom(module=str(source), level=0, names=names) if source in trees:
                for one in names:
                    if (one.asname or one.name) == name and source != module:
                        return _find(trees, source, one.name)
    return None
