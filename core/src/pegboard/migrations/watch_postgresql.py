"""Watching which tables the transactions on a PostgreSQL connection touch.

A transaction holds the locks of all it did until it ends, in whatever form it was told to. So
before each commit, also one in SQL, the locks on the watched tables are read. Locks of readers and
of rows that a foreign key points to say that nothing was touched, a lock of writers says that rows
were, and for all others the definition of the table is compared with what it was. The sequences
that belong to a table count as the table.

The platform's own statements, as of a commit that turns caching off, may write to any table. Their
locks tell nothing of the revision any more, so it is judged before the first of them.

What cannot run in a transaction, such as CREATE INDEX CONCURRENTLY, leaves no locks and cannot be
rolled back: there the table is read from the text of each statement before it is executed.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, event, text

from pegboard.database import IS_OF_PLATFORM, WatchedConnection, of_platform
from pegboard.migrations.postgresql_tables import (
    TableState,
    find_parts,
    find_tables,
    read_states,
)
from pegboard.migrations.statements import (
    commits,
    may_change_unnamed,
    sets_sequence,
    tables_changed_by,
)
from pegboard.migrations.table_names import TableName
from pegboard.migrations.taken_connections import visit_taken_connections

_LOCKS = text("""
    SELECT relation, bool_or(mode = 'RowExclusiveLock') AS is_written
    FROM pg_catalog.pg_locks
    WHERE pid = pg_backend_pid() AND locktype = 'relation' AND granted
    AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
    AND mode NOT IN ('AccessShareLock', 'RowShareLock')
    GROUP BY relation
""")

# The rows of another table were perhaps written by a foreign key that points from it, or by a
# trigger that was there before: neither is what the revision asked for.
_WRITES_ON = text("""
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_trigger
        WHERE oid = ANY (:triggers) AND tgrelid = ANY (:written) AND tgrelid <> :table
        UNION ALL
        SELECT FROM pg_catalog.pg_constraint
        WHERE conrelid = :table AND confrelid = ANY (:written) AND contype = 'f'
        AND (confdeltype IN ('c', 'n', 'd') OR confupdtype IN ('c', 'n', 'd'))
    )
