"""The steps of which the operations of a resource are made, and from which views can be."""

from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from http import HTTPStatus
from typing import Any, Generic, NoReturn

from flask import request
from marshmallow import Schema
from sqlalchemy import Select, bindparam, inspect, select

from pegboard.api import MISSING_COMPLAINT, Blueprint
from pegboard.database import db
from pegboard.http import VALIDATION_MESSAGE, APIError, abort, require_preconditions
from pegboard.resources.declaration import M, Operation
from pegboard.resources.defaults import LeftOut
from pegboard.resources.kinds import integer_range, is_of_type, is_returned_as_sent
from pegboard.resources.ordering import SortKey
from pegboard.resources.representation import Representer
from pegboard.resources.schemas import Values

ROW_ID = "row_id"
"""The parameter of statements for the primary key."""

_RELOADED = 500
"""Rows that are reloaded by one statement."""

_RESOURCE = "_pegboard_resource"


def note_resource(view: Callable[..., Any], resource: "Steps[Any]") -> None:
    """Note at the view of an operation whose it is."""
    setattr(view, _RESOURCE, resource)


def resource_of(view: Callable[..., Any]) -> "Steps[Any] | None":
    """Return the resource of which a view, also below other decorators, is an operation."""
    found: Steps[Any] | None = getattr(view, _RESOURCE, None)
    return found


