"""The lock under which one process at a time migrates the database."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, event, func, select, text
from sqlalchemy.exc import SQLAlchemyError

from pegboard.database import db, no_time_limit
from pegboard.migrations.errors import MigrationError

Report = Callable[[str], None]
"""Called with one line of progress for the person or the log that follows a migration."""

RETRY_PAUSE = 0.2
"""Seconds between two attempts to get a lock."""

_ADVISORY_LOCK_KEY = 0x706567626F617264
"""`pegboard` in ASCII."""

_UNLIMIT_TRANSACTION = text(
    "SELECT set_config(name, '0', true) FROM pg_settings "
    "WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout')"
)

_KEEP_NO_SNAPSHOT = text("SHOW transaction_isolation")
"""Ends what the query before it has left, and leaves nothing itself.

A driver such as psycopg 3 sends queries by the extended protocol, by which PostgreSQL keeps the
last one open, with its snapshot, until another comes. SHOW needs no snapshot.
"""


@contextmanager
def migration_lock(report: Report) -> Iterator[Connection]:
    """Yield a connection of the current app for migrations, which has no time limit.

    On PostgreSQL the migration lock is held meanwhile: other processes wait for it, and then find
    nothing left to do. SQLite has none: there each revision takes the write lock of the file by
    itself.
    """
    with no_time_limit(), db.engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            with _advisory_lock(connection.engine, report) as holder:
                event.listen(connection, "begin", lambda _: _check(holder))
                yield connection
        elif connection.dialect.name == "sqlite":
            _set_foreign_key_checks(connection, "OFF")
            try:
                yield connection
            finally:
                connection.rollback()
                _set_foreign_key_checks(connection, "ON")
        else:
            yield connection


@contextmanager
def _advisory_lock(engine: Engine, report: Report) -> Iterator[Connection]:
    """Hold the lock in a transaction on a connection of its own, which is not the pool's.

    A lock of the session would not do: behind a transaction pooler such as PgBouncer it would stay
    with a connection of the pooler, and be released on another. The transaction executes nothing
    but short queries, and `SHOW` as the last before each other transaction, so it keeps no snapshot
    for which `CREATE INDEX CONCURRENTLY` would wait.
    """
    own = Engine(engine.pool.recreate(), engine.dialect, engine.url)
    try:
        with own.connect().execution_options(isolation_level="READ COMMITTED") as holder:
            _lock(holder, report)
            yield holder
    finally:
        own.dispose()


def _lock(holder: Connection, report: Report) -> None:
    has_reported = False
    # Polls instead of blocking: a statement that waits keeps a snapshot, and CREATE INDEX
    # CONCURRENTLY in the process that holds the lock would in turn wait for that snapshot.
    while not holder.scalar(select(func.pg_try_advisory_xact_lock(_ADVISORY_LOCK_KEY))):
        holder.rollback()
        if not has_reported:
            report("another process migrates the database; waiting until it is done")
            has_reported = True
        time.sleep(RETRY_PAUSE)
    holder.execute(_UNLIMIT_TRANSACTION)


def _check(holder: Connection) -> None:
    """Raise `MigrationError` if the lock has been lost; called before each transaction."""
    try:
        holder.scalar(_KEEP_NO_SNAPSHOT)
    except SQLAlchemyError as error:
        message = (
            "the connection that held the migration lock is lost, and another process may have "
            "begun to migrate; run the command again"
        )
        raise MigrationError(message) from error


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
