"""Connections whose calls have a time limit, and whose transactions begin with settings."""

import re
import select
import time
from collections.abc import Callable, Mapping
from functools import cache, cached_property
from typing import Any, ParamSpec, TypeVar

import psycopg2
from psycopg2 import extensions
from psycopg2.sql import Composable

from pegboard.database.statement_times import TellOfStatement, timing
from pegboard.database.watchdog import time_is_unlimited, watchdog
from pegboard.deadline import seconds_left

TIMEOUT_MARGIN = 0.3
"""Seconds beyond `statement_timeout` in which the server can report that time-out itself."""

P = ParamSpec("P")
R = TypeVar("R")

_DATA_STATEMENT = re.compile(
    r"\s*(select|insert|update|delete|merge|with|values|table)\b", re.IGNORECASE
)
"""Statements that PostgreSQL executes in a transaction with others as it does alone."""


_TOO_LATE = "the time of the request is over"


class TargetedConnection(extensions.connection):
    """A connection that knows what this process knows of its server."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.target: Mapping[str, str] = {}
        """The parameters by which libpq finds this server among several."""
        self.asked_at = time.monotonic()
        """When it was last known, by `time.monotonic`, whether the server accepts writes."""
        self.on_silence: Callable[[], object] = lambda: None
        """Called when a call got no answer in time."""

    @cached_property
    def poll_of_socket(self) -> select.poll:
        """What polls the socket for input, once it is connected."""
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        return poll

    def __repr__(self) -> str:
        """Do not show the parameters, as the driver's own text does."""
        return f"<{type(self).__name__} {id(self):#x}, closed: {self.closed}>"


