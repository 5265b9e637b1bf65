"""Telling how long the statements of an engine take.

What goes to PostgreSQL by psycopg2 is measured at the driver's cursors, which all statements pass:
those of sessions, of `Statement`, of fast paths, and COPY. With any other driver it is what
SQLAlchemy executes.
"""

import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from psycopg2.sql import Composable
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import ExceptionContext

from pegboard.database.connection import WatchedCursor, WatchedNamedCursor
from pegboard.database.postgresql import cursors_of
from pegboard.database.statement_times import TellOfStatement, timing

_BEGAN = "pegboard_statement_began"


class TimedCursor(WatchedCursor):
    """A cursor that tells of its statements."""

    _text = ""

    def execute(self, query: Any, vars: Any = None) -> None:  # noqa: A002 - the driver's name
        """Execute a statement."""
        with self._timing(query):
            super().execute(query, vars)

    def executemany(self, query: Any, vars_list: Any) -> None:
        """Execute a statement for each set of parameters."""
        with self._timing(query):
            super().executemany(query, vars_list)

    def callproc(self, procname: Any, parameters: Any = ()) -> None:
        """Call a stored procedure."""
        with self._timing(f"{procname}(...)"):
            super().callproc(procname, parameters)

    def copy_expert(self, sql: Any, file: Any, size: int = 8192) -> None:
        """Copy from or to a file."""
        with self._timing(sql):
            super().copy_expert(sql, file, size)

    def copy_from(self, *args: Any, **kwargs: Any) -> None:
        """Copy from a file to a table."""
        with self._timing("COPY FROM STDIN"):
            super().copy_from(*args, **kwargs)

    def copy_to(self, *args: Any, **kwargs: Any) -> None:
        """Copy from a table to a file."""
        with self._timing("COPY TO STDOUT"):
            super().copy_to(*args, **kwargs)

    def _timing(self, query: Any) -> AbstractContextManager[None]:
        text = query.as_string(self) if isinstance(query, Composable) else query
        self._text = text.decode("latin-1") if isinstance(text, bytes) else str(text)
        return self._timing_again()

    def _timing_again(self) -> AbstractContextManager[None]:
        tell = self.connection.cursors.tell
        return nullcontext() if tell is None else timing(tell, self._text)


class TimedNamedCursor(TimedCursor, WatchedNamedCursor):
    """A cursor on the server, which finds rows while they are fetched."""

    def fetchone(self) -> tuple[Any, ...] | None:
        """Fetch the next row."""
        with self._timing_again():
            return super().fetchone()

    def fetchmany(self, size: int | None = None) -> list[tuple[Any, ...]]:
        """Fetch some rows."""
        with self._timing_again():
            return super().fetchmany(size)

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Fetch all rows that are left."""
        with self._timing_again():
            return super().fetchall()


def time_statements(engine: Engine, tell: TellOfStatement) -> None:
    """Tell of each statement of an engine that ends from now on."""
    cursors = cursors_of(engine)
    if cursors is None:
        _time_execution(engine, tell)
        return
    cursors.tell, cursors.plain, cursors.named = tell, TimedCursor, TimedNamedCursor


def _time_execution(engine: Engine, tell: TellOfStatement) -> None:
    """Tell of what SQLAlchemy executes, as of SQLite: until the first row is found."""

    @event.listens_for(engine, "before_cursor_execute")
    def begin(connection: Connection, *_: Any) -> None:
        connection.info[_BEGAN] = time.perf_counter()

    @event.listens_for(engine, "after_cursor_execute")
    def end(connection: Connection, _cursor: Any, text: str, *_: Any) -> None:
        if (began := connection.info.pop(_BEGAN, None)) is not None:
            tell(text, time.perf_counter() - began, None)

    @event.listens_for(engine, "handle_error")
    def fail(context: ExceptionContext) -> None:
        connection = context.connection
        if connection is None or connection.closed or connection.invalidated:
            return
        began = connection.info.pop(_BEGAN, None)
        if began is not None and context.statement is not None:
            tell(context.statement, time.perf_counter() - began, context.original_exception)