""")

_TRIGGERS = text("SELECT oid FROM pg_catalog.pg_trigger WHERE NOT tgisinternal")


@contextmanager
def watch_postgresql(
    connection: Connection,
    tables: Collection[TableName],
    refuse: Callable[[TableName], Exception],
) -> Iterator[None]:
    """Raise what `refuse` returns for a table if the block touches one of `tables`.

    It is raised before the transaction that did it is committed, and nothing can be committed
    afterwards. Where the text of a statement names the table, `refuse` is called before it is
    executed, so that it can tell where. The connection must not be in a transaction yet. On other
    connections of the engine, whose transactions are not known, each statement is refused by its
    text.
    """
    watch = _Watch(connection, tables, refuse)
    connection.rollback()
    driver: Any = connection.connection.driver_connection
    if isinstance(driver, WatchedConnection):
        with _watch_driver(connection, driver, watch):
            yield
    else:
        with _watch_sqlalchemy(connection, watch):
            yield


@contextmanager
def _watch_driver(
    connection: Connection, driver: WatchedConnection, watch: "_Watch"
) -> Iterator[None]:
    """Watch all that passes psycopg2, also on the connections that this thread takes meanwhile."""
    drivers = [driver]

    def watch_other(other: object) -> None:
        if isinstance(other, WatchedConnection):
            other.on_statement = watch.refuse_statement
            drivers.append(other)

    driver.on_statement, driver.on_commit = watch.note_statement, watch.refuse_commit
    try:
        with visit_taken_connections(connection.engine, watch_other):
            yield
    finally:
        for one in drivers:
            one.on_statement = one.on_commit = None


@contextmanager
def _watch_sqlalchemy(connection: Connection, watch: "_Watch") -> Iterator[None]:
    """Watch what passes SQLAlchemy on its way to another driver."""

    def on_statement(
        _connection: Connection,
        _cursor: object,
        statement: str,
        _parameters: object,
        _context: object,
        _executemany: object,
    ) -> None:
        watch.note_statement(statement)

    def on_commit(_connection: Connection) -> None:
        watch.refuse_commit()

    event.listen(connection, "before_cursor_execute", on_statement)
    event.listen(connection, "commit", on_commit)
    try:
        yield
    finally:
        event.remove(connection, "commit", on_commit)
        event.remove(connection, "before_cursor_execute", on_statement)


class _Watch:
    """Refuses the statements and commits of a connection that touch certain tables."""

    def __init__(
        self,
        connection: Connection,
        tables: Collection[TableName],
        refuse: Callable[[TableName], Exception],
    ) -> None:
        self._connection = connection
        self._refuse = refuse
        self._tables = find_tables(connection, tables)
        parts = find_parts(connection, self._tables)
        sequences = {part.oid: part.table for part in parts if part.is_sequence}
        self._watched = self._tables | sequences
        """By the ids of tables and sequences, the table that each belongs to."""
        self._table_of = {part.name: part.table for part in parts}
        self._before = read_states(connection, self._watched)
        self._triggers = [*connection.scalars(_TRIGGERS)]
        self._refusals: dict[TableName, Exception] = {}
        """What is raised for the watched tables that the text of a statement has named."""
        self._written_by_platform: set[TableName] = set()
        """The watched tables to which the platform's statements write, until the next commit."""

    def note_statement(self, statement: str) -> None:
        """Take note of a statement of the transaction; refuse it if it leaves no locks to read."""
        if IS_OF_PLATFORM.get():
            self._note_platform(statement)
            return
        for table in self._changed_by(statement) - self._refusals.keys():
            self._refusals[table] = self._refuse(table)
        driver: Any = self._connection.connection.driver_connection
        is_commit = commits(statement)
        if is_commit or driver.autocommit or sets_sequence(statement):
            self.refuse_statement(statement)
        if is_commit:
            self.refuse_commit()

    def _note_platform(self, statement: str) -> None:
        """Take note of a statement of the platform's own, once the revision is judged."""
        if new := self._changed_by(statement) - self._written_by_platform:
            self._refuse_touched()
            self._written_by_platform |= new

    def refuse_statement(self, statement: str) -> None:
        """Raise for a statement that by its text touches a watched table, or may."""
        if IS_OF_PLATFORM.get():
            return
        unnamed = {one for one in self._tables.values() if may_change_unnamed(statement, one)}
        if tables := self._changed_by(statement) | unnamed:
            raise self._refuse(min(tables, key=str))

    def refuse_commit(self) -> None:
        """Roll back and raise if the transaction has touched a watched table."""
        self._refuse_touched()
        self._written_by_platform.clear()

    def _changed_by(self, statement: str) -> set[TableName]:
        names = tables_changed_by(statement)
        return {self._table_of.get(name, name) for name in names} & {*self._watched.values()}

    def _refuse_touched(self) -> None:
        # A query for which a cache took the commit as done would let go of what it fences.
        with of_platform():
            table = self._touched()
        if table:
            # SQLAlchemy does not roll back what it has begun to commit.
            self._connection.dialect.do_rollback(self._connection.connection)
            raise self._refusals.get(table) or self._refuse(table)

    def _touched(self) -> TableName | None:
        """Return a watched table that the transaction has touched; None without one."""
        rows = self._connection.execute(_LOCKS)
        locks: dict[int, bool] = {row.relation: row.is_written for row in rows}
        after = read_states(self._connection, self._watched)
        written = [oid for oid, is_written in locks.items() if is_written]
        for oid, table in self._watched.items():
            if self._is_changed(oid, after.get(oid), is_locked=oid in locks):
                return table
            if oid in written and self._is_written_to(oid, written):
                return table
        return None

    def _is_changed(self, oid: int, after: TableState | None, *, is_locked: bool) -> bool:
        """Return whether a table is another than before; None is the state of one that is gone."""
        before = self._before[oid]
        if is_locked:
            return before != after
        # GRANT and REVOKE take no lock.
        return after is not None and before.privileges != after.privileges

    def _is_written_to(self, oid: int, written: Collection[int]) -> bool:
        """Return whether a statement has written a table, and not a foreign key or a trigger."""
        if self._watched[oid] in self._refusals:
            return True
        if self._watched[oid] in self._written_by_platform:
            return False
        parameters = {"written": [*written], "table": oid, "triggers": self._triggers}
        return not self._connection.scalar(_WRITES_ON, parameters)