class Steps(Generic[M]):
    """Reading and writing the rows of a resource; a subclass may override the first five."""

    row_rule: str
    """The rule of a row's URL within the blueprint, as `/<row_id:review_id>` of a `review`."""
    blueprint: Blueprint
    """What `pegboard_blueprints` returns; a plugin may add views to it."""
    input: type[Schema]
    """The schema of a body that creates or replaces a row."""
    merge: type[Schema]
    """The schema of a merge patch."""
    output: type[Schema]
    """The schema of a row in an answer."""
    represent: Representer[M]
    """Makes the JSON of rows, their `ETag` and answers with them."""
    _primary: SortKey
    _columns: Sequence[Any] | None

    def __init__(
        self,
        name: str,
        noun: str,
        model: type[M],
        url_prefix: str,
        operations: Collection[Operation],
        ttl: int | None,
    ) -> None:
        """Take what `Resource` is declared with."""
        self.name = name
        """The plural, and the name of the blueprint."""
        self.noun = noun
        """What one row is called."""
        self.model = model
        """The model of the rows."""
        self.url_prefix = url_prefix
        """The path of the list without its last slash, as `/api/reviews`."""
        self.operations = frozenset(operations)
        """What clients can do."""
        self.ttl = ttl
        """Seconds for which the answer about one row may be cached; None: it is not."""

    def rows(self) -> Select[tuple[M]]:
        """Return the rows that the client of the current request may see; all by default."""
        return select(self.model)

    def permit_read(self, operation: Operation, row: M | None = None) -> None:
        """End the request with `pegboard.abort(403, ...)` if its client may not read.

        Called before a list is read, and with each row that is got.
        """

    def permit_write(self, operation: Operation, row: M | None = None) -> None:
        """End the request with `pegboard.abort(403, ...)` if its client may not write.

        Called before a row is made, or with the row that is to be changed or deleted.
        """

    def make(self, values: Values) -> M:
        """Return a new row with these values, which are by attribute; it is saved afterwards."""
        return self.model(**values)

    def change(self, row: M, values: Values) -> None:
        """Give a row other values by attribute: a whole `replacement`, or what a patch changes."""
        for name, value in values.items():
            setattr(row, name, value)

    def replacement(self, values: Values) -> Values:
        """Return the values of a whole row, of a body that may leave some out.

        These get what a new row would: the default of the model's column, else null. Only those
        that no answer shows are not among the values.
        """
        return self.left_out.filled(values)

    @cached_property
    def left_out(self) -> LeftOut:
        """The fields that a body may leave out, and what they become when it replaces a row."""
        return LeftOut(self.model, self.input())

    def find(self, row_id: int) -> M:
        """Return a row that the client may see; ends the request with 404 if there is none."""
        return self._first(row_id, self._of(row_id))

    def find_referred(self, row_id: int, field: str) -> M:
        """Return a row that a body refers to; ends the request with 422 if there is none.

        For `make` and `change` of a resource whose rows refer to these. `field` is what clients
        call the field that refers. A row that the client may not see is as one that is not there.
        """
        row = self._seek(row_id, self._of(row_id)) if self._is_id(row_id) else None
        if row is None:
            errors = {field: [MISSING_COMPLAINT]}
            abort(HTTPStatus.UNPROCESSABLE_ENTITY, VALIDATION_MESSAGE, errors=errors)
        return row

    def lock(self, row_id: int, operation: Operation | None = None) -> M:
        """Return a row that nobody else changes until this transaction ends.

        Ends the request with 404 if there is none that the client may see; with an `operation` as
        `permit_write` does, if the client may not write the row; and with 412 if its preconditions
        do not hold (RFC 9110, section 13). Call it inside `pegboard.transactional`.
        """
        row = self.lock_unconditionally(row_id)
        if operation is not None:
            self.permit_write(operation, row)
        require_preconditions(self.represent.of(row).etag)
        return row

    def lock_unconditionally(self, row_id: int) -> M:
        """Return a row as `lock` does, whatever the preconditions say.

        For a view that has more to check before them. On SQLite, which has no row locks, a writing
        transaction excludes all others from its beginning.
        """
        statement = self._of(row_id)
        if _is_of_several(statement):
            # PostgreSQL locks no rows by such a statement: what it selects is read under the lock.
            own: Any = select(self.model).where(self._primary.column == bindparam(ROW_ID))
            self._first(row_id, own.with_for_update(of=self.model))
        else:
            statement = statement.with_for_update(of=self.model)
        return self._first(row_id, statement.execution_options(populate_existing=True))

    def make_all(self, rows: Sequence[Values]) -> list[M]:
        """Return new rows as `make` does one; the fields that it refuses get the row's place."""
        made = []
        for place, values in enumerate(rows):
            try:
                made.append(self.make({**values}))
            except APIError as error:
                if error.errors:
                    error.errors = {str(place): error.errors}
                raise
        return made

    def save(self, row: M) -> None:
        """Write a row, new or changed, within the transaction.

        What the database refuses ends the request with 409 or 422 and the fields at fault.
        """
        self.save_all([row])

    def save_all(self, rows: Sequence[M]) -> None:
        """Write several rows as `save` does one."""
        db.session.add_all(rows)
        db.session.flush()
        if self._is_read_again or not all(map(self._has_typed_values, rows)):
            self._reload(rows)

    def _has_typed_values(self, row: M) -> bool:
        values = vars(row)
        return all(is_of_type(values.get(name), kind) for name, kind in self._python_types)

    @cached_property
    def _python_types(self) -> Sequence[tuple[str, type]]:
        """The columns by attribute, with the types of their values."""
        types = {one.key: one.columns[0].type for one in inspect(self.model).column_attrs}
        return [
            (name, type_.python_type) for name, type_ in types.items() if is_returned_as_sent(type_)
        ]

    def _reload(self, rows: Sequence[M]) -> None:
        """Give rows the values that the next request will read, so that their `ETag` is its."""
        key = self._primary
        for start in range(0, len(rows), _RELOADED):
            ids = [getattr(row, key.name) for row in rows[start : start + _RELOADED]]
            statement = select(self.model).where(key.column.in_(ids))
            current = statement.execution_options(populate_existing=True)
            db.session.scalars(current).unique().all()

    @cached_property
    def _is_read_again(self) -> bool:
        """Whether a row may be shown otherwise once it is read than right after it was written.

        The database may give back another form of a value than it was sent, and an object that a
        relationship has loaded stays when the foreign key is changed.
        """
        mapper = inspect(self.model)
        if not all(is_returned_as_sent(column.type) for column in mapper.columns):
            return True
        shown = self.output().dump_fields
        names = {field.attribute or name for name, field in shown.items()}
        return bool(mapper.relationships) and not names <= {*mapper.column_attrs.keys()}

    def url_of(self, row: M) -> str:
        """Return the path of a row's URL, with the path prefix of the request."""
        return f"{request.script_root}{self.url_prefix}/{getattr(row, self._primary.name)}"

    def overrides(self, step: str) -> bool:
        """Return whether a subclass has its own version of a step."""
        return getattr(type(self), step) is not getattr(Steps, step)

    def _of(self, row_id: int) -> Select[tuple[M]]:
        self.check_id(row_id)
        return self.rows().where(self._primary.column == bindparam(ROW_ID))

    def _first(self, row_id: int, statement: Select[tuple[M]]) -> M:
        row = self._seek(row_id, statement)
        if row is None:
            self.not_found(row_id)
        return row

    def _seek(self, row_id: int, statement: Select[tuple[M]]) -> M | None:
        found: Any = db.session.execute(statement, {ROW_ID: row_id}).scalars().first()
        return found  # type: ignore[no-any-return]  # mypy takes it for a tuple

    @cached_property
    def largest_id(self) -> int:
        """The largest number that the primary key can hold."""
        return integer_range(self._primary.column.type)[1]

    def check_id(self, row_id: int) -> None:
        """End the request with 404 for a number that is no id, before the database fails on it."""
        if not self._is_id(row_id):
            self.not_found(row_id)

    def _is_id(self, row_id: int) -> bool:
        return 1 <= row_id <= self.largest_id

    def not_found(self, row_id: int) -> NoReturn:
        """End the request with 404."""
        abort(HTTPStatus.NOT_FOUND, f"There is no {self.noun} {row_id}.")

    def read(self, row_id: int) -> M:
        """Return a row to be shown, which need not be an object of the session."""
        if self._statement_for_one is None:
            row = self.find(row_id)
            self.permit_read(Operation.GET, row)
            return row
        self.check_id(row_id)
        found: Any = db.session.execute(self._statement_for_one, {ROW_ID: row_id}).first()
        if found is None:
            self.not_found(row_id)
        return found  # type: ignore[no-any-return]  # a row has the attributes that are shown

    @cached_property
    def _statement_for_one(self) -> Select[Any] | None:
        columns = self._columns
        if columns is None or self.overrides("rows"):
            return None
        return select(*columns).where(self._primary.column == bindparam(ROW_ID))


def _is_of_several(statement: Select[Any]) -> bool:
    """Return whether a row of a statement may be made of several, by DISTINCT or GROUP BY."""
    # There is no public way to ask.
    return bool(statement._distinct or statement._group_by_clauses)  # noqa: SLF001
