"""Reading from the source of a revision which tables it creates, drops and renames."""

import ast
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from alembic.script.base import Script

from pegboard.migrations.table_names import TableName

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

_CREATE_SQL = re.compile(
    r"""\s* create \s+ (?:unlogged \s+)? table \s+ (?P<maybe> if \s+ not \s+ exists \s+)?
    (?:(?P<schema> \w+ | "[^"]+") \s* \. \s*)? (?P<name> \w+ | "[^"]+")""",
    re.IGNORECASE | re.VERBOSE,
)


class TableOperation(NamedTuple):
    """What creates, drops or renames a table of a constant name, by Alembic's verb for that."""

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


class OtherDrop(NamedTuple):
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


def table_operations(script: Script) -> tuple[TableOperation | OtherDrop, ...]:
    """Read from the source of a revision which tables it creates, drops and renames.

    A table counts as created only where `upgrade` always creates it, and as dropped wherever the
    file may drop it other than in `downgrade`.
    """
    return _operations_in(Path(script.path).read_text(encoding="utf-8"))


@lru_cache(maxsize=1024)  # each command asks several times, and a process may run many
def _operations_in(source: str) -> tuple[TableOperation | OtherDrop, ...]:
    operations: list[TableOperation | OtherDrop] = []
    others: list[OtherDrop] = []
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.FunctionDef) and statement.name == "downgrade":
            continue
        if isinstance(statement, ast.FunctionDef) and statement.name == "upgrade":
            operations += _constant_operations(statement)
        others += _other_drops(statement)
    return (*operations, *others)


def _constant_operations(function: ast.FunctionDef) -> Iterator[TableOperation]:
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
            yield TableOperation(verb, known, options.get("schema"))


def _other_drops(statement: ast.stmt) -> Iterator[OtherDrop]:
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
                yield OtherDrop(None)
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and _DROP_SQL.search(node.value)
        ):
            yield OtherDrop(None if id(node) in fragments else node.value)


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
    if verb == "execute" and (made := _CREATE_SQL.match(_sql_of(call))):
        schema = made["schema"] and _identifier(made["schema"])
        options = {"schema": schema, "if_not_exists": made["maybe"] is not None}
        return "create_table", [_identifier(made["name"])], options
    return verb, names, options


def _sql_of(call: ast.Call) -> str:
    """Return the text that a call is given first, itself or as `text("…")`; empty if not known."""
    match call.args[:1]:
        case [ast.Constant(value=str(sql))] | [ast.Call(args=[ast.Constant(value=str(sql)), *_])]:
            return sql
    return ""


def _identifier(sql: str) -> str:
    return sql[1:-1] if sql.startswith('"') else sql.lower()


def _constant(node: ast.expr) -> object:
    return node.value if isinstance(node, ast.Constant) else _UNKNOWN
