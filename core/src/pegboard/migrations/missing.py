"""Which tables and columns of the models the database lacks."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from flask import Flask
from sqlalchemy import Connection, inspect, text
from sqlalchemy.engine.reflection import ObjectKind

from pegboard.database import db
from pegboard.migrations.histories import History, ensure_app_context, get_migrate
from pegboard.migrations.model_tables import model_tables
from pegboard.migrations.table_names import TableName
from pegboard.problems import Code, Problem

_POSTGRESQL_COLUMNS = text("""
    SELECT namespaces.nspname, tables.relname, columns.attname
    FROM pg_catalog.pg_class AS tables
    JOIN pg_catalog.pg_namespace AS namespaces ON namespaces.oid = tables.relnamespace
    JOIN pg_catalog.pg_attribute AS columns ON columns.attrelid = tables.oid
    WHERE tables.relname = ANY (:names) AND tables.relkind IN ('r', 'p', 'v', 'm', 'f')
    AND columns.attnum > 0 AND NOT columns.attisdropped
""")


@dataclass(frozen=True)
class Missing:
    """The tables and columns that one history's models have and the database does not."""

    history: str
    names: tuple[str, ...]
    """As in `table notes` and `column notes.color`."""
    is_installed: bool
    """Whether the revisions are part of an installed package, where none can be written."""

    def __str__(self) -> str:
        return f"{self.history}: the database lacks {', '.join(self.names)}"

    def as_problem(self) -> Problem:
        """Return it as a problem, with a hint."""
        write = (
            "this release of the plugin is incomplete: tell its authors"
            if self.is_installed
            else f"write one with pegboard db migrate {self.history}, and apply it with pegboard "
            f"db upgrade {self.history}"
        )
        return Problem(
            Code.DATABASE_INCOMPLETE,
            f"its models need what the database lacks: {', '.join(self.names)}",
            f"If no revision creates it, {write}. If it was dropped by hand, restore it.",
            self.history,
        )


def find_missing(app: Flask, name: str | None = None) -> tuple[Missing, ...]:
    """Return the tables and columns of the models of all histories, or one, that are absent.

    A query that needs them fails. It takes one query of the catalog, on the connection of the
    session. Other differences, as of types, are found by `find_drift`, which takes longer.
    """
    with ensure_app_context(app):
        session = db.session()
        was_idle = not session.in_transaction()
        found = _missing(session.connection(), get_migrate().select(name))
        if was_idle:
            session.rollback()
        return found


def _missing(connection: Connection, histories: Iterable[History]) -> tuple[Missing, ...]:
    # SQLite does not tell upper case from lower.
    fold = str.lower if connection.dialect.name == "sqlite" else str
    tables = {
        # A declarative base with a bind has its tables in another database.
        history: model_tables(history)
        for history in histories
        if history.metadata is not None and history.metadata.info.get("bind_key") is None
    }
    wanted = {name for owned in tables.values() for name in owned}
    existing: dict[TableName, set[str]] = {}
    for schema, table, column in _columns(connection, wanted):
        existing.setdefault(TableName.of(schema, fold(table)), set()).add(fold(column))
    found = []
    for history, owned in tables.items():
        names: list[str] = []
        for name, model in sorted(owned.items(), key=lambda item: str(item[0])):
            columns = existing.get(TableName(name.schema, fold(name.name)))
            if columns is None:
                names.append(f"table {name}")
            else:
                needed = [column.name for column in model.columns if not column.system]
                names += [f"column {name}.{one}" for one in needed if fold(one) not in columns]
        if names:
            found.append(Missing(history.name, tuple(names), history.is_installed))
    return tuple(found)


def _columns(
    connection: Connection, tables: Collection[TableName]
) -> Iterator[tuple[str | None, str, str]]:
    """Yield schema, table and column for the tables and views of these names, and maybe others."""
    if connection.dialect.name == "postgresql":
        names = {"names": [table.name for table in tables]}
        for schema, table, column in connection.execute(_POSTGRESQL_COLUMNS, names):
            yield schema, table, column
        return
    inspector = inspect(connection)
    schemas = {None, *inspector.get_schema_names()}
    for schema in schemas.intersection(table.schema for table in tables):
        columns = inspector.get_multi_columns(schema=schema, kind=ObjectKind.ANY)
        for (_, table), described in columns.items():
            yield from ((schema, table, column["name"]) for column in described)
