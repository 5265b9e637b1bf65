"""Foreign keys that would refer to nothing once the tables of a history are gone."""

from collections.abc import Collection

from sqlalchemy import Connection, inspect

from pegboard.migrations.errors import MigrationError
from pegboard.migrations.histories import History, Migrate
from pegboard.migrations.ownership import existing_tables, owned_tables
from pegboard.migrations.table_names import TableName


def reject_foreign_keys_to(
    tables: Collection[TableName], history: History, migrate: Migrate, connection: Connection
) -> None:
    """Raise `MigrationError` if a table that is not the history's refers to one of these.

    PostgreSQL would refuse to drop such a table, and SQLite would drop it: each later write to the
    other table would fail.
    """
    if not tables:
        return
    inspector = inspect(connection)
    mine = {*tables, *owned_tables(history, migrate)}
    try:
        for table in sorted(existing_tables(connection) - mine, key=str):
            for key in inspector.get_foreign_keys(table.name, schema=table.schema):
                referred = TableName.of(key["referred_schema"], key["referred_table"])
                if referred in tables:
                    raise MigrationError(_message(history, table, referred, migrate))
    finally:
        connection.rollback()


def _message(history: History, table: TableName, referred: TableName, migrate: Migrate) -> str:
    owners = [one.name for one in migrate.histories if table in owned_tables(one, migrate)]
    hint = (
        f"run pegboard db downgrade {owners[0]} base first"
        if owners
        else "drop that table or its foreign key first"
    )
    return f"{history.name}: table {table} refers to its table {referred}; {hint}"
