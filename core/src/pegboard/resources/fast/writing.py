"""Writes of one row, each by one statement that commits by itself.

What the statement does not find, or the database refuses, is left to the view, which reports it:
nothing has been written then.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any

import psycopg2
from sqlalchemy import Column, bindparam, delete, insert, or_, update

from pegboard.cache import SingleWrite, get_coherence
from pegboard.database import CompiledStatement
from pegboard.resources.fast.requests import JSON, Body, is_conditional, prefix_of, tag_header
from pegboard.resources.fast.target import Target
from pegboard.resources.kinds import is_of_type, is_returned_as_sent
from pegboard.resources.plans import Plans
from pegboard.resources.representation import etag_of
from pegboard.resources.schemas import Values
from pegboard.resources.steps import ROW_ID
from pegboard.stages import Answer, Call, Waiting


class Write:
    """A statement that writes one row, and commits by itself."""

    def __init__(self, target: Target, kind: str, statement: CompiledStatement) -> None:
        """`kind` is `insert`, `update` or `delete`; see `may_write`."""
        self._target = target
        self._statement = statement
        self._single: SingleWrite | None = None
        if (coherence := get_coherence(target.app)) is not None:
            writes = coherence.row_writes(target.table.name, kind)
            assert writes is not None
            self._single = SingleWrite(coherence, writes, statement)

    async def run(self, values: Mapping[str, Any], row_id: int | None, waiting: Waiting) -> Any:
        """Return the row that was written; None if none was, as if the statement is refused.

        `row_id` is that of a row that is there already. Raises as a commit does when the statement
        took too long, or when it is not known whether it has written.
        """
        if self._target.is_observed:
            return None
        try:
            if self._single is None:
                found = await waiting.execute(self._target.engine, self._statement, values)
            else:
                found = await self._single.execute(values, row_id, waiting)
        except (psycopg2.Error, ValueError, OverflowError):
            return None
        return self._statement.rows(found)[0] if found else None


def may_write(target: Target, kind: str) -> bool:
    """Return whether it is known what a write of one row makes stale."""
    coherence = get_coherence(target.app)
    return coherence is None or coherence.row_writes(target.table.name, kind) is not None


class _Context:
    """What the function of a column's default is given of SQLAlchemy's execution context."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self.current_parameters = parameters

    def get_current_parameters(self) -> Mapping[str, Any]:
        """Return the values of the row by the keys of the columns."""
        return self.current_parameters


class RowStatement:
    """An INSERT or UPDATE that gives certain attributes of a row values, and returns the row."""

    def __init__(self, target: Target, kind: str, statement: Any, sent: Sequence[str]) -> None:
        """`sent` are the attributes whose values are parameters."""
        self._target = target
        self._row = target.row
        by_column = {column: name for name, column in target.columns.items()}
        draft = statement.compile(dialect=target.engine.dialect)
        self._keys = {name: target.columns[name].key for name in sent}
        self._defaults = [
            (column.key, by_column[column], default)
            for column in draft.prefetch
            if (default := column.default if draft.isinsert else column.onupdate) is not None
        ]
        self._is_builtin = all(
            not default.is_callable or default.arg.__module__.startswith("pegboard.")
            for _, _, default in self._defaults
        )
        known = {
            name
            for name in (*sent, *(name for _, name, _ in self._defaults))
            if is_returned_as_sent(target.columns[name].type)
        }
        self._kinds = {
            name: target.columns[name].type.python_type for name in sent if name in known
        }
        """The Python types of the values that are shown as they are sent."""
        returned = [name for name in target.shown if name not in known]
        self._returned = returned or [target.primary]
        columns = [target.columns[name].label(name) for name in self._returned]
        compiled = target.compile(statement.returning(*columns), self._returned)
        self._write = Write(target, kind, compiled)

    async def run(self, values: Values, row_id: int | None, waiting: Waiting) -> Any | None:
        """Return the row that was written; None if none was, or a value is of an unusual type.

        `row_id` is that of the row to change.
        """
        if not all(is_of_type(values[name], kind) for name, kind in self._kinds.items()):
            return None
        fill = partial(self._filled, values)
        if self._is_builtin:
            filled = fill()
        else:
            filled = await waiting.call(partial(self._target.in_app, fill))
        parameters = {f"{NEW}{name}": value for name, value in values.items()}
        parameters |= {key: filled[name] for key, name, _ in self._defaults}
        if row_id is not None:
            parameters[ROW_ID] = row_id
        found = await self._write.run(parameters, row_id, waiting)
        if found is None:
            return None
        known = {**values, **filled, **dict(zip(self._returned, found, strict=True))}
        return self._row([known[name] for name in self._target.shown])

    def _filled(self, values: Values) -> Values:
        """Return the values of the attributes that are given none, but have a default."""
        current = {self._keys[name]: value for name, value in values.items()}
        context = _Context(current)
        filled = {}
        for key, name, default in self._defaults:
            value = default.arg(context) if default.is_callable else default.arg
            filled[name] = current[key] = value
        return filled


