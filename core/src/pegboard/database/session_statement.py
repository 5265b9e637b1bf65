"""Statements that are executed often, for a fraction of what a session takes for each.

A session finds out at each execution what a statement is: whether it returns objects, what it does
to loaded ones, whether its text depends on its values. Here that is found out once. What may be
different at each call, such as who listens to statements, is looked at in each call. Where anything
is unusual, the session executes the statement.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cached_property
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Executable, Result, Select, event, inspect
from sqlalchemy.engine import Dialect
from sqlalchemy.engine.result import IteratorResult, SimpleResultMetaData
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Mapper, Session, scoped_session
from sqlalchemy.sql import Insert
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.types import TypeEngine

from pegboard.database.statements import DriverStatement, NotCompilableError

F = TypeVar("F", bound=Callable[..., Any])

_DRIVERS = frozenset({"psycopg2", "pysqlite"})
_EVENTS = ("before_execute", "after_execute", "before_cursor_execute", "after_cursor_execute")
_ERROR = "pegboard_error"
_IGNORED = "pegboard_ignored"
_PREPARED = "pegboard_prepared"


def ignores(is_ignored: Callable[[type[Any] | None], bool]) -> Callable[[F], F]:
    """Mark a listener to a session's statements that does nothing at some.

    `is_ignored` is given the model of those that write, and None for those that only read.
    """

    def mark(listener: F) -> F:
        setattr(listener, _IGNORED, is_ignored)
        return listener

    return mark


def only_reads(model: type[Any] | None) -> bool:
    """Return whether a statement is none that writes a model, for `ignores`."""
    return model is None


class Statement:
    """A statement that is made once, as a constant of a module, and executed by many requests.

    ::

        PAGE = pegboard.Statement(
            select(Item.id, Item.name)
            .where(Item.id > bindparam("after"))
            .order_by(Item.id)
            .limit(20)
        )

        rows = PAGE.execute(pegboard.db.session, after=100).all()

    What differs from call to call are parameters, as by `bindparam`; the columns that an INSERT or
    UPDATE is given are parameters, too. It does what `session.execute` does with it, in the
    session's transaction, and costs less: a SELECT of columns on SQLite and PostgreSQL is compiled
    once and goes to the driver; an INSERT, UPDATE or DELETE of a model does not pass the session,
    unless a plugin listens to that model. Objects of the model that are loaded are read again when
    they are used after an UPDATE or DELETE. Whatever else the statement is, the session executes
    it.
    """

    def __init__(self, statement: Executable) -> None:
        self._statement: Any = statement
        self._way: Callable[[Statement, Session, Mapping[str, Any]], Result[Any]]
        self._way = Statement._by_session
        self._entity: Any = None
        self._columns: tuple[Any, ...] = ()
        self._types: tuple[TypeEngine[Any], ...] = ()
        if statement.get_execution_options():
            return
        if isinstance(statement, Select):
            described = statement.column_descriptions
            if _are_columns(described):
                self._columns = tuple(one["expr"] for one in described)
                self._types = tuple(one["type"] for one in described)
                self._entity = next((one["entity"] for one in described if one.get("entity")), None)
                self._way = Statement._read
        elif isinstance(statement, UpdateBase):
            # SQLAlchemy describes no table in place of a model, and 2.1 nothing but attributes.
            with suppress(AttributeError, KeyError):
                self._entity = statement.entity_description.get("entity")
                if self._entity and _are_columns(statement.returning_column_descriptions):
                    self._way = Statement._write

    def execute(
        self, session: Session | scoped_session[Any], /, **parameters: object
    ) -> Result[Any]:
        """Execute it on the session's connection with these parameters; returns its rows.

        Raises what `session.execute` raises.
        """
        found: Session = session() if isinstance(session, scoped_session) else session
        # The session flushes what it has not yet, and of SQLAlchemy 2.1 may have options.
        if found.new or found.dirty or found.deleted or getattr(found, "execution_options", None):
            return self._by_session(found, parameters)
        return self._way(self, found, parameters)

    def _by_session(self, session: Session, values: Mapping[str, Any]) -> Result[Any]:
        return session.execute(self._statement, values)

    def _read(self, session: Session, values: Mapping[str, Any]) -> Result[Any]:
        connection = self._connection(session)
        if _is_watched(connection, session):
            return self._by_session(session, values)
        prepared = _prepared(connection.dialect)
        if self not in prepared:
            result = self._by_session(session, values)
            # Its names are known only now.
            prepared[self] = self._prepare(connection.dialect, tuple(result.keys()))
            return result
        reading = prepared[self]
        try:
            parameters = None if reading is None else reading.driver.parameters(values)
        except Exception:  # noqa: BLE001 - the session raises what belongs to it
            parameters = None
        if reading is None or parameters is None:
            return self._by_session(session, values)
        try:
            cursor = connection.connection.cursor()
            try:
                cursor.execute(reading.driver.text, parameters)
                found = reading.driver.fetch(cursor)
            finally:
                cursor.close()
        except BaseException as error:
            self._raise(connection, reading.driver, values, error)
            raise
        return IteratorResult(reading.row, iter(reading.driver.values(found)))

    def _prepare(self, dialect: Dialect, names: tuple[str, ...]) -> "_Reading | None":
        is_known = len(set(names)) == len(names) == len(self._types)
        if dialect.driver not in _DRIVERS or not is_known:
            return None
        try:
            driver = DriverStatement(self._statement, dialect, self._types)
        except NotCompilableError:
            return None
        # A SELECT may have others inside that write.
        if any(not isinstance(one.element, Select) for one in driver.compiled.ctes or ()):
            return None
        return _Reading(driver, names, self._columns)

    def _raise(
        self,
        connection: Connection,
        driver: DriverStatement,
        values: Mapping[str, Any],
        error: BaseException,
    ) -> None:
        """Let SQLAlchemy meet an error where it executes the statement, and do all that it does."""
        try:
            connection.execute(self._statement, values, execution_options={_ERROR: error})
        except DBAPIError as met:
            if not met.connection_invalidated or met.orig is error:
                raise
            # The connection is closed, and SQLAlchemy did not come so far.
            raise driver.error(error, is_lost=True) from error

    def _write(self, session: Session, values: Mapping[str, Any]) -> Result[Any]:
        if _concerns(session.dispatch.do_orm_execute, self._entity) or not self._model.is_plain:
            result = self._by_session(session, values)
        else:
            if isinstance(self._statement, Insert):
                values = self._model.inserted(values)
            result = self._connection(session).execute(self._statement, values)
        if not isinstance(self._statement, Insert):
            # What a session does to loaded objects goes wrong where values are parameters.
            for one in session.identity_map.values():
                if isinstance(one, self._entity):
                    session.expire(one)
        return result

    @cached_property
    def _model(self) -> "_Model":
        return _Model(inspect(self._entity))

    def _connection(self, session: Session) -> Connection:
        arguments: dict[str, Any] = {"clause": self._statement}
        if self._entity is not None:
            arguments["mapper"] = inspect(self._entity).mapper
        return session.connection(arguments)


class _Reading:
    """A SELECT that goes to the driver."""

    def __init__(
        self, driver: DriverStatement, names: tuple[str, ...], columns: Iterable[Any]
    ) -> None:
        self.driver = driver
        self.row = SimpleResultMetaData(names, extra=[(column,) for column in columns])


class _Model:
    """What a session does to the values of a statement on a model."""

    def __init__(self, mapper: Mapper[Any]) -> None:
        self.is_plain = (
            len(mapper.tables) == 1
            and mapper.polymorphic_on is None
            and mapper.version_id_col is None
            and all(
                [one.key] == [column.key for column in one.columns] for one in mapper.column_attrs
            )
        )
        """Whether it sends them as they are, but for what `inserted` does."""
        self._nullable = frozenset(
            column.key for column in mapper.columns if not column.type.should_evaluate_none
        )

    def inserted(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Leave out what is None, so that the column's default holds."""
        return {
            name: value
            for name, value in values.items()
            if value is not None or name not in self._nullable
        }


