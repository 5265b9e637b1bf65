"""Watching which tables the statements on an SQLite connection touch, by SQLite's authorizer.

SQLite asks the authorizer while it compiles a statement, https://sqlite.org/c3ref/set_authorizer.html,
and compiles none that it denies.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, event

from pegboard.migrations.table_names import TableName
from pegboard.migrations.taken_connections import visit_taken_connections

_FIRST_IS_TABLE = {
    sqlite3.SQLITE_DELETE,
    sqlite3.SQLITE_DROP_TABLE,
    sqlite3.SQLITE_DROP_VIEW,
    sqlite3.SQLITE_INSERT,
    sqlite3.SQLITE_UPDATE,
}
_SECOND_IS_TABLE = {
    sqlite3.SQLITE_CREATE_INDEX,
    sqlite3.SQLITE_CREATE_TEMP_TRIGGER,
    sqlite3.SQLITE_CREATE_TRIGGER,
    sqlite3.SQLITE_DROP_INDEX,
    sqlite3.SQLITE_DROP_TRIGGER,
}


@contextmanager
def watch_sqlite(
    connection: Connection,
    tables: Collection[TableName],
    refuse: Callable[[TableName], Exception],
) -> Iterator[None]:
    """Raise what `refuse` returns for a table if a statement in the block touches one of `tables`.

    `refuse` is called while the statement runs, so that it can tell where. The statement is not
    executed, and nothing can be committed afterwards. Other connections that
    this thread takes from the engine meanwhile are watched, too.
    """
    watched = {(table.schema, table.name.lower()): table for table in tables}
    refusals: list[Exception] = []
    drivers: list[Any] = []

    def authorize(
        action: int, first: str | None, second: str | None, schema: str | None, trigger: str | None
    ) -> int:
        table = watched.get(_table_of(action, first, second, schema))
        # What a trigger does is the doing of those who created it.
        if table is None or trigger is not None:
            return sqlite3.SQLITE_OK
        refusals.append(refuse(table))
        return sqlite3.SQLITE_DENY

    def watch(driver: Any) -> None:
        driver.set_authorizer(authorize)
        drivers.append(driver)

    def refuse_commit(connection: Connection) -> None:
        # A revision may have caught the error of the statement.
        if refusals:
            # SQLAlchemy does not roll back what it has begun to commit.
            connection.dialect.do_rollback(connection.connection)
            raise refusals[0]

    watch(connection.connection.driver_connection)
    event.listen(connection, "commit", refuse_commit)
    try:
        with visit_taken_connections(connection.engine, watch):
            yield
    except Exception as error:
        if refusals:
            raise refusals[0] from error
        raise
    finally:
        event.remove(connection, "commit", refuse_commit)
        for driver in drivers:
            driver.set_authorizer(None)


def _table_of(
    action: int, first: str | None, second: str | None, schema: str | None
) -> tuple[str | None, str]:
    """Return schema and lower-case name of the table that an action changes, else an empty name."""
    name: str | None = None
    if action == sqlite3.SQLITE_ALTER_TABLE:
        schema, name = first, second
    elif action in _FIRST_IS_TABLE:
        name = first
    elif action in _SECOND_IS_TABLE:
        name = second
    return TableName.of(schema, "").schema, (name or "").lower()
