"""How an engine uses PostgreSQL: every call has a time limit, and a dead server fails fast."""

import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import psycopg2
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry

from pegboard.circuit_breaker import CircuitBreaker
from pegboard.database.connection import (
    TIMEOUT_MARGIN,
    AsyncConnection,
    Cursors,
    TargetedConnection,
    WatchedConnection,
)
from pegboard.database.connector import Connector
from pegboard.database.credentials import Credentials
from pegboard.database.failover import init_failover
from pegboard.database.limits import Limits
from pegboard.database.listeners import count_listeners
from pegboard.database.targets import SilentError, Target
from pegboard.database.watchdog import is_readable
from pegboard.forking import after_fork

PING_LIMIT = 1.0
"""Seconds that a check of the server may take."""

TRUSTED_IDLE = 1.0
"""Seconds a pooled connection may be unused before it is checked by a round trip."""

READ_ONLY_INTERVAL = 5.0
"""Seconds after which a connection in use is asked whether its server still accepts writes."""

PROBE_INTERVAL = 0.5
"""Seconds between two probes of a server that does not answer."""

SHOW_READ_ONLY = "SHOW transaction_read_only"
"""Asks a server whether it accepts no writes."""

C = TypeVar("C", bound=TargetedConnection)


class ReadOnlyConnectionError(DisconnectionError):
    """Raised for a pooled connection whose server accepts no writes any more."""


class Server:
    """Whether a PostgreSQL server answers, as far as this process knows.

    A call or a connection attempt without an answer opens a circuit breaker, and while that is
    open, no connection is made. Open connections stay in use unless it was a call on one of them
    that got no answer: the postmaster can hang while the backends still work.
    """

    def __init__(self, limits: Limits, credentials: Credentials | None = None) -> None:
        self.limits = limits
        self.has_listeners: Callable[[], bool] = lambda: False
        """Returns whether a plugin listens to the pool, and so may prepare its connections."""
        self.cursors = Cursors()
        """The classes of the cursors of all connections."""
        self._is_silent = False
        self._breaker = CircuitBreaker(
            "the database server", self.probe, meanwhile="requests fail", pause=PROBE_INTERVAL
        )
        self._connector = Connector(limits.connect, credentials)
        after_fork(self, Server.reset)

    def connect(self, *args: Any, **kwargs: Any) -> WatchedConnection:
        """Connect within the limit, however long the network, the resolver or a server take.

        Takes the arguments of `psycopg2.connect`, which may name several servers; see `Connector`.
        """
        self._connector.use(args, kwargs)
        connection = self._connected(self._connector.connect)
        connection.limit = self.limits.statement + TIMEOUT_MARGIN
        connection.settings = self.limits.settings
        connection.shortened = self.limits.shortened
        connection.cursors = self.cursors
        if not self.has_listeners():
            connection.connect_async = self.connect_async
        return connection

    def connect_async(self, target: Target) -> AsyncConnection:
        """Connect to the server of a target as `connect` does, by a connection that never waits."""
        connection = self._connected(partial(self._connector.connect_async, target))
        connection.limit = self.limits.statement + TIMEOUT_MARGIN
        connection.settings = self.limits.within
        connection.is_refused = lambda: self._refuses_calls
        connection.is_for_writes = self._connector.wants_writes
        return connection

    def _connected(self, connect: Callable[[], C]) -> C:
        """Return a new connection that reports when its server does not answer."""
        if self._breaker.is_open:
            raise self._no_answer()
        try:
            connection = connect()
        except SilentError:
            self._breaker.trip("nothing connects in time", is_doubtful=True)
            raise
        connection.on_silence = self.report_silence
        return connection

    def prefer_none(self) -> None:
        """Try the servers in their own order again, where their names lead by now."""
        self._connector.prefer_none()

    def is_read_only(self, connection: WatchedConnection) -> bool:
        """Return whether the server of a connection accepts no writes, or does not tell in time.

        A transaction that was made read-only, on a server that accepts writes, makes no difference.
        """
        known = map(connection.info.parameter_status, _READ_ONLY_STATUS)
        if "on" in known:
            return True
        # Behind a pooler, what the connection knows may be of the past.
        try:
            asked = self._connector.connect_again(connection, PING_LIMIT)
            with closing(asked), asked.cursor() as cursor:
                asked.limit = PING_LIMIT
                cursor.execute(SHOW_READ_ONLY)
                return bool(cursor.fetchone() != ("off",))
        except psycopg2.Error:
            return True

    def check(self, connection: WatchedConnection, idle: float) -> None:
        """Raise for a pooled connection that is dead, and for any while the server does not answer.

        `idle` is for how many seconds the connection was unused. Raises `DisconnectionError`, at
        which the pool connects anew, or `psycopg2.OperationalError`. A server that has become
        read-only is left, too, unless `target_session_attrs` asks for such a one.
        """
        if self._refuses_calls:
            raise self._no_answer()
        if connection.closed or is_readable(connection):
            message = "the server has closed the connection"
            raise DisconnectionError(message)
        now = time.monotonic()
        is_due = now - connection.asked_at >= READ_ONLY_INTERVAL
        if not is_due and idle <= TRUSTED_IDLE:
            return
        try:
            answer = _ask(connection, SHOW_READ_ONLY, PING_LIMIT)
        except psycopg2.Error as error:
            if self._refuses_calls:
                raise
            raise DisconnectionError(str(error)) from error
        if is_due:
            connection.asked_at = now
            if answer == ("on",) and self._connector.wants_writes:
                message = "the server is read-only"
                raise ReadOnlyConnectionError(message)

    @property
    def is_unavailable(self) -> bool:
        """Whether the server is known not to answer."""
        return self._breaker.is_open

    @property
    def _refuses_calls(self) -> bool:
        return self._is_silent and self._breaker.is_open

    def report_silence(self) -> None:
        """Note that a call on an open connection got no answer."""
        self._is_silent = True
        self._breaker.trip("a call was not answered in time", is_doubtful=True)

    def probe(self) -> None:
        """Connect and make a round trip; raises `psycopg2.Error` if the server does not answer."""
        began = time.monotonic()
        try:
            connection = self._connector.connect()
        except psycopg2.Error:
            # A server that refuses at once answers: connecting to it fails without waiting.
            if time.monotonic() - began > PING_LIMIT:
                raise
        else:
            with closing(connection):
                _ask(connection, "SELECT 1", PING_LIMIT)
        self._is_silent = False

    def reset(self) -> None:
        """Forget that a call got no answer; for a process just forked, whose breaker is closed."""
        self._is_silent = False

    @staticmethod
    def _no_answer() -> psycopg2.OperationalError:
        return psycopg2.OperationalError("the database server does not answer")