NEW = "new_"
"""What the names of parameters for new values begin with."""


class RowStatements:
    """The statements of one operation, each built once for the attributes that a body has."""

    def __init__(
        self, target: Target, kind: str, make: Callable[[Mapping[Column[Any], Any]], Any]
    ) -> None:
        """`make` returns the statement, given a parameter for the new value of each column."""
        self._target = target
        self._kind = kind
        self._make = make
        self._plans: Plans[RowStatement] = Plans()

    async def of(self, values: Values, waiting: Waiting) -> RowStatement:
        """Return the statement that gives a row these values."""
        names = tuple(values)
        found = self._plans.find(names)
        if found is not None:
            return found
        # To build one takes milliseconds.
        return await waiting.call(partial(self._plans.get, names, partial(self._build, names)))

    def _build(self, names: Sequence[str]) -> RowStatement:
        columns = {name: self._target.columns[name] for name in names}
        new = {
            column: bindparam(f"{NEW}{name}", type_=column.type) for name, column in columns.items()
        }
        return RowStatement(self._target, self._kind, self._make(new), names)


class FastCreate:
    """Creates a row."""

    def __init__(self, target: Target, body: Body) -> None:
        self._target = target
        self._body = body
        self._statements = RowStatements(target, "insert", insert(target.table).values)
        self._filled = {
            name
            for name, column in target.columns.items()
            if column.default is not None or column.server_default is not None
        }
        """The attributes that get another value when they are given none."""

    async def answer(self, call: Call, waiting: Waiting) -> Answer | None:
        """Return 201 with the row; None for an unusual request."""
        prefix = prefix_of(call.environ)
        if prefix is None:
            return None
        values = await self._target.values(self._body, call.environ, waiting)
        if values is None or any(values[name] is None for name in self._filled & values.keys()):
            return None
        statement = await self._statements.of(values, waiting)
        row = await statement.run(values, None, waiting)
        if row is None:
            return None
        body = await self._target.one(row, waiting)
        row_id = getattr(row, self._target.primary)
        location = f"{prefix}{self._target.resource.url_prefix}/{row_id}"
        headers = [JSON, tag_header(etag_of(body)), ("Location", location)]
        return Answer(HTTPStatus.CREATED, headers, body)


class FastChange:
    """Gives a row other values: all attributes (`PUT`), or some (`PATCH`)."""

    def __init__(self, target: Target, body: Body, needed: Collection[str] = ()) -> None:
        """`needed` are the attributes without which a body is unusual."""
        self._needed = frozenset(needed)
        self._target = target
        self._body = body
        self._statements = RowStatements(target, "update", self._update)

    def _update(self, values: Mapping[Column[Any], Any]) -> Any:
        # A row that would stay as it is keeps its `updated_at`, too.
        differs = or_(*(column.is_distinct_from(value) for column, value in values.items()))
        return update(self._target.table).where(self._target.is_row, differs).values(values)

    async def answer(self, call: Call, waiting: Waiting) -> Answer | None:
        """Return 200 with the row; None for an unusual request, as one that changes nothing."""
        row_id = self._target.row_id(call.arguments)
        if row_id is None or is_conditional(call.environ):
            return None
        values = await self._target.values(self._body, call.environ, waiting)
        if not values or not self._needed <= values.keys():
            return None
        statement = await self._statements.of(values, waiting)
        row = await statement.run(values, row_id, waiting)
        if row is None:
            return None
        body = await self._target.one(row, waiting)
        return Answer(HTTPStatus.OK, [JSON, tag_header(etag_of(body))], body)


class FastDelete:
    """Deletes a row."""

    def __init__(self, target: Target) -> None:
        self._target = target
        statement = delete(target.table).where(target.is_row)
        column = target.columns[target.primary].label(target.primary)
        compiled = target.compile(statement.returning(column), [target.primary])
        self._write = Write(target, "delete", compiled)

    async def answer(self, call: Call, waiting: Waiting) -> Answer | None:
        """Return 204; None for an unusual request."""
        environ = call.environ
        row_id = self._target.row_id(call.arguments)
        if row_id is None or is_conditional(environ) or environ.get("QUERY_STRING"):
            return None
        if await self._write.run({ROW_ID: row_id}, row_id, waiting) is None:
            return None
        return Answer(HTTPStatus.NO_CONTENT, [], b"")