def _are_columns(described: Iterable[Mapping[str, Any]]) -> bool:
    """Return whether a statement returns columns, and not objects of a model."""
    return all(isinstance(one["type"], TypeEngine) for one in described)


def _concerns(listeners: Iterable[Any], model: type[Any] | None) -> bool:
    """Return whether a statement on a model, or one that only reads, is of interest to any."""
    for one in listeners:
        is_ignored = getattr(one, _IGNORED, None)
        if is_ignored is None or not is_ignored(model):
            return True
    return False


def _is_watched(connection: Connection, session: Session) -> bool:
    """Return whether a statement that only reads is seen, or changed, on its way to the driver."""
    if "schema_translate_map" in connection.get_execution_options():
        return True
    dispatch: Any = connection.dispatch
    listeners = [one for name in _EVENTS for one in getattr(dispatch, name)]
    listeners += [*session.dispatch.do_orm_execute, *connection.dialect.dispatch.do_execute]
    if _concerns(listeners, None):
        return True
    is_echoing: bool = connection.engine.logger.isEnabledFor(logging.INFO)
    return is_echoing


@ignores(only_reads)
def _meet_error(_cursor: object, _text: object, _values: object, context: Any) -> None:
    """Raise the error that the statement is executed for, if it is one."""
    error: BaseException | None = context.execution_options.get(_ERROR)
    if error is not None:
        raise error


def _prepared(dialect: Dialect) -> WeakKeyDictionary[Statement, _Reading | None]:
    """Return what is known of statements for a dialect, which keeps it as long as it lives."""
    kept = vars(dialect)
    if _PREPARED not in kept:
        event.listen(dialect, "do_execute", _meet_error)
        kept.setdefault(_PREPARED, WeakKeyDictionary())
    found: WeakKeyDictionary[Statement, _Reading | None] = kept[_PREPARED]
    return found
