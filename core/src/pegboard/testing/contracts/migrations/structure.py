"""What tables look like and hold, in sentences that are the same on each database."""

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import Column, Connection, MetaData, Table, inspect, select
from sqlalchemy.engine.interfaces import ReflectedIndex
from sqlalchemy.exc import SAWarning
from sqlalchemy.types import TypeEngine

from pegboard.migrations import normalized_sql

KINDS = {
    "Integer": "an integer",
    "Numeric": "a number",
    "Float": "a number",
    "Boolean": "a boolean",
    "DateTime": "a time",
    "Interval": "a time",
    "INTERVAL": "a time",
    "Date": "a date",
    "Time": "a time of day",
    "LargeBinary": "bytes",
    "JSON": "JSON",
    "ARRAY": "JSON",  # which SQLite has in its place
}
"""The kinds of types that both databases tell apart; all others are stored as texts by SQLite."""


class TableName(NamedTuple):
    """A table; `schema` is None for the schema that is used where none is named."""

    schema: str | None
    name: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}" if self.schema else self.name


def existing_tables(connection: Connection) -> set[TableName]:
    """Return the tables of all schemas but the database's own."""
    inspector = inspect(connection)
    schemas = {
        None if name == inspector.default_schema_name else name
        for name in inspector.get_schema_names()
        if name != "information_schema"
    }
    return {TableName(one, name) for one in schemas for name in inspector.get_table_names(one)}


EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - as SQLAlchemy reads it
"""SQLite has no spans of time: SQLAlchemy keeps them as times after this one."""

Rows = Counter[tuple[tuple[str, object], ...]]


def describe_tables(connection: Connection, tables: Iterable[TableName]) -> set[str]:
    """Return a sentence for each column and key of the tables.

    Unique indexes are keys, but for those of expressions and those that only PostgreSQL has.
    """
    return {sentence for table in tables for sentence in _describe(connection, table)}


def describe_details(connection: Connection, tables: Iterable[TableName]) -> set[str]:
    """Return sentences on what only this database has so: indexes, types, defaults, checks."""
    inspector = inspect(connection)
    found = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)
        for table in tables:
            for index in inspector.get_indexes(table.name, schema=table.schema):
                found.add(f"{table} has {_index(index)}")
            for column in inspector.get_columns(table.name, schema=table.schema):
                found.add(f"{table}.{column['name']} is of the type {column['type']!r}")
                if column["default"]:
                    default = normalized_sql(str(column["default"]))
                    found.add(f"{table}.{column['name']} has the default {default}")
                if computed := column.get("computed"):
                    text = normalized_sql(computed["sqltext"])
                    found.add(f"{table}.{column['name']} is computed as {text}")
            for key in inspector.get_foreign_keys(table.name, schema=table.schema):
                options = {**key.get("options", {})}
                options.pop("ondelete", None)  # is told for both databases
                if options:
                    names = ", ".join(key["constrained_columns"])
                    found.add(f"{table} ({names}) refers with the options {options}")
            for check in inspector.get_check_constraints(table.name, schema=table.schema):
                found.add(f"{table} has the check {normalized_sql(check['sqltext'])}")
    return found


def _index(index: ReflectedIndex) -> str:
    """Return what an index is like, as in `a unique index of (name) where active`."""
    columns = index.get("expressions") or index["column_names"]
    kind = "a unique index" if index["unique"] else "an index"
    options = {
        name.partition("_")[2]: str(value)
        for name, value in sorted(index.get("dialect_options", {}).items())
        if value is not None and value != []
    }
    if sorting := index.get("column_sorting"):
        options["sorted"] = str(sorting)
    where = options.pop("where", "")
    condition = f" where {normalized_sql(where)}" if where else ""
    others = "".join(f", {name} {value}" for name, value in options.items())
    return f"{kind} of ({', '.join(map(str, columns))}){condition}{others}"


def describe_rows(connection: Connection, tables: Iterable[TableName]) -> set[str]:
    """Return a sentence for each row of the tables, and for how often it is there."""
    found = set()
    for name in tables:
        table = reflect(connection, name)
        rows = Counter(str(dict(row)) for row in connection.execute(select(table)).mappings())
        found |= {f"{name} has {count} times {row}" for row, count in rows.items()}
    return found


def _describe(connection: Connection, name: TableName) -> Iterator[str]:
    inspector = inspect(connection)
    options: dict[str, Any] = {"table_name": name.name, "schema": name.schema}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)
        for column in inspector.get_columns(**options):
            null = "may be null" if column["nullable"] else "is never null"
            yield f"{name}.{column['name']} is {kind_of(column['type'])} and {null}"
        primary = ", ".join(inspector.get_pk_constraint(**options)["constrained_columns"])
        yield f"{name} has the primary key ({primary})"
        for key in inspector.get_foreign_keys(**options):
            action = (key.get("options", {}).get("ondelete") or "NO ACTION").lower()
            target = f"{key['referred_table']} ({', '.join(key['referred_columns'])})"
            mine = ", ".join(key["constrained_columns"])
            yield f"{name} ({mine}) refers to {target}, on delete {action}"
        unique = {tuple(one["column_names"]) for one in inspector.get_unique_constraints(**options)}
        for index in inspector.get_indexes(**options):
            if index["unique"] and None not in index["column_names"]:
                unique.add(tuple(map(str, index["column_names"])))
        for columns in unique:
            yield f"{name} has the unique key ({', '.join(columns)})"


def kind_of(kind: TypeEngine[Any]) -> str:
    """Return which of `KINDS` a type is, or "a text"."""
    for base in type(kind).__mro__:
        if base.__name__ in KINDS:
            return KINDS[base.__name__]
    return "a text"


def read_rows(connection: Connection, name: TableName) -> Rows:
    """Return the rows of a table, without the ids that the database has numbered.

    Of a column with a server default only whether it is null is told: it may be the time.
    """
    table = reflect(connection, name)
    numbered = {column.name for column in table.primary_key} | {
        key.parent.name for key in table.foreign_keys
    }
    kept = [column for column in table.columns if column.name not in numbered]
    found: Rows = Counter()
    for row in connection.execute(select(*kept) if kept else select(table)):
        values = zip(kept, row if kept else (), strict=True)
        found[tuple((column.name, _plain(column, value)) for column, value in values)] += 1
    return found


def reflect(connection: Connection, name: TableName) -> Table:
    """Return a table as the database has it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)
        return Table(
            name.name, MetaData(), schema=name.schema, autoload_with=connection, resolve_fks=False
        )


def _plain(column: Column[Any], value: Any) -> object:
    if value is not None and column.server_default is not None:
        return "something"
    return plain_value(value)


def plain_value(value: Any) -> object:
    """Return a value as both databases have it."""
    match value:
        case None:
            return None
        case bool() | int() | float() | Decimal():
            return float(value)
        case timedelta():
            return plain_value(EPOCH + value)
        case datetime() | date() | time():
            return str(value)[:19]
        case bytes() | memoryview():
            return bytes(value)
    return str(value).replace("-", "")
