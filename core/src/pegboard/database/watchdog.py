"""A deadline for every call to PostgreSQL, kept on the client's side.

``statement_timeout`` is the server's promise, and a server that hangs keeps none; libpq then waits
for as long as the kernel believes in the connection. One thread per process looks after all calls
in flight and shuts the socket of one that is overdue, so that libpq gives up at once.
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
"""Seconds between two looks at the calls in flight."""

_QUIET_TICKS = 20

_time_is_unlimited: ContextVar[bool] = ContextVar("pegboard_time_is_unlimited", default=False)


@contextmanager
def no_time_limit() -> Iterator[None]:
    """Let database work take as long as it needs: imports, migrations, reports.

    Inside the block no statement is cut off, neither by the server nor by the watchdog. Enter it
    before the first statement: a connection already in use keeps the server's limit until it has
    been returned. The limit on waiting for another transaction's lock stays.
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
        self._dozing = True
        self._thread: threading.Thread | None = None

    def expect(self, connection: "WatchedConnection", seconds: float) -> None:
        """Count from now: the connection's call has to end within so many seconds."""
        self._deadlines[connection] = time.monotonic() + seconds
        if self._dozing:
            self._rouse()

    def forget(self, connection: "WatchedConnection") -> bool:
        """Stop counting; return whether the call was still in time."""
        if self._deadlines.pop(connection, None) is not None:
            return True
        # The watchdog has this connection in its hands. Until it lets go, the file descriptor must
        # not be closed: the number could be another connection's by then.
        with self._cutting:
            return self._deadlines.pop(connection, None) is not None

    def _rouse(self) -> None:
        with self._cutting:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._watch, name="pegboard-watchdog", daemon=True
                )
                self._thread.start()
        self._wake.set()

    def _watch(self) -> None:
        while True:
            self._dozing = True
            # Looked at after the flag is up: a call registered before it does not rouse us.
            if not self._deadlines:
                self._wake.wait()
            self._wake.clear()
            self._dozing = False
            quiet = 0
            while quiet < _QUIET_TICKS:
                time.sleep(TICK)
                quiet = 0 if self._deadlines else quiet + 1
                try:
                    self._cut_overdue()
                except Exception:  # whatever it is, the other calls still need their watchdog
                    logger.exception("the watchdog of the database stumbled")

    def _cut_overdue(self) -> None:
        now = time.monotonic()
        overdue = [key for key, deadline in list(self._deadlines.items()) if deadline <= now]
        for connection in overdue:
            with self._cutting:
                # Taken out first: from here on its owner waits for us in `forget`.
                deadline = self._deadlines.pop(connection, None)
                if deadline is None:
                    continue
                # Either this is a later call already, or an answer has arrived and only waits for
                # a busy process to read it: the server is well.
                if deadline > now or is_readable(connection):
                    self._deadlines[connection] = deadline
                    continue
                _shut(connection)


def is_readable(connection: "WatchedConnection") -> bool:
    """Return whether the server has sent something, its farewell included, that nobody has read."""
    return bool(connection.poll_of_socket.poll(0))


def _shut(connection: extensions.connection) -> None:
    """Shut the socket under libpq, whose blocking read then ends; libpq itself closes it."""
    with socket.socket(fileno=os.dup(connection.fileno())) as twin:
        try:
            twin.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # the other side was faster


_watchdog = Watchdog()


class WatchedConnection(extensions.connection):
    """A connection none of whose calls outlives `limit` seconds."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.limit: float | None = None
        self.on_silence: Callable[[], None] | None = None
        self.poll_of_socket = select.poll()
        self.poll_of_socket.register(self.fileno(), select.POLLIN)

    def within(
        self, seconds: float | None, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Make a call that talks to the server; raise `OperationalError` when it is overdue."""
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
            # It would come from the end of a request, when the answer is already complete.
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
