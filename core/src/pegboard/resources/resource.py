"""`Resource`: what a plugin declares and the core carries."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

from marshmallow import Schema
from sqlalchemy.orm import InstrumentedAttribute
from werkzeug.routing import IntegerConverter

from pegboard.api import Blueprint
from pegboard.cache import Dependence
from pegboard.resources import checks
from pegboard.resources.assembly import Assembly, orders_of, selected_columns, words_of
from pegboard.resources.declaration import (
    CRUD,
    Declaration,
    Filter,
    M,
    Operation,
    ResourceError,
)
from pegboard.resources.fast import add_fast_path
from pegboard.resources.operations import add_views
from pegboard.resources.overrides import mistakes_in_overrides
from pegboard.resources.representation import Representer
from pegboard.resources.schemas import Schemas, ShownFields, derive
from pegboard.resources.steps import Steps, note_resource
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
        # A text is refused as one, and not as the letters that it has.
        given: Collection[Any] = operations if isinstance(operations, str) else tuple(operations)
        declared = Declaration(
            name=name,
            noun=noun,
            model=model,
            schema=schema,
            url_prefix=f"/api/{name}" if url_prefix is None else url_prefix,
            operations=given,
            sort=sort,
            sort_keys=sort_keys,
            search=search,
            filters=filters,
            sparse=sparse,
            export=export,
            page_sizes=page_sizes,
            ttl=ttl,
            depends=depends,
            list_ttl=list_ttl,
        )
        super().__init__(name, noun, model, declared.url_prefix, declared.operations, ttl)
        declared.refuse_any(checks.mistakes_in_declaration(declared, self.overrides))
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
        schemas = derive(schema, model)
        self.shown = ShownFields(schemas.output(), schemas.input())
        """What clients call the attributes of the model."""
        self._use(declared, schemas)
        self.filters = tuple(filters)
        """What clients may filter by."""
        self.row_rule = f"/<row_id:{words_of(declared).identifier}_id>"
        self.blueprint = Blueprint(
            name, import_name, url_prefix=self.url_prefix, description=description
        )
        self.blueprint.record(lambda state: state.app.url_map.converters.update(row_id=RowId))
        self._add_views(declared, schemas, is_fast=fast)

    def _use(self, declared: Declaration[M], schemas: Schemas) -> None:
        """Take the schemas. Raises `ResourceError` for a declaration that does not fit them."""
        self.input, self.merge, self.output = schemas.input, schemas.merge, schemas.output
        self.represent = Representer(schemas.output, schemas.sparse)
        if Operation.REPLACE in self.operations:
            declared.refuse_any(self.left_out.mistakes())
        declared.refuse_any(
            checks.mistakes_in_answers(declared, schemas.output(), self.shown.name_of)
        )

    def _add_views(self, declared: Declaration[M], schemas: Schemas, *, is_fast: bool) -> None:
        """Add a view for each operation, and to it a fast path where there can be one."""
        orders = orders_of(declared, self.shown)
        self._primary = orders.primary
        self._columns = selected_columns(self, orders)
        assembly = Assembly(self, declared, schemas, self.shown, orders, self._columns)
        parts = assembly.parts(lambda: self._checked_page_sizes(declared), self._list_settings)
        for operation, view in add_views(self, parts):
            note_resource(view, self)
            if is_fast:
                add_fast_path(self, parts, operation, view)

    def _list_settings(self) -> str:
        """Return what lists of this app depend on besides: its settings, and the fields shown."""
        mode = get_settings(CoreSettings).resources_total
        return repr((self.page_sizes(), mode, list(self.output().dump_fields)))

    def _checked_page_sizes(self, declared: Declaration[M]) -> tuple[int, int]:
        """Return the page sizes; the document has the largest, so a wrong one stops the start."""
        sizes = self.page_sizes()
        mistake = checks.mistake_in_page_sizes(sizes)
        if mistake is not None:
            declared.refuse(mistake)
        return sizes
