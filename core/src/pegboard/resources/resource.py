"""`Resource`: what a plugin declares and the core carries."""

from collections.abc import Callable, Collection, Sequence
from http import HTTPStatus
from typing import Any, ClassVar, Generic, NoReturn, TypeVar

from flask import request
from marshmallow import Schema
from sqlalchemy import Integer, Select, Table, UniqueConstraint, bindparam, inspect, select
from sqlalchemy.orm import DeclarativeBase, InstrumentedAttribute
from werkzeug.routing import IntegerConverter

from pegboard.api import Blueprint
from pegboard.database import db
from pegboard.http import abort, require_preconditions
from pegboard.resources.declaration import CRUD, Filter, Operation, ResourceError
from pegboard.resources.description import Words, id_parameter
from pegboard.resources.kinds import integer_range
from pegboard.resources.listing import Listing, Plans
from pegboard.resources.operations import add_views
from pegboard.resources.ordering import Orders, SortKey
from pegboard.resources.query import ListQuery, conditions_of
from pegboard.resources.representation import Representer
from pegboard.resources.schemas import Values, derive

M = TypeVar("M", bound=DeclarativeBase)

_MAX_KEYS = 3
_PAGE_SIZE, _MAX_PAGE_SIZE = 20, 100
_ROW_ID = "row_id"


class RowId(IntegerConverter):
    """Matches a number without leading zeros; whether the table can hold it is for the view."""

    regex = "(?:0|[1-9][0-9]{0,99})"


