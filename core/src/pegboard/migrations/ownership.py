"""Which tables belong to which history."""

import ast
from pathlib import Path

from alembic.script.base import Script

from pegboard.migrations.histories import History, Migrate, read_script_directory


def owned_tables(history: History, migrate: Migrate) -> set[str]:
    """Return the tables of the history's models, and those its revisions created and did not drop.

    The latter let autogenerate notice that a model was removed. All other tables of the database
    are left alone.
    """
    others = (other.metadata for other in migrate.histories if other.name != history.name)
    of_others = {
        table.name
        for metadata in others
        if metadata is not None
        for table in metadata.tables.values()
    }
    metadata = history.metadata
    own = {table.name for table in metadata.tables.values()} if metadata is not None else set()
    return own | (_created_tables(history, migrate) - of_others)


def _created_tables(history: History, migrate: Migrate) -> set[str]:
    tables: set[str] = set()
    scripts = read_script_directory(migrate.configuration(history)).walk_revisions()
    for script in reversed(list(scripts)):
        for operation, names in _table_operations(script):
            if operation == "create_table":
                tables.add(names[0])
            else:
                tables.discard(names[0])
            tables.update(names[1:])
    return tables


def _table_operations(script: Script) -> list[tuple[str, list[str]]]:
    """Read from the source of a revision which tables it creates, drops and renames."""
    module = ast.parse(Path(script.path).read_text(encoding="utf-8"))
    calls = [
        node
        for function in module.body
        if isinstance(function, ast.FunctionDef) and function.name == "upgrade"
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    operations = []
    for call in sorted(calls, key=lambda call: call.lineno):
        assert isinstance(call.func, ast.Attribute)
        count = {"create_table": 1, "drop_table": 1, "rename_table": 2}.get(call.func.attr, 0)
        names = [
            argument.value
            for argument in call.args[:count]
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
        ]
        if names:
            operations.append((call.func.attr, names))
    return operations
