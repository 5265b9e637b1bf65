"""A resource of an app as its fast paths need it: columns, encoders, and reading rows."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg2
from flask import Flask
from sqlalchemy import Column, ColumnElement, Engine, Integer, Table, bindparam, inspect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeEngine

from pegboard.database import CompiledStatement, UnreadableError, count_listeners, row_maker
from pegboard.resources.fast.encoding import RowEncoder
from pegboard.resources.fast.requests import Body, is_received
from pegboard.resources.operations import Parts
from pegboard.resources.schemas import Values
from pegboard.resources.steps import ROW_ID, Steps
from pegboard.stages import Waiting

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


T = TypeVar("T")


STATEMENT_EVENTS = (
    *("before_execute", "after_execute", "before_cursor_execute", "after_cursor_execute"),
    *("begin", "commit", "rollback"),
)
"""The events of an engine at statements and transactions."""


class UnansweredError(Exception):
    """Raised when the view has to answer: no row, an error, or a listener to statements."""


@dataclass(frozen=True)
class Target:
    """A resource whose rows are plain: all that answers show is in columns."""

    app: Flask
    engine: Engine
    listeners: int
    """How many functions listened to statements when the fast paths were made."""
    resource: Steps[Any]
    parts: Parts

    @property
    def is_observed(self) -> bool:
        """Whether listeners to statements have come since, as of tests that count them."""
        return count_listeners(self.engine, STATEMENT_EVENTS) != self.listeners

    @cached_property
    def columns(self) -> Mapping[str, Column[Any]]:
        """The columns of the model by attribute."""
        attributes = inspect(self.resource.model).column_attrs
        return {one.key: one.columns[0] for one in attributes}

    @cached_property
    def primary(self) -> str:
        """The attribute of the primary key."""
        (key,) = inspect(self.resource.model).primary_key
        return next(name for name, column in self.columns.items() if column is key)

    @cached_property
    def shown(self) -> tuple[str, ...]:
        """The attributes that an answer shows, in its order, and the primary key."""
        fields = self.resource.output().dump_fields.items()
        names = (field.attribute or name for name, field in fields)
        return tuple(dict.fromkeys((*names, self.primary)))

    @cached_property
    def encoder(self) -> RowEncoder:
        """Writes rows with the attributes that are shown."""
        return RowEncoder(self.resource.output(), self.types(self.shown))

    @cached_property
    def listed(self) -> tuple[str, ...]:
        """The attributes that are read of the rows of a list; those of an answer come first."""
        return tuple(str(one.key) for one in self.parts.listing.statements.columns or ())

    @cached_property
    def list_encoder(self) -> RowEncoder:
        """Writes the rows of a list."""
        return RowEncoder(self.parts.listed(), self.types(self.listed))

    @cached_property
    def row(self) -> Callable[[Iterable[Any]], Any]:
        """Makes a row of the values of what is shown."""
        return row_maker(self.shown)

    @cached_property
    def table(self) -> Table:
        """The table of the model."""
        table = self.resource.model.__table__
        assert isinstance(table, Table)
        return table

    @cached_property
    def is_row(self) -> ColumnElement[bool]:
        """The condition of one row, whose id is a parameter."""
        return self.columns[self.primary] == bindparam(ROW_ID, type_=Integer())

    async def values(
        self, body: Body, environ: "WSGIEnvironment", waiting: Waiting
    ) -> Values | None:
        """Return the values of a request's body by attribute; None for an unusual one."""
        if body.is_builtin and is_received(environ):
            return body.values(environ)
        return await waiting.call(partial(self.in_app, partial(body.values, environ)))

    async def one(self, row: Any, waiting: Waiting) -> bytes:
        """Return a row as a JSON object."""
        return await self._encoded(self.encoder, partial(self.encoder.one, row), waiting)

    async def many(self, rows: Iterable[Any], waiting: Waiting) -> bytes:
        """Return the rows of a list as a JSON array."""
        encoder = self.list_encoder
        return await self._encoded(encoder, partial(encoder.many, rows), waiting)

    async def _encoded(
        self, encoder: RowEncoder, encode: Callable[[], bytes], waiting: Waiting
    ) -> bytes:
        return encode() if encoder.is_builtin else await waiting.call(partial(self.in_app, encode))

    def in_app(self, function: Callable[[], T]) -> T:
        """Call a function of a plugin, which may need the app's context."""
        with self.app.app_context():
            return function()

    def types(self, names: Iterable[str]) -> dict[str, TypeEngine[Any]]:
        """Return the types of columns by attribute."""
        return {name: self.columns[name].type for name in names}

    def compile(self, statement: Any, returned: Iterable[str]) -> CompiledStatement:
        """Return a statement for the engine; `returned` are the attributes in its rows."""
        return CompiledStatement(statement, self.engine.dialect, self.types(returned))

    def row_id(self, arguments: Mapping[str, Any]) -> int | None:
        """Return the id in a URL; None if the column cannot hold it."""
        row_id: int
        (row_id,) = arguments.values()
        return row_id if 1 <= row_id <= self.resource.largest_id else None

    async def read(
        self, statement: CompiledStatement, values: Mapping[str, Any], waiting: Waiting
    ) -> list[Any]:
        """Return the rows of a SELECT, as the driver has them.

        Raises `UnansweredError`, and `DBAPIError` if it took too long.
        """
        if self.is_observed:
            raise UnansweredError
        try:
            return await waiting.execute(self.engine, statement, values)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            raise UnansweredError from error
        except (psycopg2.Error, UnreadableError, ValueError, OverflowError) as error:
            raise UnansweredError from error