class Resource(Generic[M]):
    """A REST resource over the rows of one model.

    Declare it by arguments, and put its `blueprint` into `pegboard_blueprints`::

        notes = pegboard.Resource("notes", __name__, Note, NoteSchema, noun="note",
            sort=[Note.id, Note.created_at], search=[Note.text])

    To change what it does, override in a subclass `rows`, `permit_read`, `permit_write`, `make` or
    `change`. To replace an operation, leave it out of `operations` and write a view of `blueprint`
    from `find`, `lock`, `save` and `represent`.
    """

    _STEPS: ClassVar = ("rows", "permit_read", "permit_write", "make", "change")

    def __init__(
        self,
        name: str,
        import_name: str,
        model: type[M],
        schema: type[Schema],
        *,
        noun: str,
        description: str = "",
        url_prefix: str | None = None,
        operations: Collection[Operation] = CRUD,
        sort: Sequence[InstrumentedAttribute[Any]] = (),
        sort_keys: int = _MAX_KEYS,
        search: Sequence[InstrumentedAttribute[Any]] = (),
        filters: Sequence[Filter] = (),
        sparse: bool = False,
        page_sizes: Callable[[], tuple[int, int]] = lambda: (_PAGE_SIZE, _MAX_PAGE_SIZE),
        ttl: int | None = None,
        depends: Sequence[type[DeclarativeBase] | Table] = (),
    ) -> None:
        """Declare a resource.

        - `name`: the plural, and the name of the blueprint; `noun`: the singular, as in `order line`.
        - `schema`: of a row; its `dump_only` fields are read-only, its `load_only` ones write-only.
        - `url_prefix`: `/api/` and the name, if there is none.
        - `sort`: the columns that clients may sort by, the first by default; `sort_keys`: how many
          of them at once.
        - `search`: the columns that `q` looks into. `filters`: those that clients may filter by.
        - `sparse`: whether `fields=` chooses the fields of a list.
        - `page_sizes`: returns the default number of rows on a page and the largest.
        - `ttl`: seconds for which the answer about one row may be cached; None: it is not. `depends`:
          other tables whose rows it has something of; see `pegboard.cached`.

        Raises `ResourceError` for a declaration that cannot work.
        """
        self.name = name
        self.model = model
        self.words = Words(noun, name.replace("_", " "))
        self.url_prefix = f"/api/{name}" if url_prefix is None else url_prefix
        self.operations = frozenset(operations)
        self.ttl, self.depends = ttl, depends
        self._mapper = inspect(model)
        table = self._mapper.local_table
        if not isinstance(table, Table):
            self._refuse(f"{model.__name__} has no table of its own")
        self.table = table
        self._primary = self._primary_key()
        self._largest_id = integer_range(self._primary.column.type)[1]
        schemas = derive(schema)
        self.input, self.merge, self.output = schemas.input, schemas.merge, schemas.output
        self.listed = schemas.sparse if sparse else schemas.output
        self.represent: Representer[M] = Representer(schemas.output, schemas.sparse)
        self.blueprint = Blueprint(
            name, import_name, url_prefix=self.url_prefix, description=description
        )
        self.blueprint.record(lambda state: state.app.url_map.converters.update(row_id=RowId))
        self._id_name = f"{self.words.identifier}_id"
        self.row_rule = f"/<{_ROW_ID}:{self._id_name}>"
        """The rule of a row's URL within the blueprint."""
        self.id_parameter = id_parameter(self._id_name, self._largest_id)
        self._check(ttl)
        orders = Orders(self._sort_keys(sort), self._primary, sort_keys)
        conditions = {one.name: one for one in conditions_of(filters)}
        names = list(self.output().dump_fields)
        query = ListQuery(
            orders,
            page_sizes,
            conditions,
            [one.key for one in search],
            names if sparse else None,
            [key.name for key in orders.keys.values() if key.is_indexed],
        )
        self.list_query = query.schema(schema.__module__, self.words.plural)
        self.listing: Listing[M] = Listing(
            self.rows,
            self._columns(orders),
            orders,
            conditions,
            [one.property.columns[0] for one in search],
            self.represent,
            ["page_size", "q", "sort", *conditions, "fields"],
            None if self.overrides("rows") else Plans(),
        )
        self._one = self._statement_for_one()
        add_views(self)

    # What a subclass may override.

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
        """Give a row other values, by attribute: all that a client may write, or those of a patch."""
        for name, value in values.items():
            setattr(row, name, value)

    # Steps that a view may use.

    def find(self, row_id: int) -> M:
        """Return a row that the client may see; ends the request with 404 if there is none."""
        self._check_id(row_id)
        statement = self.rows().where(self._primary.column == row_id)
        row = db.session.scalars(statement).first()
        if row is None:
            self._not_found(row_id)
        return row

    def lock(self, row_id: int) -> M:
        """Return a row that nobody else changes until this transaction ends.

        Ends the request with 404 if there is none that the client may see, and with 412 if its
        preconditions do not hold (RFC 9110, section 13). Call it inside `pegboard.transactional`.
        """
        row = self.locked(row_id)
        require_preconditions(self.represent.of(row).etag)
        return row

    def save(self, row: M) -> None:
        """Write a row, new or changed, within the transaction.

        What the database refuses ends the request with 409 or 422 and the fields at fault.
        """
        db.session.add(row)
        db.session.flush()

    def url_of(self, row: M) -> str:
        """Return the path of a row's URL, with the prefix of the request."""
        return f"{request.script_root}{self.url_prefix}/{getattr(row, self._primary.name)}"

    # For the views of this package.

    def locked(self, row_id: int) -> M:
        """Return a locked row, whatever the preconditions say.

        On SQLite, which has no row locks, a writing transaction excludes all others from its
        beginning.
        """
        self._check_id(row_id)
        statement = (
            self.rows().where(self._primary.column == row_id).with_for_update(of=self.model)
        )
        row = db.session.scalars(statement.execution_options(populate_existing=True)).first()
        if row is None:
            self._not_found(row_id)
        return row

    def read(self, row_id: int) -> M:
        """Return a row to be shown, which need not be an object of the session."""
        if self._one is None:
            row = self.find(row_id)
            self.permit_read(Operation.GET, row)
            return row
        self._check_id(row_id)
        found: Any = db.session.execute(self._one, {_ROW_ID: row_id}).first()
        if found is None:
            self._not_found(row_id)
        return found  # type: ignore[no-any-return]  # a row has the attributes that are shown

    def overrides(self, step: str) -> bool:
        """Return whether a subclass has its own version of a step."""
        return getattr(type(self), step) is not getattr(Resource, step)

    @property
    def has_constraints(self) -> bool:
        """Whether a write can conflict with other rows."""
        return bool(self.table.foreign_keys) or any(
            isinstance(one, UniqueConstraint) for one in self.table.constraints
        ) or any(index.unique for index in self.table.indexes)

    # How it is put together.

    def _primary_key(self) -> SortKey:
        keys = self._mapper.primary_key
        if len(keys) != 1 or not isinstance(keys[0].type, Integer):
            self._refuse(f"the primary key of {self.model.__name__} must be one column of integers")
        name = self._mapper.get_property_by_column(keys[0]).key
        key = SortKey.of(getattr(self.model, name))
        assert key is not None  # noqa: S101 - integers have an order
        return key

    def _sort_keys(self, attributes: Sequence[InstrumentedAttribute[Any]]) -> list[SortKey]:
        return [self._sort_key(one) for one in attributes] or [self._primary]

    def _sort_key(self, attribute: InstrumentedAttribute[Any]) -> SortKey:
        key = SortKey.of(attribute)
        if key is None:
            self._refuse(f"lists cannot be sorted by {attribute.key}: its values have no order")
        return key

    def _check(self, ttl: int | None) -> None:
        if ttl is not None and (self.overrides("rows") or self.overrides("permit_read")):
            self._refuse(
                "a resource with `ttl` must not override rows or permit_read, as a cached answer is "
                "given to every client; leave out one of the two"
            )

    def _columns(self, orders: Orders) -> Sequence[Any] | None:
        """Return the columns that answers and cursors need; None if they need the objects."""
        attributes = self._mapper.column_attrs
        shown = [
            field.attribute or name for name, field in self.output().dump_fields.items()
        ]
        if self.overrides("permit_read") or not all(name in attributes for name in shown):
            return None
        needed = dict.fromkeys((*shown, self._primary.name, *orders.keys))
        return [getattr(self.model, name) for name in needed]

    def _statement_for_one(self) -> Select[Any] | None:
        columns = self.listing.columns
        if columns is None or self.overrides("rows"):
            return None
        return select(*columns).where(self._primary.column == bindparam(_ROW_ID))

    def _check_id(self, row_id: int) -> None:
        """End the request with 404 for a number that is no id, before the database fails on it."""
        if not 1 <= row_id <= self._largest_id:
            self._not_found(row_id)

    def _not_found(self, row_id: int) -> NoReturn:
        abort(HTTPStatus.NOT_FOUND, f"There is no {self.words.noun} {row_id}.")

    def _refuse(self, reason: str) -> NoReturn:
        message = f"the resource {self.name}: {reason}"
        raise ResourceError(message)

