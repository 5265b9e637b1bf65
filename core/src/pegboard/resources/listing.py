"""Lists of a resource: a page by its number, or by a cursor."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from flask import Response, request
from sqlalchemy import ColumnElement, Select, bindparam, func, inspect, or_, select
from sqlalchemy.orm import Session, selectinload
from sqlalchemy.orm.interfaces import ORMOption

from pegboard.database import db
from pegboard.http import encode_json, preference
from pegboard.resources.conditions import Condition
from pegboard.resources.declaration import Comparison
from pegboard.resources.expressions import contains, like_pattern
from pegboard.resources.keyset import place_parameter, segments
from pegboard.resources.ordering import Orders
from pegboard.resources.pagination import paginate, paginate_uncounted
from pegboard.resources.query import Wanted
from pegboard.resources.representation import Representer
from pegboard.resources.totals import Totals
from pegboard.settings import CoreSettings, get_settings

PAGINATION = "X-Pagination"
TOTAL_ON_REQUEST = "request"
"""The value of `PEGBOARD_RESOURCES_TOTAL` with which a total is told only to those who ask."""

_RELATIONS = {
    "first": "first_page",
    "prev": "previous_page",
    "next": "next_page",
    "last": "last_page",
}
_SEARCH, _LIMIT, _OFFSET = "search", "page_limit", "page_offset"
_MAX_PLANS = 500
_BATCH = 1000

R = TypeVar("R")
Statement = Select[Any]


class Plans:
    """The statements of one resource by their shapes, so that each is built once.

    A shape is all that has a say in the statement's text; what clients send besides are parameters.
    """

    def __init__(self, size: int = _MAX_PLANS) -> None:
        self._size = size
        self._plans: OrderedDict[Hashable, Sequence[Statement]] = OrderedDict()
        self._lock = Lock()

    def get(self, shape: Hashable, build: Callable[[], Sequence[Statement]]) -> Sequence[Statement]:
        """Return the statements of a shape; the least recently used one makes room for another."""
        with self._lock:
            if (found := self._plans.get(shape)) is not None:
                self._plans.move_to_end(shape)
                return found
        built = build()
        with self._lock:
            self._plans[shape] = built
            if len(self._plans) > self._size:
                self._plans.popitem(last=False)
        return built


@dataclass(frozen=True)
class Listing(Generic[R]):
    """What the lists of one resource are made of."""

    rows: Callable[[], Statement]
    """The rows that the client may see."""
    columns: Sequence[ColumnElement[Any]] | None
    """What is selected of them; None for the objects of the model."""
    orders: Orders
    conditions: Mapping[str, Condition]
    searched: Sequence[ColumnElement[Any]]
    represent: Representer[R]
    repeated: Sequence[str]
    """The parameters that every link of the answer repeats."""
    plans: Plans | None
    """None where the rows are not the same for every client."""
    totals: Totals

    def response(self, wanted: Wanted) -> Response:
        """Return the answer with the rows of the page, and links to other pages."""
        return self._cursor_page(wanted) if wanted.is_by_cursor else self._numbered_page(wanted)

    def _numbered_page(self, wanted: Wanted) -> Response:
        if get_settings(CoreSettings).resources_total != TOTAL_ON_REQUEST:
            return self._counted_page(wanted)
        if preference("count") == "exact":
            response = self._counted_page(wanted)
            response.headers["Preference-Applied"] = "count=exact"
        else:
            response = self._uncounted_page(wanted)
        response.vary.add("Prefer")
        return response

    def _uncounted_page(self, wanted: Wanted) -> Response:
        """Return a page without a total; one row more than wanted shows whether there is a next."""
        _, page = self._plan(wanted, lambda: self._numbered(wanted))
        place = {_LIMIT: wanted.page_size + 1, _OFFSET: (wanted.page - 1) * wanted.page_size}
        found = self._execute(page, self._parameters(wanted) | place)
        rows = found[: wanted.page_size]
        pagination = paginate_uncounted(
            wanted.page, wanted.page_size, is_empty=not rows, has_more=len(found) > len(rows)
        )
        return self._answer(rows, wanted, pagination, self._links(pagination))

    def _counted_page(self, wanted: Wanted) -> Response:
        counting, page = self._plan(wanted, lambda: self._numbered(wanted))
        parameters = self._parameters(wanted)
        total = self.totals.get(
            wanted.conditions,
            wanted.search,
            lambda: db.session.execute(counting, parameters).scalar_one(),
        )
        place = {_LIMIT: wanted.page_size, _OFFSET: (wanted.page - 1) * wanted.page_size}
        rows = self._execute(page, parameters | place)
        pagination = paginate(total, wanted.page, wanted.page_size)
        return self._answer(rows, wanted, pagination, self._links(pagination))

    def _cursor_page(self, wanted: Wanted) -> Response:
        parameters = self._parameters(wanted)
        # One row more than wanted shows whether there is a next page, without counting.
        rows: list[R] = []
        for statement in self._plan(wanted, lambda: self._by_cursor(wanted)):
            left = wanted.page_size + 1 - len(rows)
            rows += self._execute(statement, parameters | {_LIMIT: left})
            if len(rows) > wanted.page_size:
                break
        pagination: dict[str, Any] = {"page_size": wanted.page_size}
        links = []
        if len(rows) > wanted.page_size:
            rows.pop()
            cursor = self.orders.encode(rows[-1])
            pagination["next_after"] = cursor
            links.append(self._link("next", after=cursor))
        return self._answer(rows, wanted, pagination, links)

    def everything(self, wanted: Wanted) -> tuple[Statement, Mapping[str, Any]]:
        """Return the statement, and its parameters, for all rows of a request, in its order."""
        order = (term.clause() for term in wanted.order)
        statement = self._selecting(self._matching(wanted)).order_by(*order)
        if self.columns is None:
            model = statement.column_descriptions[0]["entity"]
            statement = statement.options(*_loaded_in_batches(model))
        return statement, self._parameters(wanted)

    def scroll(
        self, session: Session, statement: Statement, parameters: Mapping[str, Any]
    ) -> Iterable[R]:
        """Return the rows of a statement, read in batches from a cursor of the server."""
        options = {"yield_per": _BATCH}
        result: Any = session.execute(statement, parameters, execution_options=options)
        return result.scalars() if self.columns is None else result  # type: ignore[no-any-return]

    def _execute(self, statement: Statement, parameters: Mapping[str, Any]) -> Sequence[R]:
        result: Any = db.session.execute(statement, parameters)
        if self.columns is None:
            # A relationship that is loaded by a join gives an object several times.
            result = result.scalars().unique()
        return result.all()  # type: ignore[no-any-return]

    def _answer(
        self, rows: Sequence[R], wanted: Wanted, pagination: Mapping[str, Any], links: Sequence[str]
    ) -> Response:
        response = self.represent.list_response(rows, fields=wanted.fields)
        response.headers[PAGINATION] = encode_json(pagination).decode()
        if links:
            response.headers["Link"] = ", ".join(links)
        return response

    def _links(self, pagination: Mapping[str, int]) -> list[str]:
        return [
            self._link(relation, page=pagination[field])
            for relation, field in _RELATIONS.items()
            if field in pagination
        ]

    def _link(self, relation: str, **page: int | str) -> str:
        # Relative, so that no Host header of a client gets into an answer.
        sent = {name: request.args[name] for name in self.repeated if name in request.args}
        query = urlencode({**sent, **page})
        return f'<{request.script_root}{request.path}?{query}>; rel="{relation}"'

    def _plan(
        self, wanted: Wanted, build: Callable[[], Sequence[Statement]]
    ) -> Sequence[Statement]:
        return build() if self.plans is None else self.plans.get(self._shape(wanted), build)

    def _shape(self, wanted: Wanted) -> Hashable:
        """Return all of a request that has a say in the text of its statements."""
        place = wanted.after
        return (
            wanted.is_by_cursor,
            wanted.sort,
            bool(wanted.search),
            None if place is None else tuple(value is None for value in place.values()),
            tuple(
                (name, value if self._is_in_text(name) else None)
                for name, value in wanted.conditions.items()
            ),
        )

    def _is_in_text(self, name: str) -> bool:
        return self.conditions[name].comparison is Comparison.NULL

    def _parameters(self, wanted: Wanted) -> dict[str, Any]:
        found = {
            self.conditions[name].parameter: value
            for name, value in wanted.conditions.items()
            if not self._is_in_text(name)
        }
        if wanted.search:
            found[_SEARCH] = like_pattern(wanted.search)
        if wanted.after is not None:
            keys = {term.key.name for term in wanted.order}
            found |= {
                place_parameter(name): value
                for name, value in wanted.after.items()
                if name in keys and value is not None
            }
        return found

    def _numbered(self, wanted: Wanted) -> Sequence[Statement]:
        """Return the statement that counts, and that of a page."""
        matching = self._matching(wanted)
        page = (
            self._selecting(matching)
            .order_by(*(term.clause() for term in wanted.order))
            .limit(bindparam(_LIMIT))
            .offset(bindparam(_OFFSET))
        )
        found = func.count() if self.plans is not None else self.orders.primary.column
        counting = matching.order_by(None).with_only_columns(found, maintain_column_froms=True)
        if self.plans is None:
            # A plugin's statement may be DISTINCT, which a count beside it would not see.
            counting = select(func.count()).select_from(counting.subquery())
        return [counting, page]

    def _by_cursor(self, wanted: Wanted) -> Sequence[Statement]:
        """Return the statements whose rows, one after the other, are those after the place."""
        matching = self._selecting(self._matching(wanted))
        return [
            (matching if condition is None else matching.where(condition))
            .order_by(*order)
            .limit(bindparam(_LIMIT))
            for condition, order in segments(wanted.order, wanted.after)
        ]

    def _matching(self, wanted: Wanted) -> Statement:
        """Return the rows that the request's filters and its search leave, without an order."""
        statement = self.rows().order_by(None)
        for name, value in wanted.conditions.items():
            statement = statement.where(self.conditions[name].clause(value))
        if wanted.search:
            pattern: ColumnElement[str] = bindparam(_SEARCH)
            statement = statement.where(or_(*(contains(one, pattern) for one in self.searched)))
        return statement

    def _selecting(self, statement: Statement) -> Statement:
        if self.columns is None:
            return statement
        return statement.with_only_columns(*self.columns, maintain_column_froms=True)


def _loaded_in_batches(model: type[Any]) -> Iterator[ORMOption]:
    """Yield options for relationships that cannot be loaded as they say while rows are streamed."""
    for relationship in inspect(model).relationships:
        if relationship.uselist and relationship.lazy in {"joined", False, "subquery"}:
            yield selectinload(getattr(model, relationship.key))
