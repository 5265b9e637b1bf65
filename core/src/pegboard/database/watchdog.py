"""A deadline for every call to PostgreSQL, enforced by the client.

The server enforces `statement_timeout`, but a server that hangs does not, and libpq then waits
until the kernel gives up the connection. One thread per process watches all calls in flight and
shuts the socket of one that is overdue, so that libpq fails at once.
"""

import logging
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

import psycopg2
from psycopg2 import extensions

from pegboard.forking import after_fork

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

TICK = 0.1
"""Seconds between two checks of the calls in flight."""

_IDLE_TICKS = 20

_time_is_unlimited: ContextVar[bool] = ContextVar("pegboard_time_is_unlimited", default=False)


@contextmanager
def no_time_limit() -> Iterator[None]:
    """Let database work take as long as it needs: imports, migrations, reports.

    Inside the block no statement is ended for taking long, neither by the server
    (`statement_timeout`) nor by this process, which otherwise closes the connection of an overdue
    one. Enter it before the first statement: a connection already in use keeps the server's limit
    until it has been returned. The limit on waiting for another transaction's lock stays.
    """
    token = _time_is_unlimited.set(True)
    try:
        yield
    finally:
        _time_is_unlimited.reset(token)


def time_is_unlimited() -> bool:
    """Return whether the caller is inside `no_time_limit`."""
    return _time_is_unlimited.get()


class Watchdog:
    """The calls in flight of one process, and the thread that ends the overdue ones."""

    def __init__(self) -> None:
        self.reset()
        after_fork(self, Watchdog.reset)

    def reset(self) -> None:
        """Start afresh; for a process just forked, in which no thread watches."""
        self._deadlines: dict[WatchedConnection, float] = {}
        self._cutting = threading.Lock()
        self._wake = threading.Event()
        self._is_asleep = True
        self._thread: threading.Thread | None = None

    def expect(self, connection: "WatchedConnection", seconds: float) -> None:
        """Watch a call that begins now: it has to end within so many seconds."""
        self._deadlines[connection] = time.monotonic() + seconds
        if self._is_asleep:
            self._wake_up()

    def forget(self, connection: "WatchedConnection") -> bool:
        """Stop watching the connection's call; return whether it ended in time."""
        if self._deadlines.pop(connection, None) is not None:
            return True
        # The watchdog is shutting this connection. Until it is done, the file descriptor must not
        # be closed: its number could be reused by another connection.
        with self._cutting:
            return self._deadlines.pop(connection, None) is not None

    def _wake_up(self) -> None:
        with self._cutting:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._watch, name="pegboard-watchdog", daemon=True
                )
                self._thread.start()
        self._wake.set()

    def _watch(self) -> None:
        while True:
            self._is_asleep = True
            # Checked after the flag is set: a call registered before does not wake this thread.
            if not self._deadlines:
                self._wake.wait()
            self._wake.clear()
            self._is_asleep = False
            quiet = 0
            while quiet < _IDLE_TICKS:
                time.sleep(TICK)
                quiet = 0 if self._deadlines else quiet + 1
                try:
                    self._cut_overdue()
                except Exception:  # whatever it is, the other calls must still be watched
                    logger.exception("the watchdog of the database failed once")

    def _cut_overdue(self) -> None:
        now = time.monotonic()
        overdue = [key for key, deadline in list(self._deadlines.items()) if deadline <= now]
        for connection in overdue:
            with self._cutting:
                # Removed first: from here on the thread that makes the call waits in `forget`.
                deadline = self._deadlines.pop(connection, None)
                if deadline is None:
                    continue
                # Either this is a later call already, or an answer has arrived and waits for a busy
                # process to read it: the server works.
                if deadline > now or is_readable(connection):
                    self._deadlines[connection] = deadline
                    continue
                _shut(connection)


def is_readable(connection: "WatchedConnection") -> bool:
    """Return whether the server has sent unread data or closed the connection."""
    return bool(connection.poll_of_socket.poll(0))


def _shut(connection: extensions.connection) -> None:
    """Shut the socket under libpq, whose blocking read then ends; libpq itself closes it."""
    with socket.socket(fileno=os.dup(connection.fileno())) as twin:
        try:
            twin.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # the server has closed it meanwhile


_watchdog = Watchdog()


class WatchedConnection(extensions.connection):
    """A connection whose calls end within `limit` seconds, or fail and close it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.limit: float | None = None
        self.on_silence: Callable[[], None] | None = None
        self.poll_of_socket = select.poll()
        self.poll_of_socket.register(self.fileno(), select.POLLIN)

    def within(
        self, seconds: float | None, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Make a call to the server; raises `OperationalError` when it is overdue."""
        if seconds is None or _time_is_unlimited.get():
            return call(*args, **kwargs)
        _watchdog.expect(self, seconds)
        try:
            answer = call(*args, **kwargs)
        except psycopg2.Error as error:
            if _watchdog.forget(self):
                raise
            self.close()
            if self.on_silence is not None:
                self.on_silence()
            message = f"the database server did not answer within {seconds:g} s"
            raise psycopg2.OperationalError(message) from error
        except BaseException:
            _watchdog.forget(self)
            raise
        # An answer that came at the last moment counts: an acknowledged COMMIT is no failure.
        _watchdog.forget(self)
        return answer

    def cursor(self, *args: Any, **kwargs: Any) -> Any:
        """Return a cursor whose calls are watched."""
        is_named = bool(args) or kwargs.get("name") is not None
        kwargs.setdefault("cursor_factory", WatchedNamedCursor if is_named else WatchedCursor)
        return super().cursor(*args, **kwargs)

    def commit(self) -> None:
        """Commit; when it is overdue, whether it happened is unknown."""
        self.within(self.limit, super().commit)

    def rollback(self) -> None:
        """Roll back; on a connection that is lost, the server has done so."""
        try:
            self.within(self.limit, super().rollback)
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            # It would be raised at the end of a request, when the answer is already complete.
            if not self.closed:
                raise


class WatchedCursor(extensions.cursor):
    """A cursor whose statements have to be answered within the connection's limit."""

    connection: WatchedConnection

    def execute(self, query: Any, vars: Any = None) -> None:  # noqa: A002 - the driver's name
        """Execute a statement."""
        self.connection.within(self.connection.limit, super().execute, query, vars)

    def executemany(self, query: Any, vars_list: Any) -> None:
        """Execute a statement for each set of parameters."""
        self.connection.within(self.connection.limit, super().executemany, query, vars_list)

    def callproc(self, procname: Any, parameters: Any = ()) -> None:
        """Call a stored procedure."""
        self.connection.within(self.connection.limit, super().callproc, procname, parameters)

    def copy_expert(self, sql: Any, file: Any, size: int = 8192) -> None:
        """Copy from or to a file."""
        self.connection.within(self.connection.limit, super().copy_expert, sql, file, size)


class WatchedNamedCursor(WatchedCursor):
    """A cursor on the server: fetching from it talks to the server, too."""

    def fetchone(self) -> tuple[Any, ...] | None:
        """Fetch the next row."""
        return self.connection.within(self.connection.limit, super().fetchone)

    def fetchmany(self, size: int | None = None) -> list[tuple[Any, ...]]:
        """Fetch some rows."""
        size = self.arraysize if size is None else size
        return self.connection.within(self.connection.limit, super().fetchmany, size)

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Fetch all rows that are left."""
        return self.connection.within(self.connection.limit, super().fetchall)

    def close(self) -> None:
        """Close the cursor on the server."""
        self.connection.within(self.connection.limit, super().close)
