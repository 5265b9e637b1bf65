"""Dropping the data of a plugin that is not active, as the database has recorded what it is."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from flask import Flask
from sqlalchemy import Connection, inspect
from sqlalchemy.exc import DBAPIError

from pegboard.database import db
from pegboard.migrations.enums import Enums
from pegboard.migrations.errors import MigrationError
from pegboard.migrations.histories import History, Migrate, ensure_app_context, get_migrate
from pegboard.migrations.lock import Report, migration_lock
from pegboard.migrations.ownership import existing_tables, owned_tables
from pegboard.migrations.record import read_record
from pegboard.migrations.referring import reject_foreign_keys_to
from pegboard.migrations.status import current_heads
from pegboard.migrations.table_names import TableName
from pegboard.redaction import reason_of


@dataclass(frozen=True)
class Absent:
    """What the database has of a history whose files are not read."""

    tables: tuple[TableName, ...]
    """The tables that its revisions have created, and that no other history has."""
    release: str
    """Name and version of the distribution that has applied them; empty if it is not known."""


def find_absent(app: Flask, name: str) -> Absent | None:
    """Return what the database has of a plugin that is not active; None without a version table.

    Raises `MigrationError` if the tables are not known.
    """
    with ensure_app_context(app), db.engine.connect() as connection:
        return _find(connection, name, get_migrate())


def remove_absent(app: Flask, name: str, *, report: Report) -> None:
    """Drop the tables of a plugin that is not active, the types of their columns, and the record.

    Raises `MigrationError` where the tables are not known, a table that stays refers to one of
    them, or the database refuses.
    """
    history = History(name, Path())
    with ensure_app_context(app), migration_lock(report) as connection:
        migrate = get_migrate()
        found = _find(connection, name, migrate)
        connection.rollback()
        if found is None:
            return
        reject_foreign_keys_to(found.tables, history, migrate, connection, is_absent=True)
        try:
            with connection.begin():
                drop_tables(connection, [*found.tables, TableName(None, history.version_table)])
        except DBAPIError as error:
            connection.rollback()
            message = f"{name}: its tables cannot be dropped: {reason_of(error)}"
            raise MigrationError(message) from error


def _find(connection: Connection, name: str, migrate: Migrate) -> Absent | None:
    history = History(name, Path())
    if not inspect(connection).has_table(history.version_table):
        return None
    if not current_heads(connection, history):
        return Absent((), "")  # as after a downgrade to base
    record = read_record(connection, history)
    if record is None:
        message = (
            f"{name}: the database does not say which tables are its, as its revisions were "
            f"applied before Pegboard recorded that. Run pegboard plugins remove {name} while it "
            "is installed and active, or with --wheel and its wheel."
        )
        raise MigrationError(message)
    of_others = {table for one in migrate.histories for table in owned_tables(one, migrate)}
    tables = (record.tables & existing_tables(connection)) - of_others
    return Absent(tuple(sorted(tables, key=str)), record.release)


def drop_tables(connection: Connection, tables: Iterable[TableName]) -> None:
    """Drop tables, and the enumerated types of their columns that no other column has."""
    quoted = [_quoted(connection, table) for table in tables]
    if connection.dialect.name != "postgresql":
        for one in quoted:
            connection.execute(sa.text(f"DROP TABLE {one}"))
        return
    enums = Enums(connection)
    types = {type_ for one in quoted for type_ in enums.of_column(one)}
    # At once, as they may refer to each other.
    connection.execute(sa.text(f"DROP TABLE {', '.join(quoted)}"))
    enums.drop_unused(types)


def _quoted(connection: Connection, table: TableName) -> str:
    preparer = connection.dialect.identifier_preparer
    name: str = preparer.format_table(sa.table(table.name, schema=table.schema))
    return name.replace(":", "\\:")
