"""Dropping a plugin's tables, and finding tables and histories that no plugin owns."""

import logging
from dataclasses import dataclass
from typing import Literal

from flask import Flask
from sqlalchemy import Connection, inspect
from sqlalchemy.exc import DBAPIError

from pegboard.database import db
from pegboard.migrations.absent import drop_tables
from pegboard.migrations.circles import circles_allowed
from pegboard.migrations.enums import Enums
from pegboard.migrations.errors import MigrationError
from pegboard.migrations.execution import downgrade_history
from pegboard.migrations.histories import (
    VERSION_TABLE_PREFIX,
    History,
    ensure_app_context,
    get_migrate,
)
from pegboard.migrations.lock import Report, migration_lock
from pegboard.migrations.ownership import existing_tables, owned_tables
from pegboard.migrations.record import read_record
from pegboard.migrations.referring import reject_foreign_keys_to
from pegboard.migrations.script_directory import read_revisions
from pegboard.migrations.status import current_heads
from pegboard.migrations.table_names import TableName
from pegboard.redaction import reason_of

logger = logging.getLogger(__name__)

_NOT_UNDONE = """%s
%s: its tables are dropped, and this revision and those before it are not undone. What they have \
made beside these tables may be left, such as functions and views; drop it by hand."""


@dataclass(frozen=True)
class Orphan:
    """A table, or a history with its version table, that belongs to no active plugin."""

    kind: Literal["history", "table"]
    name: str

    def __str__(self) -> str:
        if self.kind == "history":
            return f"history {self.name}: its plugin is absent"
        return f"table {self.name}: belongs to no active plugin"


def find_orphans(app: Flask) -> tuple[Orphan, ...]:
    """Return the histories and tables in the database that belong to no active plugin."""
    with ensure_app_context(app), db.engine.connect() as connection:
        migrate = get_migrate()
        names = {history.name for history in migrate.histories}
        owned = {table for history in migrate.histories for table in owned_tables(history, migrate)}
        found = []
        for table in sorted(existing_tables(connection), key=str):
            if table.schema is None and table.name.startswith(VERSION_TABLE_PREFIX):
                name = table.name.removeprefix(VERSION_TABLE_PREFIX)
                found += [] if name in names else [Orphan("history", name)]
            elif table not in owned:
                found.append(Orphan("table", str(table)))
    return tuple(found)


def adopt_history(app: Flask, history: History) -> tuple[TableName, ...] | None:
    """Let the app have the history of a plugin that is not active, from files outside it.

    Returns the tables that `remove_history` would drop; None if the history has never been applied.
    Raises `MigrationError` if the files cannot be used, do not have the revisions that the database
    is at, or make a table that is another history's.
    """
    with ensure_app_context(app), db.engine.connect() as connection:
        if not inspect(connection).has_table(history.version_table):
            return None
        migrate = get_migrate()
        migrate.add(history)
        current = current_heads(connection, history)
        if unknown := sorted({*current} - read_revisions(history).known):
            record = read_record(connection, history)
            by = f", which {record.release} has applied" if record and record.release else ""
            message = (
                f"{history.name}: the database is at {', '.join(unknown)}{by}; {history.release} "
                "does not know that revision"
            )
            raise MigrationError(message)
        tables = owned_tables(history, migrate, current) & existing_tables(connection)
        for other in migrate.histories:
            shared = sorted(map(str, tables & owned_tables(other, migrate)))
            if other is not history and shared:
                message = f"{history.name}: {', '.join(shared)} belongs to {other.name} by now"
                raise MigrationError(message)
    return tuple(sorted(tables, key=str))


def remove_history(app: Flask, name: str, *, report: Report = logger.info) -> bool:
    """Downgrade a history to base, then drop the tables and the version table that are left.

    Returns whether it did: of a history that has never been applied nothing is dropped, as a table
    of that name is another program's. A revision that cannot be undone is logged as a warning, and
    the tables are dropped all the same. Raises `MigrationError` when a foreign key of another
    plugin's table refers to one of the tables.
    """
    with ensure_app_context(app), migration_lock(report) as connection:
        migrate = get_migrate()
        history = migrate.find(name)
        was_applied = inspect(connection).has_table(history.version_table)
        known = migrate.read(history, read_revisions).known
        applied = known.intersection(current_heads(connection, history))
        connection.rollback()
        if not was_applied:
            report(f"{name}: has never been applied; nothing is dropped")
            return False
        tables = owned_tables(history, migrate, applied)
        reject_foreign_keys_to(tables, history, migrate, connection, applied=applied)
        try:
            downgrade_history(history, "base", connection, report)
        except MigrationError as error:
            logger.warning(_NOT_UNDONE, error.message, name)
        try:
            _drop(connection, history, tables)
        except DBAPIError as error:
            connection.rollback()
            message = f"{name}: its tables cannot be dropped: {reason_of(error)}"
            raise MigrationError(message) from error
    return True


def _drop(connection: Connection, history: History, tables: set[TableName]) -> None:
    types = Enums(connection).dropped_when_unused()
    with connection.begin(), types, circles_allowed():
        if history.metadata is not None:
            history.metadata.drop_all(connection)  # with their types and sequences
        mine = {*tables, TableName(None, history.version_table)}
        left = mine & existing_tables(connection, {table.schema for table in mine})
        drop_tables(connection, sorted(left, key=str))
