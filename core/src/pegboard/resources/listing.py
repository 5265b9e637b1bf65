"""Lists of a resource: a page by its number, or by a cursor."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import urlencode

from flask import Flask, Response, request
from sqlalchemy import ColumnElement, Select, bindparam, func, inspect, or_, select
from sqlalchemy.orm import Session, selectinload
from sqlalchemy.orm.interfaces import ORMOption

from pegboard.cache import get_cache
from pegboard.database import db
from pegboard.http import encode_json, preference
from pegboard.resources.conditions import Condition
from pegboard.resources.declaration import Comparison
from pegboard.resources.expressions import contains, like_pattern
from pegboard.resources.keyset import place_parameter, segments
from pegboard.resources.ordering import Orders
from pegboard.resources.pagination import paginate, paginate_uncounted
from pegboard.resources.plans import Plans
from pegboard.resources.query import Wanted
from pegboard.resources.representation import Representer
from pegboard.resources.totals import Totals
from pegboard.settings import CoreSettings, get_settings
from pegboard.stages import result_of

PAGINATION = "X-Pagination"
TOTAL_ON_REQUEST = "request"
"""The value of `PEGBOARD_RESOURCES_TOTAL` with which a total is told only to those who ask."""
TOTAL = "pegboard_total"
"""The name of the column with the number of rows."""

_RELATIONS = {
    "first": "first_page",
    "prev": "previous_page",
    "next": "next_page",
    "last": "last_page",
}
_SEARCH, _LIMIT, _OFFSET = "search", "page_limit", "page_offset"
_BATCH = 1000

R = TypeVar("R")
Statement = Select[Any]


@dataclass(frozen=True)
class Location:
    """The URL of a list request, to which links are made."""

    path: str
    """The path, with the prefix of the request."""
    arguments: Mapping[str, str]
    """The parameters of the query, by name."""


@dataclass(frozen=True)
class Page(Generic[R]):
    """The rows of a page, and the headers that tell of other pages."""

    rows: Sequence[R]
    headers: Sequence[tuple[str, str]]


@dataclass(eq=False)
class ListRequest:
    """A list request, and the statements that answer it."""

    wanted: Wanted
    location: Location
    statements: Sequence[Any]
    """For a page by number the one that counts, and that of the page."""
    parameters: Mapping[str, Any]
    told: tuple[int | None, Sequence[tuple[str, str]]] = (None, ())
    """The last total, and the headers that tell of it."""


class Reads(Protocol):
    """Reads the database for a list, by statements as `Listing.prepare` has returned them."""

    async def rows(self, statement: Any, parameters: Mapping[str, Any]) -> Sequence[Any]:
        """Return the rows of a statement."""

    def named(self, statement: Any, row: Any) -> Any:
        """Return a row of a statement with the values of its columns as attributes."""

    async def total(self, wanted: Wanted, statement: Any, parameters: Mapping[str, Any]) -> int:
        """Return the number of rows that a request's filters leave, which the statement counts."""


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
    prepare: Callable[[Statement], Any] = lambda statement: statement
    """Makes of a statement what is kept of it."""

    def response(self, wanted: Wanted) -> Response:
        """Return the answer with the rows of the page, and links to other pages."""
        location = Location(f"{request.script_root}{request.path}", request.args)
        planned = self.request(wanted, location)
        is_asked = is_on_request() and not wanted.is_by_cursor
        is_counted = not is_asked or preference("count") == "exact"
        page = result_of(self.page(planned, _SessionReads(self), is_counted=is_counted))
        response = self.represent.list_response(page.rows, fields=wanted.fields)
        response.headers.extend(page.headers)
        if is_asked:
            response.vary.add("Prefer")
            if is_counted:
                response.headers["Preference-Applied"] = "count=exact"
        return response

    def request(self, wanted: Wanted, location: Location) -> ListRequest:
        """Return a request with its statements, as `plan` builds them."""
        return ListRequest(wanted, location, self.plan(wanted), self._parameters(wanted))

    async def page(self, request: ListRequest, reads: Reads, *, is_counted: bool) -> Page[R]:
        """Return the rows of a page, and links to other pages; a total if it `is_counted`."""
        if request.wanted.is_by_cursor:
            return await self._cursor_page(request, reads)
        if is_counted:
            return await self._counted_page(request, reads)
        return await self._uncounted_page(request, reads)

    async def _uncounted_page(self, request: ListRequest, reads: Reads) -> Page[R]:
        """Return a page without a total; one row more than wanted shows whether there is a next."""
        wanted, (_, page) = request.wanted, request.statements
        place = {_LIMIT: wanted.page_size + 1, _OFFSET: (wanted.page - 1) * wanted.page_size}
        found = await reads.rows(page, {**request.parameters, **place})
        rows = found[: wanted.page_size]
        pagination = paginate_uncounted(
            wanted.page, wanted.page_size, is_empty=not rows, has_more=len(found) > len(rows)
        )
        return Page(rows, _headers(pagination, self._links(request.location, pagination)))

    async def _counted_page(self, request: ListRequest, reads: Reads) -> Page[R]:
        wanted, (counting, page) = request.wanted, request.statements
        total = await reads.total(wanted, counting, request.parameters)
        place = {_LIMIT: wanted.page_size, _OFFSET: (wanted.page - 1) * wanted.page_size}
        rows = await reads.rows(page, {**request.parameters, **place})
        known, headers = request.told
        if known != total:
            pagination = paginate(total, wanted.page, wanted.page_size)
            headers = _headers(pagination, self._links(request.location, pagination))
            request.told = (total, headers)
        return Page(rows, headers)

    async def _cursor_page(self, request: ListRequest, reads: Reads) -> Page[R]:
        wanted, location = request.wanted, request.location
        # One row more than wanted shows whether there is a next page, without counting.
        rows: list[R] = []
        for statement in request.statements:
            left = wanted.page_size + 1 - len(rows)
            rows += await reads.rows(statement, {**request.parameters, _LIMIT: left})
            if len(rows) > wanted.page_size:
                break
        pagination: dict[str, Any] = {"page_size": wanted.page_size}
        links = []
        if len(rows) > wanted.page_size:
            rows.pop()
            cursor = self.orders.encode(reads.named(request.statements[0], rows[-1]))
            pagination["next_after"] = cursor
            query = self._repeated_query(location) + urlencode({"after": cursor})
            links.append(f'<{location.path}?{query}>; rel="next"')
        return Page(rows, _headers(pagination, links))

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

    def _repeated_query(self, location: Location) -> str:
        """Return the beginning of the query in each link, which may be empty."""
        # Links are relative, so that no Host header of a client gets into an answer.
        given = location.arguments
        sent = {name: given[name] for name in self.repeated if name in given}
        return f"{urlencode(sent)}&" if sent else ""

    def is_planned(self, wanted: Wanted) -> bool:
        """Return whether the statements for a request are built."""
        return self.plans is not None and self.plans.find(self._shape(wanted)) is not None

    def plan(self, wanted: Wanted) -> Sequence[Any]:
        """Return the statements for a request, which takes milliseconds if they are to be built.

        For a page by number these are the one that counts, and that of the page.
        """
        build = self._by_cursor if wanted.is_by_cursor else self._numbered

        def prepared() -> Sequence[Any]:
            return [*map(self.prepare, build(wanted))]

        return prepared() if self.plans is None else self.plans.get(self._shape(wanted), prepared)

    def _links(self, location: Location, pagination: Mapping[str, int]) -> list[str]:
        query = self._repeated_query(location)
        return [
            f'<{location.path}?{query}page={pagination[field]}>; rel="{relation}"'
            for relation, field in _RELATIONS.items()
            if field in pagination
        ]

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
        found = func.count().label(TOTAL) if self.plans is not None else self.orders.primary.column
        counting = matching.order_by(None).with_only_columns(found, maintain_column_froms=True)
        if self.plans is None:
            # A plugin's statement may be DISTINCT, which a count beside it would not see.
            counting = select(func.count().label(TOTAL)).select_from(counting.subquery())
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


