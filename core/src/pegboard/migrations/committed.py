"""Noticing what a revision commits before it ends, which no rollback takes back.

It may commit in an `autocommit_block`, or by COMMIT in SQL.
"""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from sqlalchemy import Connection, event, text

from pegboard.migrations.statements import commits

_READS = re.compile(
    r"^\W*(?:SELECT|SET|RESET|SHOW|EXPLAIN|PRAGMA|BEGIN|START|COMMIT|END|ROLLBACK|ABORT|SAVEPOINT|"
    r"RELEASE|LOCK|VACUUM|ANALYZE)\b",
    re.IGNORECASE,
)
"""Statements after which there is nothing to undo."""

_ROLLS_BACK = re.compile(r"^\W*(?:ROLLBACK|ABORT)\b(?!.*\bTO\b)", re.IGNORECASE | re.DOTALL)

_LEAVES_PARTS = re.compile(r"^\W*(?:CALL|DO)\b", re.IGNORECASE)
"""Statements that commit parts of their work although they fail."""

_INVALID_INDEXES = text("""
    SELECT relname, CAST(CAST(indexrelid AS regclass) AS text) AS name
    FROM pg_catalog.pg_index JOIN pg_catalog.pg_class ON pg_class.oid = indexrelid
    WHERE NOT indisvalid ORDER BY name
""")

_SEEN = {"postgresql", "sqlite"}
"""The dialects of whose connections it is seen whether they are in a transaction."""

_IDLE = 0
"""The status of a connection to PostgreSQL that is in no transaction, as libpq numbers it."""


class Committed:
    """What the connections of one thread have committed while it was watched."""

    def __init__(self, version_table: str) -> None:
        """Take the name of the table in which Alembic, not the revision, writes."""
        self._version_table = version_table
        self.statements: list[str] = []
        """The statements that were committed, but for those that only read."""
        self._failed: list[str] = []
        self._pending: dict[Connection, list[str]] = {}
        self._committing: dict[Connection, list[str]] = {}

    def before(self, connection: Connection) -> None:
        """Note that a call follows, so that the commit before it has succeeded.

        On PostgreSQL it may be a query by which the commit is checked before it is sent.
        """
        if connection.dialect.name != "postgresql" or not _is_in_transaction(connection):
            self._add(self._committing.pop(connection, []))

    def after(self, connection: Connection, statement: str) -> None:
        """Note that a statement was executed."""
        pending = self._pending.setdefault(connection, [])
        if _ROLLS_BACK.search(statement):
            pending.clear()
        pending.append(statement)
        if not _is_in_transaction(connection):
            self._add(self._pending.pop(connection))

    def commit(self, connection: Connection) -> None:
        """Note that a commit begins."""
        self._add(self._committing.pop(connection, []))
        self._committing[connection] = self._pending.pop(connection, [])

    def rollback(self, connection: Connection) -> None:
        """Note that a transaction is rolled back, unless a cursor of the driver has ended it."""
        pending = self._pending.pop(connection, [])
        if not connection.invalidated and not _is_in_transaction(connection):
            self._add(pending)

    def roll_back_rest(self, connection: Connection) -> None:
        """Roll back what SQLAlchemy takes for ended, where its commit failed before it was sent."""
        if connection.dialect.name in _SEEN and _is_in_transaction(connection):
            connection.dialect.do_rollback(connection.connection)
            self._committing.pop(connection, None)

    def fail(self, connection: Connection | None, statement: str | None) -> None:
        """Note that a statement failed, or without one a commit."""
        if connection is None:
            return
        if statement is None:
            self._committing.pop(connection, None)
        elif not _is_in_transaction(connection):
            if connection.dialect.name == "sqlite" and not commits(statement):
                self._pending.pop(connection, None)  # some errors roll back by themselves
            if commits(statement):
                self._add([*self._pending.pop(connection, []), statement])
            elif _LEAVES_PARTS.search(statement):
                self._add([statement])
            else:
                self._failed.append(statement)

    def finish(self) -> None:
        """Note that nothing more is to come."""
        for statements in self._committing.values():
            self._add(statements)
        self._committing.clear()

    def invalid_indexes(self, connection: Connection) -> list[str]:
        """Return the indexes that a statement of the revision left unfinished, on PostgreSQL."""
        texts = " ".join((*self.statements, *self._failed))
        if connection.invalidated or connection.dialect.name != "postgresql" or not texts:
            return []
        rows = connection.execute(_INVALID_INDEXES).all()
        connection.rollback()
        return [row.name for row in rows if re.search(rf"\b{re.escape(row.relname)}\b", texts)]

    def _add(self, statements: list[str]) -> None:
        self.statements += [
            one
            for one in statements
            if self._version_table not in one and (not _READS.search(one) or ";" in one)
        ]


@contextmanager
def watch_commits(connection: Connection, committed: Committed) -> Iterator[None]:
    """Note what this thread commits in the block.

    Statements of the driver's own cursors are not seen, nor a commit by the driver before others.
    """
    thread = threading.get_ident()

    def in_thread(function: Callable[..., None]) -> Callable[..., None]:
        def listener(*arguments: Any) -> None:
            if threading.get_ident() == thread:
                function(*arguments)

        return listener

    with ExitStack() as stack:
        for name, function in {
            "before_cursor_execute": lambda connection, *_: committed.before(connection),
            "after_cursor_execute": lambda connection, _, text, *__: committed.after(
                connection, text
            ),
            "commit": committed.commit,
            "rollback": committed.rollback,
            "handle_error": lambda context: committed.fail(context.connection, context.statement),
        }.items():
            listener = in_thread(function)
            event.listen(connection.engine, name, listener)
            stack.callback(event.remove, connection.engine, name, listener)
        yield


def _is_in_transaction(connection: Connection) -> bool:
    if connection.invalidated or connection.closed:
        return False
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        return bool(driver.in_transaction)
    if connection.dialect.name == "postgresql":
        return bool(driver.info.transaction_status != _IDLE)
    return True
