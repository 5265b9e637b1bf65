"""Core statements that are compiled once, and run on the driver's own connection.

SQLAlchemy spends some ten times as long on a statement as the driver does. What it does for a
statement that is always the same is done once here: its text, and how its values are converted.
"""

from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg2
from sqlalchemy import Engine
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.types import TypeEngine

from pegboard.database.connection import WatchedConnection

Convert = Callable[[Any], Any]

_TOO_LATE = frozenset({"57014", "55P03"})
"""SQLSTATE of a statement that took too long, and of a lock that was not given in time."""

_LOST = ("08", "57P", "58", "40003")
"""How a SQLSTATE begins that does not say whether a statement was executed.

A pooler such as PgBouncer answers so when its own connection to the server is lost.
"""


class UnreadableError(Exception):
    """Raised for rows that the driver cannot read, when the statement has been executed."""


class NotCompilableError(ValueError):
    """Raised for a statement whose text depends on its values."""


def row_maker(names: Iterable[str]) -> Callable[[Iterable[Any]], Any]:
    """Return what makes a tuple whose values are attributes with these names."""
    names = tuple(names)
    row: Any = namedtuple("Row", names, rename=True)  # type: ignore[misc]  # noqa: PYI024 - the names are data
    make: Callable[[Iterable[Any]], Any] = row._make
    given: str
    for name, given in zip(names, row._fields, strict=True):
        if name != given:  # a named tuple refuses some, such as those with a leading underscore
            setattr(row, name, getattr(row, given))
    return make


