"""How an engine talks to SQLite: real transactions, checked foreign keys, a write-ahead log."""

import sqlite3
import time
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.pool import PoolProxiedConnection

WRITES = "pegboard_writes"
"""Execution option of a connection whose next transaction is going to write."""

_MODE = "pegboard_mode"
_CHANGES = "pegboard_changes"
_PAUSE = 0.02


def init_sqlite(engine: Engine, *, busy_timeout: float) -> None:
    """Set up every connection of the engine, and begin its transactions ourselves.

    The driver would begin a transaction late and not at all before a schema change; then neither
    a migration nor a repeatable read could be relied upon.
    """

    @event.listens_for(engine, "connect")
    def set_up(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout = {busy_timeout * 1000:.0f}")
        connection.execute("PRAGMA foreign_keys = ON")
        _write_ahead(connection, time.monotonic() + busy_timeout)

    @event.listens_for(engine, "begin")
    def choose_mode(connection: Connection) -> None:
        options = connection.get_execution_options()
        if options.get("isolation_level") == "AUTOCOMMIT":
            connection.info[_MODE] = None
        else:
            # A reader that turns writer fails at once when another has written meanwhile; who
            # takes the lock first waits for his turn instead.
            connection.info[_MODE] = "IMMEDIATE" if options.get(WRITES) else "DEFERRED"

    def begin(connection: PoolProxiedConnection) -> None:
        mode = connection.info.get(_MODE, "DEFERRED")
        driver: Any = connection.driver_connection
        # An in-memory database has one connection for all; a second session joins its transaction.
        if mode and not driver.in_transaction:
            driver.execute(f"BEGIN {mode}")
            connection.info[_CHANGES] = driver.total_changes

    # Not in the event: an error there would leave SQLAlchemy's connection without transactions.
    engine.dialect.do_begin = begin  # type: ignore[method-assign, assignment]  # the dialect's own place for it


def has_written(connection: Connection) -> bool:
    """Return whether the connection's transaction has changed any row."""
    driver: Any = connection.connection.driver_connection
    return bool(connection.info.get(_CHANGES) != driver.total_changes)


def _write_ahead(connection: sqlite3.Connection, deadline: float) -> None:
    """Switch the file to WAL; SQLite does not wait for its turn by itself here."""
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE)
        else:
            return
