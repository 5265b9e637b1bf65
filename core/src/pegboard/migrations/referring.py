"""Foreign keys that would refer to nothing: to tables that are dropped, or not made yet."""

from collections.abc import Collection

from sqlalchemy import Connection, inspect

from pegboard.migrations.errors import MigrationError
from pegboard.migrations.histories import History, Migrate
from pegboard.migrations.ownership import existing_tables, owned_tables
from pegboard.migrations.table_names import TableName


class ReferringTableError(MigrationError):
    """Raised when a table that would stay refers to one that would be dropped."""

    def __init__(self, summary: str, table: TableName, owner: str | None) -> None:
        hint = (
            f"run pegboard db downgrade {owner} base first"
            if owner
            else "drop that table or its foreign key first"
        )
        super().__init__(f"{summary}; {hint}")
        self.summary = summary
        """What is in the way, without what to do."""
        self.table = table
        """The table that refers."""
        self.owner = owner
        """The active history that owns that table; None if none does."""


def reject_foreign_keys_to(
    tables: Collection[TableName],
    history: History,
    migrate: Migrate,
    connection: Connection,
    *,
    applied: Collection[str] = (),
    is_absent: bool = False,
) -> None:
    """Raise `ReferringTableError` if a table that is not the history's refers to one of these.

    PostgreSQL would refuse to drop such a table, and SQLite would drop it: each later write to the
    other table would fail. `applied` are the newest revisions that the database has: what they have
    made is the history's as well. `is_absent` says that it has no files any more.
    """
    if not tables:
        return
    inspector = inspect(connection)
    mine = {*tables}
    if not is_absent:
        mine |= owned_tables(history, migrate) | owned_tables(history, migrate, applied)
    try:
        for table in sorted(existing_tables(connection) - mine, key=str):
            for key in inspector.get_foreign_keys(table.name, schema=table.schema):
                referred = TableName.of(key["referred_schema"], key["referred_table"])
                if referred in tables:
                    raise _error(history, table, referred, migrate)
    finally:
        connection.rollback()


def reject_foreign_keys_of(history: History, migrate: Migrate, connection: Connection) -> None:
    """Raise `MigrationError` if a table of another history is missing that the models refer to.

    SQLite would take such a reference, and refuse each later write; PostgreSQL says less.
    """
    tables = history.metadata.tables.values() if history.metadata is not None else ()
    owners = {one.metadata: one.name for one in migrate.histories if one is not history}
    referred = {
        TableName.of(key.column.table.schema, key.column.table.name): (table, owner)
        for table in tables
        for key in table.foreign_keys
        if (owner := owners.get(key.column.table.metadata)) is not None
    }
    existing = existing_tables(connection, {one.schema for one in referred}) if referred else set()
    connection.rollback()
    for name, (table, owner) in referred.items():
        if name not in existing:
            message = (
                f"{history.name}: its table {table.name} refers to table {name} of {owner}, which "
                f"the database does not have; run pegboard db upgrade {owner} first, or pegboard "
                "db upgrade for all plugins in their order"
            )
            raise MigrationError(message)


def _error(
    history: History, table: TableName, referred: TableName, migrate: Migrate
) -> ReferringTableError:
    owners = (one.name for one in migrate.histories if table in owned_tables(one, migrate))
    summary = f"{history.name}: table {table} refers to its table {referred}"
    return ReferringTableError(summary, table, next(owners, None))
