"""Core statements that are compiled once, and run on the driver's own connection.

SQLAlchemy spends some ten times as long on a statement as the driver does. What it does for a
statement that is always the same is done once here: its text, and how its values are converted.
"""

from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg2
from sqlalchemy import Engine, Executable
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.types import TypeEngine

from pegboard.database.connection import WatchedConnection

Convert = Callable[[Any], Any]


class NotCompilableError(ValueError):
    """Raised for a statement whose text depends on its values."""


class CompiledStatement:
    """A statement for psycopg2, and the rows that it returns.

    The rows are named tuples, as the plain rows of SQLAlchemy are.
    """

    def __init__(
        self,
        statement: Any,
        dialect: Dialect,
        returned: Mapping[str, TypeEngine[Any]],
        sent: Sequence[str] | None = None,
    ) -> None:
        """Compile a statement.

        `returned` are the names and types of its columns in their order. `sent` are the keys of the
        columns that an INSERT or UPDATE is given. Raises `NotCompilableError`.
        """
        compiled = statement.compile(dialect=dialect, column_keys=sent)
        if compiled.post_compile_params or compiled.literal_execute_params:
            message = "the text of the statement depends on its values"
            raise NotCompilableError(message)
        self.statement: Executable = statement
        self.compiled: Any = compiled
        self._text = str(compiled)
        self._dialect = dialect
        self._fixed: Mapping[str, Any] = {
            compiled.bind_names[bind]: bind.effective_value
            for bind in compiled.bind_names
            if not bind.required
        }
        self._binding: Mapping[str, Convert] = {
            compiled.bind_names[bind]: convert
            for bind in compiled.bind_names
            if (convert := bind.type.dialect_impl(dialect).bind_processor(dialect)) is not None
        }
        self._types = [type_.dialect_impl(dialect) for type_ in returned.values()]
        self._results: list[tuple[int, Convert]] | None = None
        row: Any = namedtuple("Row", returned)  # type: ignore[misc]  # noqa: PYI024 - the names are data
        self._row: Callable[[Iterable[Any]], Any] = row._make

    def run(self, connection: PoolProxiedConnection, values: Mapping[str, Any]) -> list[Any]:
        """Run the statement with these parameters; returns its rows. Raises `psycopg2.Error`."""
        parameters = {**self._fixed, **values}
        for name, convert in self._binding.items():
            parameters[name] = convert(parameters[name])
        cursor = connection.cursor()
        try:
            cursor.execute(self._text, parameters)
            found = cursor.fetchall()
            results = self._results
            if results is None:
                results = self._results = list(self._conversions(cursor.description))
        finally:
            cursor.close()
        if not results:
            return list(map(self._row, found))
        return [self._converted(row, results) for row in found]

    def _conversions(self, description: Sequence[Any]) -> Iterator[tuple[int, Convert]]:
        for place, (type_, column) in enumerate(zip(self._types, description, strict=True)):
            convert = type_.result_processor(self._dialect, column[1])
            if convert is not None:
                yield place, convert

    def _converted(self, row: Sequence[Any], results: Iterable[tuple[int, Convert]]) -> Any:
        values = list(row)
        for place, convert in results:
            values[place] = convert(values[place])
        return self._row(values)

    def error(self, error: psycopg2.Error, *, is_lost: bool) -> DBAPIError:
        """Return the driver's error as SQLAlchemy raises it.

        `is_lost` is whether the connection has ended with it.
        """
        found: Any = DBAPIError.instance(
            self._text,
            None,
            error,
            psycopg2.Error,
            hide_parameters=True,
            connection_invalidated=is_lost,
            dialect=self._dialect,
        )
        return found  # type: ignore[no-any-return]


@contextmanager
def autocommit(engine: Engine) -> Iterator[PoolProxiedConnection]:
    """Lend a connection on which each statement is a transaction of its own.

    So a statement takes one round trip, without BEGIN and COMMIT. Raises `psycopg2.Error` or
    `sqlalchemy.exc.TimeoutError` if there is none.
    """
    proxy = engine.pool.connect()
    driver = proxy.driver_connection
    assert isinstance(driver, WatchedConnection)
    driver.autocommit = True
    try:
        yield proxy
    finally:
        if driver.closed:
            proxy.invalidate()
        else:
            driver.autocommit = False
        proxy.close()
