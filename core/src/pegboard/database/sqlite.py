"""How an engine uses SQLite: real transactions, checked foreign keys, a write-ahead log."""

import sqlite3
import time
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from pegboard.deadline import current_deadline

BEGIN_IMMEDIATE_OPTION = "pegboard_begin_immediate"
"""Execution option, true or false: begin the connection's next transaction with `BEGIN IMMEDIATE`.

It then waits for SQLite's write lock at its beginning, for up to the busy time-out.
"""

SQLITE_LOWER = "pegboard_lower"
"""The SQL function for lower case; that of SQLite handles only ASCII."""

_MODE = "pegboard_mode"
_CHANGES = "pegboard_changes"
_FORGET = "pegboard_forget"
_PAUSE = 0.02


def init_sqlite(engine: Engine, *, busy_timeout: float, is_durable: bool = True) -> None:
    """Set up every connection of the engine, and send `BEGIN` ourselves; time-out in seconds.

    A database that is not durable need not survive a crash of the machine, and is written faster.

    The driver begins a transaction late, and before a change of the schema not at all: migrations
    would not be atomic, and reads not repeatable.
    """

    @event.listens_for(engine, "connect")
    def set_up(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout = {busy_timeout * 1000:.0f}")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.create_function(SQLITE_LOWER, 1, _lower, deterministic=True)
        if not is_durable:
            connection.execute("PRAGMA synchronous = OFF")
        _write_ahead(connection, time.monotonic() + busy_timeout)

    @event.listens_for(engine, "begin")
    def choose_mode(connection: Connection) -> None:
        options = connection.get_execution_options()
        if options.get("isolation_level") == "AUTOCOMMIT":
            connection.info[_MODE] = None
        else:
            # A transaction that reads first and then writes fails at once if another one has
            # written meanwhile. One that takes the write lock first waits for it instead.
            connection.info[_MODE] = (
                "IMMEDIATE" if options.get(BEGIN_IMMEDIATE_OPTION) else "DEFERRED"
            )

    def begin(connection: PoolProxiedConnection) -> None:
        mode = connection.info.get(_MODE, "DEFERRED")
        driver: Any = connection.driver_connection
        _end_in_time(connection, driver, busy_timeout)
        if mode and not driver.in_transaction:
            driver.execute(f"BEGIN {mode}")
            connection.info[_CHANGES] = driver.total_changes

    @event.listens_for(engine, "checkin")
    def forget_time(connection: sqlite3.Connection | None, record: ConnectionPoolEntry) -> None:
        if (forget := record.info.pop(_FORGET, None)) is not None:
            forget(connection)

    # Not in the event: an error there would leave SQLAlchemy's connection without transactions.
    engine.dialect.do_begin = begin  # type: ignore[method-assign, assignment]  # the dialect's place for it


def _end_in_time(connection: PoolProxiedConnection, driver: Any, busy_timeout: float) -> None:
    """Let no statement of a transaction, and no wait for a writer, outlast its request."""
    deadline = current_deadline()
    if deadline is None or _FORGET in connection.info:
        return
    if (left := deadline.left) <= 0:
        error = sqlite3.OperationalError("the time of the request is over")
        error.sqlite_errorcode = sqlite3.SQLITE_INTERRUPT
        raise error
    interrupt = driver.interrupt
    deadline.interrupts.add(interrupt)
    is_shortened = left < busy_timeout
    if is_shortened:
        driver.execute(f"PRAGMA busy_timeout = {max(left * 1000, 1):.0f}")

    def forget(kept: sqlite3.Connection | None) -> None:
        deadline.interrupts.discard(interrupt)
        if is_shortened and kept is not None:
            kept.execute(f"PRAGMA busy_timeout = {busy_timeout * 1000:.0f}")

    connection.info[_FORGET] = forget


def _lower(text: str | None) -> str | None:
    return None if text is None else text.lower()


def has_written(connection: Connection) -> bool:
    """Return whether the connection's transaction has changed any row."""
    driver: Any = connection.connection.driver_connection
    return bool(connection.info.get(_CHANGES) != driver.total_changes)


def _write_ahead(connection: sqlite3.Connection, deadline: float) -> None:
    """Switch the file to WAL; SQLite does not wait for locks here, so this tries again."""
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE)
        else:
            return
