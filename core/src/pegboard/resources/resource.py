"""`Resource`: what a plugin declares and the core carries."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NoReturn

from marshmallow import Schema
from sqlalchemy import Column, Row, inspect
from sqlalchemy.orm import InstrumentedAttribute
from werkzeug.routing import IntegerConverter

from pegboard.api import Blueprint, client_name
from pegboard.cache import Dependence
from pegboard.resources import checks
from pegboard.resources.cached_lists import collection_of
from pegboard.resources.conditions import Condition, conditions_of
from pegboard.resources.declaration import CRUD, Filter, Operation, ResourceError
from pegboard.resources.description import Words, id_parameter
from pegboard.resources.fast import add_fast_path
from pegboard.resources.list_statements import ListStatements
from pegboard.resources.listing import Listing
from pegboard.resources.operations import Parts, add_views
from pegboard.resources.ordering import Orders, SortKey
from pegboard.resources.overrides import mistakes_in_overrides
from pegboard.resources.plans import Plans
from pegboard.resources.query import ListQuery
from pegboard.resources.representation import Representer
from pegboard.resources.schemas import ShownFields, derive
from pegboard.resources.steps import M, Steps, note_resource
from pegboard.resources.totals import Totals
from pegboard.settings import CoreSettings, get_settings

_MAX_KEYS = 3
_PAGE_SIZE, _MAX_PAGE_SIZE = 20, 100


class RowId(IntegerConverter):
    """Matches a number without leading zeros; whether the table can hold it is for the view."""

    regex = "(?:0|[1-9][0-9]{0,99})"


class Resource(Steps[M]):
    """A REST resource over the rows of one model.

    Declare it by arguments, and put its `blueprint` into `pegboard_blueprints`::

        notes = pegboard.Resource("notes", __name__, Note, NoteSchema, noun="note",
            sort=[Note.id, Note.created_at], search=[Note.text])

    To change what it does, override in a subclass `rows`, `permit_read`, `permit_write`, `make` or
    `change`. To replace an operation, leave it out of `operations` and write a view of `blueprint`
    from `find`, `lock`, `save` and `represent`.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Raise `ResourceError` for a method that overrides a step wrongly, or almost."""
        super().__init_subclass__(**kwargs)
        for mistake in mistakes_in_overrides(cls, Resource):
            message = f"the class {cls.__qualname__} of a resource: {mistake}"
            raise ResourceError(message)

    def __init__(  # noqa: PLR0913 - a declaration, by names
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
        export: bool = False,
        page_sizes: Callable[[], tuple[int, int]] = lambda: (_PAGE_SIZE, _MAX_PAGE_SIZE),
        ttl: int | None = None,
        depends: Dependence = (),
        list_ttl: int | None = None,
        fast: bool = True,
    ) -> None:
        """Declare a resource.

        - `name`: the plural, and the blueprint's name. `noun`: the singular, as in `order line`;
          the variable in the URL of a row is named by it, as in `order_line_id`.
        - `schema`: of a row; its `dump_only` fields are read-only, its `load_only` ones write-only.
        - `url_prefix`: `/api/` and the name, if there is none.
        - `sort`: the columns that clients may sort by, the first by default; `sort_keys`: how many
          of them at once, three unless told otherwise.
        - `search`: the columns that `q` looks into. `filters`: those that clients may filter by.
        - `sparse`: whether `fields=` chooses the fields of a list.
        - `export`: whether a list is a file with all rows for `Accept: text/csv` and
          `application/x-ndjson`.
        - `page_sizes`: returns the default number of rows on a page and the largest; 20 and 100
          unless told otherwise.
        - `ttl`: seconds for which the answer about one row may be cached; None: it is not.
          `depends`: the other models, tables and foreign keys that the answer shows something of,
          as for `pegboard.cached`. The totals of lists are then cached, too, except with `q`.
        - `list_ttl`: seconds for which whole lists may be cached, except with `q`; None: they are
          not. Any write to the table, and to what is in `depends`, invalidates all of them.
        - `fast`: whether usual requests are answered by statements that are compiled once, where
          this gives the same answers.

        Raises `ResourceError` for a declaration that cannot work.
        """
        super().__init__(
            name, noun, model, f"/api/{name}" if url_prefix is None else url_prefix, operations, ttl
        )
        self._refuse_any(
            checks.mistakes_in_operations(operations),
            checks.mistakes_in_columns("sort", sort, model),
            checks.mistakes_in_columns("search", search, model),
        )
        self.sort = tuple(sort)
        """The columns that clients may sort by; if there are none, by the primary key."""
        self.sort_keys = sort_keys
        """How many of them a request may name, at most."""
        self.search = tuple(search)
        """The columns that `q` looks into."""
        self.sparse = sparse
        """Whether `fields=` chooses the fields of a list."""
        self.export = export
        """Whether a list can be had as a file with all rows."""
        self.page_sizes = page_sizes
        """Returns the default number of rows on a page and the largest."""
        self._check(schema, self.url_prefix, {"ttl": ttl, "list_ttl": list_ttl}, depends)
        of_lists = {"export": export, "sparse": sparse, "sort": sort, "search": search}
        of_lists["filters"] = filters
        self._refuse_any(checks.mistakes_in_lists(of_lists, self.operations))

        schemas = derive(schema, model)
        self.input, self.merge, self.output = schemas.input, schemas.merge, schemas.output
        if Operation.REPLACE in self.operations:
            self._refuse_any(self.left_out.mistakes())
        self.represent = Representer(schemas.output, schemas.sparse)
        self.shown = ShownFields(schemas.output(), schemas.input())
        """What clients call the attributes of the model."""
        self._primary = self._primary_key()
        if ttl is not None or list_ttl is not None:
            self._refuse_any(checks.mistakes_in_depends(schemas.output(), model, depends))

        words = Words(noun, name.replace("_", " "))
        identity = f"{words.identifier}_id"
        self.row_rule = f"/<row_id:{identity}>"
        self.blueprint = Blueprint(
            name, import_name, url_prefix=self.url_prefix, description=description
        )
        self.blueprint.record(lambda state: state.app.url_map.converters.update(row_id=RowId))

        self._refuse_any(checks.mistakes_in_filters(filters, model, self.shown.name_of))
        self.filters = tuple(filters)
        """What clients may filter by."""
        orders = Orders(list(self._sort_keys()), self._primary, sort_keys)
        conditions = self._conditions()
        self._columns = self._selected(orders)
        query = ListQuery(
            orders=orders,
            page_sizes=self._checked_page_sizes,
            conditions=conditions,
            searched=[self.shown.name_of(one.key) for one in search],
            shown=self._choices() if sparse else None,
            module=schema.__module__,
            plural=words.plural,
        )
        collection = collection_of(
            model, name, conditions.values(), depends, ttl=ttl, list_ttl=list_ttl
        )
        statements: ListStatements[M] = ListStatements(
            rows=self.rows,
            columns=self._columns,
            orders=orders,
            conditions=conditions,
            searched=[one.property.columns[0] for one in search],
            plans=None if self.overrides("rows") else Plans(),
        )
        listing = Listing(
            statements=statements,
            represent=self.represent,
            repeated=["page_size", "q", "sort", *conditions, "fields"],
            totals=Totals(collection, conditions),
        )
        parts = Parts(
            words=words,
            id_parameter=id_parameter(identity, self.largest_id),
            listed=schemas.sparse if sparse else schemas.output,
            query=query,
            listing=listing,
            collection=collection,
            fields_by_column={
                one.columns[0].name: self.shown.name_of(one.key)
                for one in inspect(model).column_attrs
                if isinstance(one.columns[0], Column) and self.shown.field_of(one.key)
            },
            list_ttl=list_ttl,
            list_settings=self._list_settings,
            depends=depends,
            is_exported=export,
        )
        for operation, view in add_views(self, parts):
            note_resource(view, self)
            if fast:
                add_fast_path(self, parts, operation, view)

    def _list_settings(self) -> str:
        """Return what lists of this app depend on besides: its settings, and the fields shown."""
        mode = get_settings(CoreSettings).resources_total
        return repr((self.page_sizes(), mode, list(self.output().dump_fields)))

    def _primary_key(self) -> SortKey:
        mapper = inspect(self.model)
        (column,) = mapper.primary_key
        name = mapper.get_property_by_column(column).key
        return self._sort_key(getattr(self.model, name))

    def _check(
        self,
        schema: object,
        url_prefix: object,
        times: Mapping[str, int | None],
        depends: Dependence,
    ) -> None:
        """Refuse what is wrong whatever the schemas are that follow."""
        words = Words(self.noun, str(self.name))
        self._refuse_any(
            checks.mistakes_in_names(self.name, words, url_prefix, self.operations),
            checks.mistakes_in_model(self.model),
            checks.mistakes_in_schema(schema, self.model),
            checks.mistakes_in_numbers(self.sort_keys, self.page_sizes),
            checks.mistakes_in_times(times, depends, self.operations, self.overrides),
        )

    def _checked_page_sizes(self) -> tuple[int, int]:
        """Return the page sizes; the document has the largest, so a wrong one stops the start."""
        sizes = self.page_sizes()
        mistake = checks.mistake_in_page_sizes(sizes)
        if mistake is not None:
            self._refuse(mistake)
        return sizes

    def _sort_keys(self) -> Iterator[SortKey]:
        if not self.sort:
            yield self._primary
        for one in self.sort:
            yield self._sort_key(one)

    def _sort_key(self, attribute: InstrumentedAttribute[Any]) -> SortKey:
        key = SortKey.of(attribute, self.shown.name_of(attribute.key))
        if key is None:
            self._refuse(f"lists cannot be sorted by {attribute.key}: its values have no order")
        return key

    def _conditions(self) -> dict[str, Condition]:
        try:
            return {one.name: one for one in conditions_of(self.filters, self.shown)}
        except ValueError as error:
            self._refuse(str(error))

    def _choices(self) -> Mapping[str, str]:
        """Return the fields of answers by what clients call them."""
        fields = self.output().dump_fields
        return {client_name(name, field): name for name, field in fields.items()}

    def _selected(self, orders: Orders) -> Sequence[Any] | None:
        """Return the columns that answers and cursors need; None if they need the objects."""
        attributes = inspect(self.model).column_attrs
        shown = [field.attribute or name for name, field in self.output().dump_fields.items()]
        if self.overrides("permit_read") or not all(name in attributes for name in shown):
            return None
        sorted_by = (key.name for key in orders.keys.values())
        needed = dict.fromkeys((*shown, self._primary.name, *sorted_by))
        # A row of columns has attributes of its own, of which these two give way to columns.
        if any(hasattr(Row, name) for name in needed.keys() - {"count", "index"}):
            return None
        return [getattr(self.model, name) for name in needed]

    def _refuse_any(self, *mistakes: Iterable[str]) -> None:
        for mistake in chain(*mistakes):
            self._refuse(mistake)

    def _refuse(self, reason: str) -> NoReturn:
        message = f"the resource {self.name}: {reason}"
        raise ResourceError(message)
