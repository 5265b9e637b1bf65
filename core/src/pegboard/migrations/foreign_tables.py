"""Refusing a revision that touches a table of another history while it is applied.

What counts is what the database is told to do, however the revision says it: by Alembic's
operations, by SQL, or in a function that it calls. Reading another's table is allowed, and so is a
foreign key to it. Changing its rows is not.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from alembic.config import Config
from sqlalchemy import Connection

from pegboard.migrations.errors import MigrationError
from pegboard.migrations.histories import SITE_HISTORY, History, Migrate, get_migrate
from pegboard.migrations.model_tables import model_tables
from pegboard.migrations.ownership import (
    ever_created_tables,
    existing_tables,
    owned_tables,
)
from pegboard.migrations.revision_faults import running_line
from pegboard.migrations.script_directory import read_revisions
from pegboard.migrations.status import current_heads
from pegboard.migrations.table_names import TableName
from pegboard.migrations.watch_postgresql import watch_postgresql
from pegboard.migrations.watch_sqlite import watch_sqlite
from pegboard.problems import Code, Problem

ALLOW_FOREIGN_ATTRIBUTE = "allow_foreign"
"""Key in the attributes of Alembic's configuration: revisions may touch every table."""

_CACHE_ATTRIBUTE = "foreign_tables"


class ForeignTableError(MigrationError):
    """Raised when a revision touches a table of another history.

    It names the line of the revision that is being run where it is made.
    """

    def __init__(self, history: History, table: TableName, owner: str) -> None:
        name, place = history.name, running_line(history)
        hint = (
            f"A revision of {name} touches only tables of {name}. If this one is meant to do "
            "more, repeat the command with --allow-foreign."
        )
        summary = f"it touches table {table}, which belongs to {owner}"
        summary += f", at {place}" if place else ""
        super().__init__(str(Problem(Code.FOREIGN_TABLE, summary, hint, name)))


@contextmanager
def refuse_foreign_tables(connection: Connection, config: Config) -> Iterator[None]:
    """Raise `ForeignTableError` if the block touches a table that is another history's.

    The block runs the revisions of the history of `config`, on the connection, which must not be in
    a transaction yet. Nothing that it did to the table is committed. The deployment's own history
    may touch every table.
    """
    history: History = config.attributes["history"]
    if history.name == SITE_HISTORY or config.attributes.get(ALLOW_FOREIGN_ATTRIBUTE):
        yield
        return
    owners: dict[TableName, str] | None = config.attributes.get(_CACHE_ATTRIBUTE)
    if owners is None:
        # Only once, so that a table that the history makes meanwhile remains its own.
        owners = _foreign_tables(history, get_migrate(), connection)
        config.attributes[_CACHE_ATTRIBUTE] = owners

    def refuse(table: TableName) -> ForeignTableError:
        return ForeignTableError(history, table, owners[table])

    if owners and connection.dialect.name == "postgresql":
        with watch_postgresql(connection, owners.keys(), refuse):
            yield
    elif owners and connection.dialect.name == "sqlite":
        with watch_sqlite(connection, owners.keys(), refuse):
            yield
    else:
        yield


def _foreign_tables(
    history: History, migrate: Migrate, connection: Connection
) -> dict[TableName, str]:
    """Return the tables in the database that other histories own, and whose each is."""
    owners: dict[TableName, str] = {}
    for other in migrate.histories:
        if other.name == history.name:
            continue
        known = migrate.read(other, read_revisions).known
        current = known.intersection(current_heads(connection, other))
        tables = owned_tables(other, migrate, current) | {TableName(None, other.version_table)}
        owners.update(dict.fromkeys(tables, other.name))
    # A table that was handed over to another plugin is still made by the old revisions.
    own = {*model_tables(history)} | ever_created_tables(history, migrate)
    schemas = {table.schema for table in owners}
    existing = existing_tables(connection, schemas) if owners else set()
    connection.rollback()
    return {table: owners[table] for table in (owners.keys() & existing) - own}
