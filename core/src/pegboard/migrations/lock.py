"""The lock under which one process at a time migrates the database."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, func, select

from pegboard.database import db, no_time_limit
from pegboard.migrations.errors import MigrationError

Report = Callable[[str], None]
"""Called with one line of progress for the person or the log that follows a migration."""

RETRY_PAUSE = 0.2
"""Seconds between two attempts to get a lock."""

_ADVISORY_LOCK_KEY = 0x706567626F617264
"""`pegboard` in ASCII."""


@contextmanager
def migration_lock(report: Report) -> Iterator[Connection]:
    """Yield a connection of the current app that holds the migration lock and has no time limit.

    On PostgreSQL the lock is an advisory lock: other processes wait for it, and then find nothing
    left to do. SQLite has none: there each revision takes the write lock of the file by itself.
    """
    with no_time_limit(), db.engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            _lock(connection, report)
            try:
                yield connection
            finally:
                _unlock(connection)
        elif connection.dialect.name == "sqlite":
            _set_foreign_key_checks(connection, "OFF")
            try:
                yield connection
            finally:
                connection.rollback()
                _set_foreign_key_checks(connection, "ON")
        else:
            yield connection


def _lock(connection: Connection, report: Report) -> None:
    has_reported = False
    # Polls instead of blocking: a statement that waits keeps a snapshot, and CREATE INDEX
    # CONCURRENTLY in the process that holds the lock would in turn wait for that snapshot.
    while not connection.scalar(select(func.pg_try_advisory_lock(_ADVISORY_LOCK_KEY))):
        connection.rollback()
        if not has_reported:
            report("another process migrates the database; waiting until it is done")
            has_reported = True
        time.sleep(RETRY_PAUSE)
    connection.rollback()


def _unlock(connection: Connection) -> None:
    if connection.invalidated or connection.closed:
        return  # the lock has ended with the connection
    connection.rollback()
    connection.scalar(select(func.pg_advisory_unlock(_ADVISORY_LOCK_KEY)))
    connection.rollback()


def _set_foreign_key_checks(connection: Connection, state: str) -> None:
    """Turn SQLite's foreign keys `ON` or `OFF`.

    With them on, rebuilding a table, as Alembic's batch mode does, would delete the rows that
    refer to it by ON DELETE CASCADE.
    """
    driver = connection.connection.driver_connection
    assert driver is not None
    # SQLite ignores the pragma inside a transaction, and SQLAlchemy would begin one.
    driver.execute(f"PRAGMA foreign_keys = {state}")
    if driver.execute("PRAGMA foreign_keys").fetchone()[0] != (state == "ON"):
        message = "the database cannot be migrated inside another transaction"
        raise MigrationError(message)