class AsyncConnection(TargetedConnection):
    """A connection that never waits: the owner calls `poll` whenever its socket is ready."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.limit = 0.0
        """Seconds that a statement may take."""
        self.settings: Callable[[float], str] = lambda _: ""
        """Returns the statements that precede one for which there are so many seconds."""
        self.is_for_writes = True
        """Whether its server has to accept writes."""
        self.is_refused: Callable[[], bool] = lambda: False
        """Returns whether no call is to be made, as the server does not answer."""


class WatchedConnection(TargetedConnection):
    """A connection whose calls end within `limit` seconds, or fail and close it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.limit: float | None = None
        """Seconds that a call may take; None is any time."""
        self.settings: Callable[[], str] | None = None
        """Returns the statements that begin each transaction."""
        self.shortened: Callable[[], str] = lambda: ""
        """Returns the statements that end the next one with the time of the request."""
        self.connect_async: Callable[[Mapping[str, str]], AsyncConnection] | None = None
        """Connects to the server of a target by a connection that never waits."""
        self.cursors = Cursors()
        """The classes of its cursors; an engine's connections share one object."""
        self.on_statement: Callable[[str], None] | None = None
        """Called with the text of a statement before it is executed."""
        self.on_commit: Callable[[], None] | None = None
        """Called before a commit that is not a statement."""

    def opening(self, statement: str = "") -> str:
        """Return the settings that have to precede the statement.

        They hold until the end of the transaction, and so precede its first statement, or with
        `autocommit` each one that may be in a transaction. Nothing is set for the session: a
        transaction pooler such as PgBouncer gives its next transaction to another client.
        """
        if self.settings is None:
            return ""
        if self.status != extensions.STATUS_READY:
            return self.shortened()
        is_alone = self.autocommit and not _DATA_STATEMENT.match(statement)
        return "" if is_alone else self.settings()

    @property
    def time(self) -> float | None:
        """Seconds that a statement may take now; None is any time.

        Raises `psycopg2.OperationalError` if the time of the request is over.
        """
        limit, left = self.limit, seconds_left()
        if limit is None or left >= limit or time_is_unlimited():
            return limit
        if left <= 0:
            raise psycopg2.OperationalError(_TOO_LATE)
        return min(limit, left + TIMEOUT_MARGIN)

    def within(
        self, seconds: float | None, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Make a call to the server; raises `OperationalError` when it is overdue."""
        if seconds is None or time_is_unlimited():
            return call(*args, **kwargs)
        watchdog.expect(self, seconds)
        try:
            answer = call(*args, **kwargs)
        except psycopg2.Error as error:
            if watchdog.forget(self):
                raise
            self.close()
            if self.limit is None or seconds >= self.limit:
                self.on_silence()
            message = f"the database server did not answer within {seconds:g} s"
            raise psycopg2.OperationalError(message) from error
        except BaseException:
            watchdog.forget(self)
            raise
        # An answer that came at the last moment counts: an acknowledged COMMIT is no failure.
        watchdog.forget(self)
        return answer

    def cursor(self, *args: Any, **kwargs: Any) -> Any:
        """Return a cursor whose calls are watched."""
        default: Any = self.cursor_factory
        if not args and not kwargs and default is None:  # as SQLAlchemy calls it
            return super().cursor(cursor_factory=self.cursors.plain)
        given = dict(zip(("name", "cursor_factory", "scrollable", "withhold"), args, strict=False))
        given |= kwargs
        watched: Any = self.cursors.plain if given.get("name") is None else self.cursors.named
        factory = given.get("cursor_factory") or default
        return super().cursor(**{**given, "cursor_factory": _watched(watched, factory)})

    def commit(self) -> None:
        """Commit; when it is overdue, whether it happened is unknown.

        Raises `psycopg2.OperationalError` if the time of the request is over: its client was told
        that it has failed.
        """
        if seconds_left() <= 0 and self.limit is not None and not time_is_unlimited():
            self.rollback()  # SQLAlchemy takes it for done when a commit has failed
            raise psycopg2.OperationalError(_TOO_LATE)
        if self.on_commit is not None:
            self.on_commit()
        tell = self.cursors.tell
        if tell is None or self.status == extensions.STATUS_READY:
            self.within(self.limit, super().commit)
        else:
            with timing(tell, "COMMIT"):
                self.within(self.limit, super().commit)

    def rollback(self) -> None:
        """Roll back; on a connection that is lost, the server has done so."""
        if self.status == extensions.STATUS_READY and not self.closed:
            return  # no transaction has begun
        try:
            self.within(self.limit, super().rollback)
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            # It would be raised at the end of a request, when the answer is already complete.
            if not self.closed:
                raise


class WatchedCursor(extensions.cursor):
    """A cursor whose statements have to be answered within the connection's limit.

    The settings of a transaction are sent together with its first statement, so that they cost no
    round trip. They take a line of their own: an error of the statement is then in line 2.
    """

    connection: WatchedConnection

    def execute(self, query: Any, vars: Any = None) -> None:  # noqa: A002 - the driver's name
        """Execute a statement."""
        statement = self._announced(query)
        if isinstance(statement, bytes):
            statement = self.connection.opening(statement.decode("latin-1")).encode() + statement
        else:
            statement = self.connection.opening(statement) + statement
        self.connection.within(self.connection.time, super().execute, statement, vars)

    def executemany(self, query: Any, vars_list: Any) -> None:
        """Execute a statement for each set of parameters."""
        self._announced(query)
        self._open()
        self.connection.within(self.connection.time, super().executemany, query, vars_list)

    def callproc(self, procname: Any, parameters: Any = ()) -> None:
        """Call a stored procedure."""
        self._open()
        self.connection.within(self.connection.time, super().callproc, procname, parameters)

    def copy_expert(self, sql: Any, file: Any, size: int = 8192) -> None:
        """Copy from or to a file."""
        self._announced(sql)
        self._open()
        self.connection.within(self.connection.time, super().copy_expert, sql, file, size)

    def copy_from(self, *args: Any, **kwargs: Any) -> None:
        """Copy from a file to a table."""
        self._open()
        self.connection.within(self.connection.time, super().copy_from, *args, **kwargs)

    def copy_to(self, *args: Any, **kwargs: Any) -> None:
        """Copy from a table to a file."""
        self._open()
        self.connection.within(self.connection.time, super().copy_to, *args, **kwargs)

    def _announced(self, query: Any) -> str | bytes:
        """Return a statement as a text, once the connection's `on_statement` has had it."""
        statement: str | bytes = query.as_string(self) if isinstance(query, Composable) else query
        if self.connection.on_statement is not None:
            told = statement.decode("latin-1") if isinstance(statement, bytes) else statement
            self.connection.on_statement(told)
        return statement

    def _open(self) -> None:
        """Send the settings of a new transaction by themselves."""
        if opening := self.connection.opening():
            with extensions.connection.cursor(self.connection) as cursor:
                self.connection.within(self.connection.time, cursor.execute, opening)


class WatchedNamedCursor(WatchedCursor):
    """A cursor on the server: fetching from it talks to the server, too."""

    def execute(self, query: Any, vars: Any = None) -> None:  # noqa: A002 - the driver's name
        """Declare the cursor."""
        self._open()
        super().execute(query, vars)

    def fetchone(self) -> tuple[Any, ...] | None:
        """Fetch the next row."""
        return self.connection.within(self.connection.time, super().fetchone)

    def fetchmany(self, size: int | None = None) -> list[tuple[Any, ...]]:
        """Fetch some rows."""
        size = self.arraysize if size is None else size
        return self.connection.within(self.connection.time, super().fetchmany, size)

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Fetch all rows that are left."""
        return self.connection.within(self.connection.time, super().fetchall)

    def close(self) -> None:
        """Close the cursor on the server."""
        self.connection.within(self.connection.limit, super().close)


class Cursors:
    """The classes of the cursors of connections, open ones included."""

    __slots__ = ("named", "plain", "tell")

    def __init__(self) -> None:
        self.plain: type[WatchedCursor] = WatchedCursor
        self.named: type[WatchedNamedCursor] = WatchedNamedCursor
        """Of those on the server."""
        self.tell: TellOfStatement | None = None
        """What is told of each statement that has ended, if anything is."""


@cache
def _watched(watched: type[WatchedCursor], factory: Any) -> Any:
    """Return a class of cursors that are watched, and else as those of the factory.

    A factory that is no class, but a function, is returned as it is.
    """
    if factory is None or not isinstance(factory, type) or issubclass(factory, watched):
        return factory or watched
    return type(factory.__name__, (watched, factory), {})
