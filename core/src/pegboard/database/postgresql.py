"""How an engine talks to PostgreSQL: bounded in time, and with what is known of the server."""

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

SLACK = 0.3
"""Seconds the server has to report its own time-out before it counts as hung."""

PING_LIMIT = 1.0
TRUSTED_IDLE = 1.0
"""Seconds a connection may sit unused before it is asked whether it still lives."""

PROBE_INTERVAL = 0.5
"""Seconds between two probes of a server that does not answer."""


@dataclass(frozen=True)
class Limits:
    """How long PostgreSQL may take, in seconds."""

    connect: float
    statement: float
    lock: float


class Server:
    """What one process knows of a PostgreSQL server: whether it answers.

    After a call or a connection attempt without an answer a circuit breaker opens. While it is,
    nothing connects. Connections that are open already go on unless one of them was left without an
    answer: a postmaster alone can hang.
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
        """Connect within the limit, whatever the network, the resolver or the server do."""
        if self._breaker.is_open:
            raise self._no_answer()
        # Only so that the thread ends at some time: libpq counts whole seconds, two at least, and
        # for each address of the host anew.
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
        connection.limit = self.limits.statement + SLACK
        connection.on_silence = self.report_silence
        return connection

    def check(self, connection: WatchedConnection, idle: float) -> None:
        """Refuse a pooled connection that is dead, and any while the server is silent."""
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
        """Note that the server left a call without an answer."""
        self._is_silent = True
        self._breaker.trip("a call was not answered in time", is_doubtful=True)

    def probe(self) -> None:
        """Ask the server on a connection of its own; raises `psycopg2.Error` if it is silent."""
        args, kwargs = self._arguments
        began = time.monotonic()
        try:
            connection = psycopg2.connect(*args, **kwargs)
        except psycopg2.Error:
            # A refusal is an answer as well: whoever connects now learns it without waiting.
            if time.monotonic() - began > PING_LIMIT:
                raise
        else:
            with closing(connection):
                execute_alone(connection, "SELECT 1", PING_LIMIT)
        self._is_silent = False

    def reset(self) -> None:
        """Forget that it is silent; for a process just forked, whose breaker is closed."""
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
    """Bound in time whatever the engine's connections do, and make their sessions think in UTC.

    It needs psycopg2; with another driver only the server's own limits hold.
    """
    if engine.dialect.driver == "psycopg2":
        _watch(engine, Server(limits))

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: object) -> None:
        # Not by the `options` of the connection, which connection poolers refuse.
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
