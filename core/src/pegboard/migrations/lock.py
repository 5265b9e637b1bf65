"""The connection that migrations work on: alone, and without a limit of time."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, func, select

from pegboard.database import db, no_time_limit
from pegboard.migrations.histories import MigrationError

Report = Callable[[str], None]
"""Takes a line that tells a person what has happened."""

PAUSE = 0.2
"""Seconds between two attempts to get what another has."""

_KEY = 0x706567626F617264
"""The advisory lock of migrations: `pegboard` in ASCII."""


@contextmanager
def migration_lock(report: Report) -> Iterator[Connection]:
    """Yield a connection of the current app on which nobody else migrates the database.

    Several may ask at once: one gets it, the others wait and then find the work done. On SQLite it
    is each single revision that is applied alone.
    """
    with no_time_limit(), db.engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            _lock(connection, report)
            try:
                yield connection
            finally:
                _unlock(connection)
        elif connection.dialect.name == "sqlite":
            _check_foreign_keys(connection, "OFF")
            try:
                yield connection
            finally:
                connection.rollback()
                _check_foreign_keys(connection, "ON")
        else:
            yield connection


def _lock(connection: Connection, report: Report) -> None:
    waits = False
    # Never blocking: a statement that waits keeps a snapshot, and CREATE INDEX CONCURRENTLY in the
    # other process would wait for it in turn.
    while not connection.scalar(select(func.pg_try_advisory_lock(_KEY))):
        connection.rollback()
        if not waits:
            report("another process migrates the database; waiting until it is done")
            waits = True
        time.sleep(PAUSE)
    connection.rollback()


def _unlock(connection: Connection) -> None:
    if connection.invalidated or connection.closed:
        return  # the lock has ended with the connection
    connection.rollback()
    connection.scalar(select(func.pg_advisory_unlock(_KEY)))
    connection.rollback()


def _check_foreign_keys(connection: Connection, state: str) -> None:
    """Switch the checks off, as a rebuilt table would take the rows that refer to it along."""
    driver = connection.connection.driver_connection
    assert driver is not None
    # SQLite ignores this inside a transaction, so it goes around SQLAlchemy, which would begin one.
    driver.execute(f"PRAGMA foreign_keys = {state}")
    if driver.execute("PRAGMA foreign_keys").fetchone()[0] != (state == "ON"):
        message = "the database cannot be migrated inside another transaction"
        raise MigrationError(message)