def is_on_request(app: Flask | None = None) -> bool:
    """Return whether the app, or the current app, tells totals only to clients that ask."""
    return get_settings(CoreSettings, app).resources_total == TOTAL_ON_REQUEST


class _SessionReads:
    """Reads in the session of the request."""

    def __init__(self, listing: Listing[Any]) -> None:
        self._listing = listing

    async def rows(self, statement: Statement, parameters: Mapping[str, Any]) -> Sequence[Any]:
        result: Any = db.session.execute(statement, parameters)
        if self._listing.columns is None:
            # A relationship that is loaded by a join gives an object several times.
            result = result.scalars().unique()
        return result.all()  # type: ignore[no-any-return]

    def named(self, _: Statement, row: Any) -> Any:
        return row

    async def total(
        self, wanted: Wanted, statement: Statement, parameters: Mapping[str, Any]
    ) -> int:
        async def count() -> int:
            return db.session.execute(statement, parameters).scalar_one()  # type: ignore[no-any-return]

        return await self._listing.totals.get(get_cache(), wanted, count)


def _headers(pagination: Mapping[str, Any], links: Sequence[str]) -> list[tuple[str, str]]:
    headers = [(PAGINATION, encode_json(pagination).decode())]
    if links:
        headers.append(("Link", ", ".join(links)))
    return headers


def _loaded_in_batches(model: type[Any]) -> Iterator[ORMOption]:
    """Yield options for relationships that cannot be loaded as they say while rows are streamed."""
    for relationship in inspect(model).relationships:
        if relationship.uselist and relationship.lazy in {"joined", False, "subquery"}:
            yield selectinload(getattr(model, relationship.key))
