"""How an engine uses PostgreSQL: every call has a time limit, and a dead server fails fast."""

import math
import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg2
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry

from pegboard.circuit_breaker import CircuitBreaker
from pegboard.database.watchdog import WatchedConnection, is_readable, time_is_unlimited
from pegboard.forking import after_fork

TIMEOUT_MARGIN = 0.3
"""Seconds beyond `statement_timeout` in which the server can report that time-out itself."""

PING_LIMIT = 1.0
"""Seconds that a check of the server may take."""

TRUSTED_IDLE = 1.0
"""Seconds a pooled connection may be unused before it is checked by a round trip."""

PROBE_INTERVAL = 0.5
"""Seconds between two probes of a server that does not answer."""


@dataclass(frozen=True)
class Limits:
    """Time limits of PostgreSQL, in seconds."""

    connect: float
    statement: float
    lock: float


class Server:
    """Whether a PostgreSQL server answers, as far as this process knows.

    A call or a connection attempt without an answer opens a circuit breaker, and while that is
    open, no connection is made. Open connections stay in use unless it was a call on one of them
    that got no answer: the postmaster can hang while the backends still work.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._is_silent = False
        self._breaker = CircuitBreaker(
            "the database server", self.probe, meanwhile="requests fail", pause=PROBE_INTERVAL
        )
        self._arguments: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})
        after_fork(self, Server.reset)

    def connect(self, *args: Any, **kwargs: Any) -> WatchedConnection:
        """Connect within the limit, however long the network, the resolver or the server take."""
        if self._breaker.is_open:
            raise self._no_answer()
        # Only so that the thread ends at some time: libpq takes whole seconds, two at least, and
        # counts them for each address of the host.
        kwargs.setdefault("connect_timeout", math.ceil(self.limits.connect) + 1)
        kwargs["connection_factory"] = WatchedConnection
        self._arguments = (args, kwargs)
        attempt: Future[WatchedConnection] = Future()
        threading.Thread(
            target=_attempt, args=(attempt, args, kwargs), name="pegboard-connect", daemon=True
        ).start()
        try:
            connection = attempt.result(self.limits.connect)
        except FutureTimeoutError:
            if attempt.cancel():
                self._breaker.trip("nothing connects in time", is_doubtful=True)
                raise self._no_answer() from None
            connection = attempt.result()
        connection.limit = self.limits.statement + TIMEOUT_MARGIN
        connection.on_silence = self.report_silence
        return connection

    def check(self, connection: WatchedConnection, idle: float) -> None:
        """Raise for a pooled connection that is dead, and for any while the server does not answer.

        `idle` is for how many seconds the connection was unused. Raises `DisconnectionError`, at
        which the pool connects anew, or `psycopg2.OperationalError`.
        """
        if self._refuses_calls:
            raise self._no_answer()
        if connection.closed or is_readable(connection):
            message = "the server has closed the connection"
            raise DisconnectionError(message)
        if idle > TRUSTED_IDLE:
            try:
                execute_alone(connection, "SELECT 1", PING_LIMIT)
            except psycopg2.Error as error:
                if self._refuses_calls:
                    raise
                raise DisconnectionError(str(error)) from error

    @property
    def _refuses_calls(self) -> bool:
        return self._is_silent and self._breaker.is_open

    def report_silence(self) -> None:
        """Note that a call on an open connection got no answer."""
        self._is_silent = True
        self._breaker.trip("a call was not answered in time", is_doubtful=True)

    def probe(self) -> None:
        """Connect and make a round trip; raises `psycopg2.Error` if the server does not answer."""
        args, kwargs = self._arguments
        began = time.monotonic()
        try:
            connection = psycopg2.connect(*args, **kwargs)
        except psycopg2.Error:
            # A server that refuses at once answers: connecting to it fails without waiting.
            if time.monotonic() - began > PING_LIMIT:
                raise
        else:
            with closing(connection):
                execute_alone(connection, "SELECT 1", PING_LIMIT)
        self._is_silent = False

    def reset(self) -> None:
        """Forget that a call got no answer; for a process just forked, whose breaker is closed."""
        self._is_silent = False

    @staticmethod
    def _no_answer() -> psycopg2.OperationalError:
        return psycopg2.OperationalError("the database server does not answer")


def _attempt(
    attempt: Future[WatchedConnection], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    try:
        connection: WatchedConnection = psycopg2.connect(*args, **kwargs)
    except BaseException as error:  # noqa: BLE001 - the thread that waits for it raises it
        if attempt.set_running_or_notify_cancel():
            attempt.set_exception(error)
    else:
        if attempt.set_running_or_notify_cancel():
            attempt.set_result(connection)
        else:
            connection.close()


def execute_alone(connection: WatchedConnection, statement: str, limit: float) -> None:
    """Execute a statement outside any transaction, in one round trip."""
    usual, connection.limit = connection.limit, limit
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.limit = usual
        if not connection.closed:
            connection.autocommit = False


def init_postgresql(engine: Engine, limits: Limits) -> None:
    """Set the time limits of the engine's connections, and UTC as their time zone.

    With another driver than psycopg2 only the limits that the server enforces hold.
    """
    if engine.dialect.driver == "psycopg2":
        _watch(engine, Server(limits))

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: object) -> None:
        # Not by the connection's `options`, which poolers such as PgBouncer refuse.
        autocommit, connection.autocommit = connection.autocommit, True
        with connection.cursor() as cursor:
            cursor.execute(
                f"SET TimeZone = 'UTC'; SET lock_timeout = {limits.lock * 1000:.0f}; "
                f"{_statement_timeout(limits.statement)}"
            )
        connection.autocommit = autocommit


def _watch(engine: Engine, server: Server) -> None:
    @event.listens_for(engine, "do_connect")
    def connect(
        _dialect: object, _record: object, args: list[Any], kwargs: dict[str, Any]
    ) -> WatchedConnection:
        return server.connect(*args, **kwargs)

    @event.listens_for(engine, "checkin")
    def note_return(_connection: object, record: ConnectionPoolEntry) -> None:
        record.info["returned_at"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def check(connection: WatchedConnection, record: ConnectionPoolEntry, _proxy: object) -> None:
        now = time.monotonic()
        server.check(connection, idle=now - record.info.get("returned_at", now))
        unlimited = time_is_unlimited()
        if unlimited != record.info.get("unlimited", False):
            seconds = 0 if unlimited else server.limits.statement
            execute_alone(connection, _statement_timeout(seconds), PING_LIMIT)
            record.info["unlimited"] = unlimited


def has_written(connection: Connection) -> bool:
    """Return whether the connection's transaction has changed or locked any row."""
    return bool(connection.scalar(text("SELECT txid_current_if_assigned() IS NOT NULL")))


def _statement_timeout(seconds: float) -> str:
    return f"SET statement_timeout = {seconds * 1000:.0f}"
