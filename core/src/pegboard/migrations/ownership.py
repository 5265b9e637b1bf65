"""Which tables belong to which history."""

import ast
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from alembic.script.base import Script
from sqlalchemy import Connection, Table, inspect

from pegboard.database import db
from pegboard.migrations.histories import History, Migrate, read_script_directory


class TableName(NamedTuple):
    """What tells two tables of a database apart.

    `schema` is None for the schema that the database uses if a statement names none.
    """

    schema: str | None
    name: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}" if self.schema else self.name

    @classmethod
    def of(cls, schema: str | None, name: str) -> "TableName":
        """Return the name of a table whose schema may be the default one, spelled out."""
        return cls(None if schema == db.engine.dialect.default_schema_name else schema, name)


def model_tables(history: History) -> dict[TableName, Table]:
    """Return the tables of a history's models by their names."""
    tables = history.metadata.tables.values() if history.metadata is not None else ()
    return {TableName.of(table.schema, table.name): table for table in tables}


def existing_tables(
    connection: Connection, schemas: Iterable[str | None] | None = None
) -> set[TableName]:
    """Return the tables that the database has in these schemas, by default in all."""
    inspector = inspect(connection)
    existing = [one for one in inspector.get_schema_names() if one != "information_schema"]
    wanted = {TableName.of(schema, "").schema for schema in existing}
    if schemas is not None:
        wanted &= {*schemas}
    return {
        TableName(schema, name)
        for schema in wanted
        for name in inspector.get_table_names(schema=schema)
    }


def owned_tables(
    history: History, migrate: Migrate, applied: Iterable[str] = ("heads",)
) -> set[TableName]:
    """Return the tables of the history's models, and those its revisions created and did not drop.

    The latter let autogenerate notice that a model was removed. All other tables of the database
    are left alone. `applied` are the newest revisions that count; a revision that is not applied
    has created nothing.
    """
    of_others = {
        name
        for other in migrate.histories
        if other.name != history.name
        for name in model_tables(other)
    }
    return {*model_tables(history)} | (created_tables(history, migrate, applied) - of_others)


def created_tables(
    history: History, migrate: Migrate, applied: Iterable[str] = ("heads",)
) -> set[TableName]:
    """Return the tables that the revisions up to these created and did not drop."""
    tables: set[TableName] = set()
    directory = read_script_directory(migrate.configuration(history))
    newest = tuple(applied)
    scripts = directory.iterate_revisions(newest, "base") if newest else ()
    for script in reversed(list(scripts)):
        for operation in _table_operations(script):
            tables = operation.apply_to(tables)
    return tables


def ever_created_tables(history: History, migrate: Migrate) -> set[TableName]:
    """Return the tables that any revision of the history creates, also if a later one drops it."""
    scripts = read_script_directory(migrate.configuration(history)).walk_revisions()
    tables: set[TableName] = set()
    for script in scripts:
        for operation in _table_operations(script):
            tables |= operation.apply_to(set())
    return tables


_UNKNOWN = object()
"""Stands for an argument that is not written as a constant."""


class _TableOperation(NamedTuple):
    """A call of `op.create_table`, `op.drop_table` or `op.rename_table` with constant names."""

    verb: str
    names: Sequence[str]
    schema: object

    def apply_to(self, tables: set[TableName]) -> set[TableName]:
        """Return the tables there are after the operation.

        Where the schema is unknown, nothing is taken to be created: a table that may be another's
        must never be dropped.
        """
        schema = self.schema
        old, *new = self.names
        if self.verb == "create_table":
            new = [old]
        elif isinstance(schema, str | None):
            tables = tables - {TableName.of(schema, old)}
        else:
            tables = {table for table in tables if table.name != old}
        if isinstance(schema, str | None):
            tables = tables | {TableName.of(schema, name) for name in new}
        return tables


def _table_operations(script: Script) -> Iterator[_TableOperation]:
    """Read from the source of a revision which tables it creates, drops and renames."""
    module = ast.parse(Path(script.path).read_text(encoding="utf-8"))
    calls = [
        node
        for function in module.body
        if isinstance(function, ast.FunctionDef) and function.name == "upgrade"
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    for call in sorted(calls, key=lambda call: call.lineno):
        assert isinstance(call.func, ast.Attribute)
        verb = call.func.attr
        count = {"create_table": 1, "drop_table": 1, "rename_table": 2}.get(verb, 0)
        names = [_constant(argument) for argument in call.args[:count]]
        known = [name for name in names if isinstance(name, str)]
        options = {keyword.arg: _constant(keyword.value) for keyword in call.keywords}
        # With `if_not_exists` the table may have been there before, and be another program's.
        if known and len(known) == len(names) and not options.get("if_not_exists"):
            yield _TableOperation(verb, known, options.get("schema"))


def _constant(node: ast.expr) -> object:
    return node.value if isinstance(node, ast.Constant) else _UNKNOWN