_READ_ONLY_STATUS = ("in_hot_standby", "default_transaction_read_only")


_SERVERS: WeakKeyDictionary[Engine, Server] = WeakKeyDictionary()


def cursors_of(engine: Engine) -> Cursors | None:
    """Return the classes of the cursors of an engine; None where they are not the platform's."""
    server = _SERVERS.get(engine)
    return server.cursors if server and engine.dialect.driver == "psycopg2" else None


def is_unavailable(engine: Engine) -> bool | None:
    """Return whether the server of an engine is known not to answer; None if nothing looks."""
    server = _SERVERS.get(engine)
    return None if server is None else server.is_unavailable


def _ask(connection: WatchedConnection, statement: str, limit: float) -> tuple[Any, ...] | None:
    """Execute a statement outside any transaction, in one round trip; returns its first row."""
    earlier_limit, autocommit = connection.limit, connection.autocommit
    connection.limit = limit
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            row: tuple[Any, ...] | None = cursor.fetchone()
            return row
    finally:
        connection.limit = earlier_limit
        if not connection.closed:
            connection.autocommit = autocommit


def init_postgresql(engine: Engine, limits: Limits, credentials: Credentials | None = None) -> None:
    """Set the time limits of the engine's transactions, and UTC as their time zone.

    `credentials` are tried where the server refuses those of the engine's URL.
    With another driver than psycopg2, and on connections that a plugin's own code makes, only the
    limits that the server enforces hold.
    """
    server = Server(limits, credentials)
    _SERVERS[engine] = server
    if engine.dialect.driver == "psycopg2":
        # Not by the event `do_connect`, whose first listener to connect is the last one called.
        engine.dialect.connect = server.connect  # type: ignore[assignment, method-assign]
    _check_at_checkout(engine, server, give_up=init_failover(engine, server))
    event.listen(engine, "engine_disposed", lambda _: server.prefer_none())

    listeners = count_listeners(engine.pool, _POOL_EVENTS)
    server.has_listeners = lambda: count_listeners(engine.pool, _POOL_EVENTS) != listeners

    @event.listens_for(engine, "begin")
    def set_limits(connection: Connection) -> None:
        driver: Any = connection.connection.driver_connection
        if isinstance(driver, WatchedConnection) or getattr(driver, "autocommit", False):
            return
        with closing(driver.cursor()) as cursor:
            cursor.execute(limits.settings())


_POOL_EVENTS = ("connect", "first_connect", "checkout", "checkin", "reset")


def _check_at_checkout(engine: Engine, server: Server, give_up: Callable[[], None]) -> None:
    @event.listens_for(engine, "checkin")
    def note_return(_connection: object, record: ConnectionPoolEntry) -> None:
        record.info["returned_at"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def check(connection: object, record: ConnectionPoolEntry, _proxy: object) -> None:
        if isinstance(connection, WatchedConnection):
            now = time.monotonic()
            try:
                server.check(connection, idle=now - record.info.get("returned_at", now))
            except ReadOnlyConnectionError:
                give_up()
                raise


def has_written(connection: Connection) -> bool:
    """Return whether the connection's transaction has changed or locked any row."""
    return bool(connection.scalar(text("SELECT txid_current_if_assigned() IS NOT NULL")))