class DriverStatement:
    """The text of a statement for a driver, and the conversions of its values and of its rows."""

    def __init__(
        self,
        statement: Any,
        dialect: Dialect,
        returned: Sequence[TypeEngine[Any]],
    ) -> None:
        """Compile a statement.

        `returned` are the types of its columns in their order. Raises `NotCompilableError`.
        """
        compiled = statement.compile(dialect=dialect)
        if (
            compiled.post_compile_params
            or compiled.literal_execute_params
            or any(bind.callable is not None for bind in compiled.bind_names)
        ):
            message = "the text of the statement, or what it sends, depends on each execution"
            raise NotCompilableError(message)
        self.compiled: Any = compiled
        """What SQLAlchemy has made of it."""
        self.text = str(compiled)
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
        self._escaped: Mapping[str, str] = compiled.escaped_bind_names or {}
        """The names of parameters that stand otherwise in the text, such as one with a bracket."""
        self._order: Sequence[str] | None = compiled.positiontup
        """The names of the parameters by their places, for a driver that wants no names."""
        self._types = [type_.dialect_impl(dialect) for type_ in returned]
        self._codes: Sequence[Any] = ()
        """The driver's codes of the types, known once the statement was executed."""
        self._results: list[tuple[int, Convert]] | None = None

    def parameters(self, values: Mapping[str, Any]) -> Any:
        """Return the values as the driver takes them.

        Raises `KeyError` for one that is missing, and what the type of a parameter raises for one
        that it does not take.
        """
        parameters = {**self._fixed, **values}
        for name, convert in self._binding.items():
            parameters[name] = convert(parameters[name])
        if self._order is not None:
            return tuple([parameters[name] for name in self._order])
        for name, escaped in self._escaped.items():
            parameters[escaped] = parameters.pop(name)
        return parameters

    def fetch(self, cursor: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a cursor that has executed the statement, as the driver has them."""
        self._codes = [column[1] for column in cursor.description]
        return list(cursor.fetchall())

    def values(self, found: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
        """Return rows that were fetched, with the values that their columns have in Python."""
        if self._results is None:
            self._results = list(self._conversions())
        if not self._results:
            return found
        return [self._converted(row, self._results) for row in found]

    def _conversions(self) -> Iterator[tuple[int, Convert]]:
        for place, (type_, code) in enumerate(zip(self._types, self._codes, strict=True)):
            convert = type_.result_processor(self._dialect, code)
            if convert is not None:
                yield place, convert

    @staticmethod
    def _converted(row: Sequence[Any], results: Iterable[tuple[int, Convert]]) -> Sequence[Any]:
        values = list(row)
        for place, convert in results:
            values[place] = convert(values[place])
        return values

    def error(self, error: BaseException, *, is_lost: bool) -> DBAPIError:
        """Return the driver's error as SQLAlchemy raises it."""
        found: Any = DBAPIError.instance(
            self.text,
            None,
            error,
            self._dialect.loaded_dbapi.Error,
            hide_parameters=True,
            connection_invalidated=is_lost,
            dialect=self._dialect,
        )
        return found  # type: ignore[no-any-return]


class CompiledStatement(DriverStatement):
    """A statement for psycopg2, and the rows that it returns.

    The rows are named tuples, as the plain rows of SQLAlchemy are.
    """

    def __init__(
        self,
        statement: Any,
        dialect: Dialect,
        returned: Mapping[str, TypeEngine[Any]],
    ) -> None:
        """Compile a statement as `DriverStatement` does; `returned` has the types by name."""
        super().__init__(statement, dialect, [*returned.values()])
        self.named = row_maker(returned)
        """Makes a named tuple of the values of a row."""

    def execute(
        self, connection: PoolProxiedConnection, values: Mapping[str, Any]
    ) -> list[tuple[Any, ...]]:
        """Run the statement with these parameters; returns the rows as the driver has them.

        Raises `DBAPIError` if it took too long, or if it is not known whether it was executed, and
        `UnreadableError` if it was. What was certainly not executed raises `psycopg2.Error`, or
        `ValueError` or `OverflowError` for a value that cannot be sent.
        """
        cursor = connection.cursor()
        try:
            cursor.execute(self.text, self.parameters(values))
            return self.fetch(cursor)
        except psycopg2.Error as error:
            failure = self.failure(error, is_closed=bool(cursor.connection.closed))
            if failure is error:
                raise
            raise failure from error
        finally:
            cursor.close()

    def fetch(self, cursor: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a cursor that has executed it. Raises `UnreadableError`."""
        try:
            return super().fetch(cursor)
        except Exception as error:
            raise UnreadableError(str(error)) from error

    def failure(self, error: psycopg2.Error, *, is_closed: bool) -> Exception:
        """Return what `execute` raises for an error; `is_closed` says whether the connection is."""
        if not isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError):
            return error
        is_lost = is_closed or error.pgcode is None or error.pgcode.startswith(_LOST)
        if not is_lost and error.pgcode not in _TOO_LATE:
            return error
        return self.error(error, is_lost=is_lost)

    def rows(self, found: Sequence[Sequence[Any]]) -> list[Any]:
        """Return the rows of `execute` as named tuples of the values that they have in Python."""
        return [*map(self.named, self.values(found))]


@contextmanager
def autocommit(engine: Engine) -> Iterator[PoolProxiedConnection]:
    """Lend a connection on which each statement is a transaction of its own.

    So a statement takes one round trip, without BEGIN and COMMIT. Raises `psycopg2.Error` or
    `sqlalchemy.exc.TimeoutError` if there is none.
    """
    proxy = engine.pool.connect()
    driver = proxy.driver_connection
    if not isinstance(driver, WatchedConnection):
        proxy.close()
        message = "the connection was made by a plugin, and its calls have no time limit"
        raise psycopg2.InterfaceError(message)
    driver.autocommit = True
    try:
        yield proxy
    finally:
        if driver.closed:
            proxy.invalidate()
        else:
            driver.autocommit = False
        proxy.close()


def execute_alone(
    engine: Engine, statement: CompiledStatement, values: Mapping[str, Any]
) -> list[tuple[Any, ...]]:
    """Run a statement as a transaction of its own.

    Raises as `CompiledStatement.execute` and `autocommit` do.
    """
    with autocommit(engine) as connection:
        return statement.execute(connection, values)
