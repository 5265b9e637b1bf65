"""Which tables belong to which history."""

import ast
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
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
    history: History,
    migrate: Migrate,
    applied: Iterable[str] = ("heads",),
    without: Collection[str] = (),
) -> set[TableName]:
    """Return the tables that the revisions up to these created and did not drop.

    `without` are ids of revisions that do not count.
    """
    tables: set[TableName] = set()
    directory = read_script_directory(migrate.configuration(history))
    newest = tuple(applied)
    scripts = directory.iterate_revisions(newest, "base") if newest else ()
    for script in reversed(list(scripts)):
        if script.revision in without:
            continue
        for operation in _table_operations(script):
            tables = operation.apply_to(tables)
    return tables


def downgraded_tables(
    history: History, migrate: Migrate, current: Iterable[str], surplus: Collection[str]
) -> set[TableName]:
    """Return the tables that are gone once the revisions of `surplus` have been downgraded.

    `current` are the newest applied revisions. With all of them the tables of the models are gone,
    too, also those that no revision creates by a constant name.
    """
    applied = tuple(current)
    scripts = read_script_directory(migrate.configuration(history)).iterate_revisions(
        applied, "base"
    )
    if {script.revision for script in scripts} <= {*surplus}:
        return owned_tables(history, migrate, applied)
    before = created_tables(history, migrate, applied)
    return before - created_tables(history, migrate, applied, without=surplus)


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

_NAMES = {
    "create_table": ["table_name"],
    "drop_table": ["table_name"],
    "rename_table": ["old_table_name", "new_table_name"],
}
"""Alembic's operations that make a table come or go, with the parameters for its names."""

_DROPS = {"drop", "drop_all", "DropTable", "DropTableOp", "RenameTableOp"}
"""What else drops tables, of which the source does not tell the names."""

_BRANCHES = (ast.If, ast.For, ast.While, ast.Try, ast.Match, ast.FunctionDef)
"""Statements whose parts may not be executed."""

_DROP_SQL = re.compile(r"\bdrop\s+table\b|\brename\s+to\b", re.IGNORECASE)


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


class _OtherDrop(NamedTuple):
    """Something that may drop or rename tables: SQL, or a call without constant names."""

    sql: str | None
    """The text that has their names; None if any table may be meant."""

    def apply_to(self, tables: set[TableName]) -> set[TableName]:
        """Return the tables that are there afterwards for sure.

        One that was dropped must not be taken for the history's: a later table of its name is
        another program's.
        """
        if self.sql is None:
            return set()
        words = _words(self.sql)
        return {table for table in tables if not words >= _words(table.name)}


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def _table_operations(script: Script) -> Iterator[_TableOperation | _OtherDrop]:
    """Read from the source of a revision which tables it creates, drops and renames.

    A table counts as created only where `upgrade` always creates it, and as dropped wherever the
    file may drop it other than in `downgrade`.
    """
    module = ast.parse(Path(script.path).read_text(encoding="utf-8"))
    others: list[_OtherDrop] = []
    for statement in module.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == "downgrade":
            continue
        if isinstance(statement, ast.FunctionDef) and statement.name == "upgrade":
            yield from _constant_operations(statement)
        others += _other_drops(statement)
    yield from others


def _constant_operations(function: ast.FunctionDef) -> Iterator[_TableOperation]:
    may_have_returned = False
    for part in function.body:
        nodes = list(ast.walk(part))
        may_have_returned |= any(isinstance(node, ast.Return) for node in nodes)
        is_conditional = may_have_returned or any(isinstance(node, _BRANCHES) for node in nodes)
        calls = [node for node in nodes if isinstance(node, ast.Call)]
        for call in sorted(calls, key=lambda call: call.lineno):
            verb, names, options = _read_call(call)
            if not names or _UNKNOWN in names:
                continue
            known = [str(name) for name in names]
            if is_conditional or options.get("if_not_exists"):
                # The table may have been there before, and be another program's.
                if verb == "create_table":
                    continue
                verb, known = "drop_table", known[:1]
            yield _TableOperation(verb, known, options.get("schema"))


def _other_drops(statement: ast.stmt) -> Iterator[_OtherDrop]:
    fragments = {
        id(part)
        for node in ast.walk(statement)
        if isinstance(node, ast.JoinedStr)
        for part in node.values
    }
    for node in ast.walk(statement):
        if isinstance(node, ast.Call):
            verb, names, _options = _read_call(node)
            if verb in _DROPS or (verb != "create_table" and _UNKNOWN in names):
                yield _OtherDrop(None)
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and _DROP_SQL.search(node.value)
        ):
            yield _OtherDrop(None if id(node) in fragments else node.value)


def _read_call(call: ast.Call) -> tuple[str, list[object], dict[str | None, object]]:
    """Return the name of what is called, the names of its tables, and the keyword arguments.

    There are no names of tables if it is none of Alembic's operations for whole tables.
    """
    called = call.func
    verb = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    options: dict[str | None, object] = {
        keyword.arg: _constant(keyword.value) for keyword in call.keywords
    }
    parameters = _NAMES.get(verb, [])
    names = [_constant(argument) for argument in call.args[: len(parameters)]]
    names += [options.get(parameter, _UNKNOWN) for parameter in parameters[len(names) :]]
    return verb, names, options


def _constant(node: ast.expr) -> object:
    return node.value if isinstance(node, ast.Constant) else _UNKNOWN
