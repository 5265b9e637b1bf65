"""The newest revisions of a history, as its files write them.

A process that serves must know them, and need not import Alembic and every revision file for it.
"""

import ast
from graphlib import CycleError, TopologicalSorter

from pegboard.migrations.histories import History

_LINKS = {"revision", "down_revision", "branch_labels", "depends_on"}


def written_heads(history: History) -> frozenset[str] | None:
    """Return the ids of the revisions of a history that no other one follows.

    None if they are not written as `alembic revision` writes them, each name once and with a
    constant, or if they make no sense: then only Alembic can tell what they are, or what is wrong.
    """
    graph: dict[str, set[str]] = {}
    for path in history.versions.glob("*.py"):
        if path.name.startswith(("__init__", ".#")):  # Alembic does not read them
            continue
        try:
            links = _constants(ast.parse(path.read_bytes()))
        except (OSError, SyntaxError, ValueError):
            return None
        revision, down = links.get("revision"), links.get("down_revision", ())
        before = down if isinstance(down, tuple) else () if down is None else (down,)
        if (
            not isinstance(revision, str)
            or revision in graph
            or not all(isinstance(one, str) for one in before)
            or links.get("branch_labels")
            or links.get("depends_on")
        ):
            return None
        graph[revision] = {*before}
    followed = {one for before in graph.values() for one in before}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError:
        return None
    return frozenset(graph.keys() - followed) if followed <= graph.keys() else None


def _constants(module: ast.Module) -> dict[str, object]:
    """Return the constants that a module's statements assign to the names that link revisions.

    Raises `ValueError` if one is assigned otherwise, or more than once.
    """
    found: dict[str, object] = {}
    for statement in module.body:
        match statement:
            case ast.Assign(targets=[ast.Name(name)], value=value) if name in _LINKS:
                found[name] = ast.literal_eval(value)
            case ast.AnnAssign(target=ast.Name(name), value=ast.expr() as value) if name in _LINKS:
                found[name] = ast.literal_eval(value)
    stored = [
        node.id
        for node in ast.walk(module)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in _LINKS
    ]
    if len(stored) != len(found):
        message = "a name is assigned twice, or elsewhere than at the top of the file"
        raise ValueError(message)
    return found
