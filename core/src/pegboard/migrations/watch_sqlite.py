"""Watching which tables the statements on an SQLite connection touch, by SQLite's authorizer.

SQLite asks the authorizer while it compiles a statement, https://sqlite.org/c3ref/set_authorizer.html,
and compiles none that it denies. It does not say which rows are changed: the last ids of tables
that use none again, which are rows of one table, are compared afterwards.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, event

from pegboard.database import IS_OF_PLATFORM
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
_CREATE_TRIGGER = {sqlite3.SQLITE_CREATE_TEMP_TRIGGER, sqlite3.SQLITE_CREATE_TRIGGER}
_LAST_IDS = "sqlite_sequence"


@contextmanager
def watch_sqlite(
    connection: Connection,
    tables: Collection[TableName],
    refuse: Callable[[TableName], Exception],
) -> Iterator[None]:
    """Raise what `refuse` returns for a table if a statement in the block touches one of `tables`.

    `refuse` is called while the statement runs, so that it can tell where. The statement is not
    executed, or is not committed where it sets the last id of a table, and nothing can be committed
    afterwards. Other connections that this thread takes from the engine meanwhile are watched, too.
    """
    watch = _Watch(connection, tables, refuse)
    event.listen(connection, "commit", watch.refuse_commit)
    try:
        with visit_taken_connections(connection.engine, watch.add):
            yield
        watch.refuse_any()
    except Exception as error:
        if watch.refusals:
            raise watch.refusals[0] from error
        raise
    finally:
        event.remove(connection, "commit", watch.refuse_commit)
        watch.end()


class _Watch:
    """Refuses the statements of connections that touch certain tables."""

    def __init__(
        self,
        connection: Connection,
        tables: Collection[TableName],
        refuse: Callable[[TableName], Exception],
    ) -> None:
        self._watched = {(table.schema, table.name.lower()): table for table in tables}
        self._refuse = refuse
        self._driver: Any = connection.connection.driver_connection
        self._drivers: list[Any] = []
        self._last_ids = self._read_last_ids()
        self._noted: dict[TableName, Exception] = {}
        """What is raised for a table if its last id has changed."""
        self._own_triggers: set[str] = set()
        """What the revision has created."""
        self.refusals: list[Exception] = []
        self.add(self._driver)

    def add(self, driver: Any) -> None:
        """Watch a connection."""
        driver.set_authorizer(self._authorize)
        self._drivers.append(driver)

    def end(self) -> None:
        """Watch no connection any more."""
        for driver in self._drivers:
            driver.set_authorizer(None)

    def refuse_any(self) -> None:
        """Raise the first refusal, if there is one."""
        # Statements say that last ids are set: rows of another's trigger change them, too.
        if self._noted:
            now = self._read_last_ids()
            tables = [*self._noted]
            self.refusals += [
                self._noted.pop(one) for one in tables if self._last_ids.get(one) != now.get(one)
            ]
        if self.refusals:
            raise self.refusals[0]

    def refuse_commit(self, connection: Connection) -> None:
        """Raise the first refusal before a commit: a revision may have caught it."""
        try:
            self.refuse_any()
        except Exception:
            # SQLAlchemy does not roll back what it has begun to commit.
            connection.dialect.do_rollback(connection.connection)
            raise

    def _authorize(
        self,
        action: int,
        first: str | None,
        second: str | None,
        schema: str | None,
        trigger: str | None,
    ) -> int:
        if IS_OF_PLATFORM.get():
            return sqlite3.SQLITE_OK
        # What a trigger does is the doing of those who created it.
        if trigger is not None and trigger not in self._own_triggers:
            return sqlite3.SQLITE_OK
        if action in _CREATE_TRIGGER and first is not None:
            self._own_triggers.add(first)
        name = _table_of(action, first, second, schema)
        if name[1] == _LAST_IDS:
            self._noted = {table: self._refuse(table) for table in self._watched.values()}
        if (table := self._watched.get(name)) is None:
            return sqlite3.SQLITE_OK
        self.refusals.append(self._refuse(table))
        return sqlite3.SQLITE_DENY

    def _read_last_ids(self) -> dict[TableName, int]:
        found: dict[TableName, int] = {}
        for schema in {schema for schema, _ in self._watched}:
            place = f'"{schema}".' if schema else ""
            table = f"SELECT 1 FROM {place}sqlite_master WHERE name = '{_LAST_IDS}'"  # noqa: S608 - names of schemas
            if self._driver.execute(table).fetchone() is None:
                continue
            rows = f"SELECT name, seq FROM {place}{_LAST_IDS}"  # noqa: S608 - as above
            for name, last in self._driver.execute(rows):
                if owned := self._watched.get((schema, str(name).lower())):
                    found[owned] = last
        return found


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
