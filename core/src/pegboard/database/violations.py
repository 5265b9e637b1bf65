"""What a refused statement has violated, told alike for SQLite and PostgreSQL.

PostgreSQL names the constraint, the columns and the values; SQLite at most the columns, so that the
statement is remembered with the error, and a missing row is searched for after the rollback.
"""

import re
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, Table, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.orm import Session

from pegboard.database.postgresql_errors import postgresql_violation
from pegboard.database.sqlite_errors import sqlite_violation
from pegboard.database.violation import Kind, Statement, Violation, enum_values

_STATEMENT = "pegboard_statement"
_FILE = "pegboard_file"
_UNDEFINED = {"42P01", "42703", "3F000"}
"""What PostgreSQL says of a table, a column and a schema that it does not have."""
_UNDEFINED_IN_SQLITE = re.compile(r"no such (table|column)|has no column named")
_NO_PERMISSION = "42501"
_UNAVAILABLE_CLASSES = {"08", "28", "3D", "53", "57", "58"}
"""Of SQLSTATE: connections, authorization, databases, resources, the operator, the system."""


def remember_statements(engine: Engine) -> None:
    """Keep with each error of the engine the statement that has caused it, for `violation_of`.

    What a driver raises for a value that it cannot send, such as a number of more than 64 bits or
    the character U+0000, becomes a `DataError` of SQLAlchemy.
    """

    @event.listens_for(engine, "handle_error")
    def remember(context: ExceptionContext) -> DBAPIError | None:
        error = context.sqlalchemy_exception
        cause = context.original_exception
        converted: DataError | None = None
        if (
            error is None
            and context.statement is not None
            and isinstance(cause, (OverflowError, ValueError))
        ):
            error = converted = DataError(context.statement, context.parameters, cause)
        if isinstance(error, DBAPIError):
            vars(error)[_STATEMENT] = _statement_of(context)
            vars(error)[_FILE] = engine.url.database if engine.dialect.name == "sqlite" else None
        return converted


def availability_hint(error: DBAPIError) -> str:
    """Return what an operator can do about a database that cannot be queried."""
    file = vars(error).get(_FILE)
    if not file or file == ":memory:":
        return (
            "Start the database, or correct DATABASE_URL, with special characters percent-encoded."
        )
    if getattr(error.orig, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_CANTOPEN:
        return "Look at the file that DATABASE_URL names: is it a SQLite database, and readable?"
    folder = Path(file.removeprefix("file:")).parent
    if not folder.is_dir():
        return (
            "The folder of the file that DATABASE_URL names does not exist: create it, or correct "
            "the path; four slashes are before an absolute one, as in sqlite:////srv/file.db."
        )
    return "Let this user write the file that DATABASE_URL names, and its folder, or correct it."


def is_undefined(error: DBAPIError) -> bool:
    """Return whether a statement names a table or a column that the database does not have."""
    if getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR:
        return _UNDEFINED_IN_SQLITE.search(str(error.orig)) is not None
    return _state_of(error) in _UNDEFINED


def is_of_statement(error: DBAPIError) -> bool:
    """Return whether a statement or its values are wrong, which a database that works refuses."""
    if getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR:
        return True
    if state := _state_of(error):
        return state[:2] not in _UNAVAILABLE_CLASSES and state != _NO_PERMISSION
    return isinstance(error, (DataError, IntegrityError, ProgrammingError))


def violation_of(error: DBAPIError, session: Session) -> Violation | None:
    """Return what the statement has violated; None if the data are not what is wrong with it.

    The transaction must have been rolled back: the session is used to search for missing rows.
    """
    statement: Statement = vars(error).get(_STATEMENT) or Statement("", None)
    cause: Any = error.orig
    if isinstance(cause, OverflowError):
        return Violation(Kind.OUT_OF_RANGE, rows=statement.rows, bound=2**63 - 1)
    if isinstance(cause, ValueError):
        return Violation(Kind.UNSTORABLE, rows=statement.rows)
    if isinstance(cause, sqlite3.IntegrityError):
        return sqlite_violation(cause, statement, session)
    state = _state_of(error)
    return postgresql_violation(state, cause, statement) if state else None


def _state_of(error: DBAPIError) -> str | None:
    """Return the SQLSTATE of an error, as psycopg2 or psycopg names it."""
    return getattr(error.orig, "pgcode", None) or getattr(error.orig, "sqlstate", None)


def _statement_of(context: ExceptionContext) -> Statement:
    words = (context.statement or "").split(maxsplit=1)
    verb = words[0].upper() if words else ""
    execution = context.execution_context
    compiled: Any = getattr(execution, "compiled", None)
    if compiled is None:
        given: Any = context.parameters
        rows = given if isinstance(given, (list, tuple)) else [given]
        return Statement(verb, None, [row for row in rows if isinstance(row, Mapping)])
    for name in ("insert", "update", "delete"):
        if getattr(compiled, f"is{name}", False):
            verb = name.upper()
    table = getattr(compiled.statement, "table", None)
    if isinstance(table, Table):
        # The statement of a mapped class has a copy.
        table = table.metadata.tables.get(table.key, table)
    parameters: Any = getattr(execution, "compiled_parameters", None) or []
    binds = getattr(compiled, "binds", {}).values()
    labels = frozenset(
        text for one in binds for text in enum_values(one.type) if isinstance(text, str)
    )
    return Statement(verb, table, [_by_column(row, table) for row in parameters], labels)


def _by_column(parameters: Mapping[str, Any], table: Table | None) -> Mapping[str, Any]:
    if table is None:
        return parameters
    names = {column.key: column.name for column in table.columns}
    return {names.get(key, key): value for key, value in parameters.items()}
