"""Lists of a resource: a page by its number, or by a cursor."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import urlencode

from flask import Flask, Response, request

from pegboard.cache import get_cache
from pegboard.database import db
from pegboard.http import encode_json, preference
from pegboard.resources.list_statements import LIMIT, OFFSET, ListStatements, Statement
from pegboard.resources.pagination import paginate, paginate_uncounted
from pegboard.resources.query import Wanted
from pegboard.resources.representation import Representer
from pegboard.resources.totals import Totals
from pegboard.settings import CoreSettings, get_settings
from pegboard.stages import result_of

PAGINATION = "X-Pagination"
TOTAL_ON_REQUEST = "request"
"""The value of `PEGBOARD_RESOURCES_TOTAL` with which a list has a total only if the client asks."""

_RELATIONS = {
    "first": "first_page",
    "prev": "previous_page",
    "next": "next_page",
    "last": "last_page",
}

R = TypeVar("R")


@dataclass(frozen=True)
class Location:
    """The URL of a list request, to which links are made."""

    path: str
    """The path, with the prefix of the request."""
    arguments: Mapping[str, str]
    """The parameters of the query, by name."""


@dataclass(frozen=True)
class Page(Generic[R]):
    """The rows of a page, and the headers with its place in the list and links to other pages."""

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
    counted: tuple[int | None, Sequence[tuple[str, str]]] = (None, ())
    """The last total, and the headers that were made of it."""


class Reads(Protocol):
    """Reads the database for a list, by statements that `ListStatements` has prepared."""

    async def rows(self, statement: Any, parameters: Mapping[str, Any]) -> Sequence[Any]:
        """Return the rows of a statement."""

    def named(self, statement: Any, row: Any) -> Any:
        """Return a row of a statement with the values of its columns as attributes."""

    async def total(self, wanted: Wanted, statement: Any, parameters: Mapping[str, Any]) -> int:
        """Return the number of rows that a request's filters leave, which the statement counts."""


@dataclass(frozen=True)
class Listing(Generic[R]):
    """What the lists of one resource are made of."""

    statements: ListStatements[R]
    represent: Representer[R]
    repeated: Sequence[str]
    """The parameters that every link of the answer repeats."""
    totals: Totals

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
        """Return a request with its statements, whose building takes milliseconds."""
        statements = self.statements
        return ListRequest(wanted, location, statements.of(wanted), statements.parameters(wanted))

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
        place = {LIMIT: wanted.page_size + 1, OFFSET: (wanted.page - 1) * wanted.page_size}
        found = await reads.rows(page, {**request.parameters, **place})
        rows = found[: wanted.page_size]
        pagination = paginate_uncounted(
            wanted.page, wanted.page_size, is_empty=not rows, has_more=len(found) > len(rows)
        )
        return Page(rows, _headers(pagination, self._links(request.location, pagination)))

    async def _counted_page(self, request: ListRequest, reads: Reads) -> Page[R]:
        wanted, (counting, page) = request.wanted, request.statements
        total = await reads.total(wanted, counting, request.parameters)
        place = {LIMIT: wanted.page_size, OFFSET: (wanted.page - 1) * wanted.page_size}
        rows = await reads.rows(page, {**request.parameters, **place})
        known, headers = request.counted
        if known != total:
            pagination = paginate(total, wanted.page, wanted.page_size)
            headers = _headers(pagination, self._links(request.location, pagination))
            request.counted = (total, headers)
        return Page(rows, headers)

    async def _cursor_page(self, request: ListRequest, reads: Reads) -> Page[R]:
        wanted, location = request.wanted, request.location
        # One row more than wanted shows whether there is a next page, without counting.
        rows: list[R] = []
        for statement in request.statements:
            left = wanted.page_size + 1 - len(rows)
            rows += await reads.rows(statement, {**request.parameters, LIMIT: left})
            if len(rows) > wanted.page_size:
                break
        pagination: dict[str, Any] = {"page_size": wanted.page_size}
        links = []
        if len(rows) > wanted.page_size:
            rows.pop()
            cursor = self.statements.orders.encode(reads.named(request.statements[0], rows[-1]))
            pagination["next_after"] = cursor
            query = self._repeated_query(location) + urlencode({"after": cursor})
            links.append(f'<{location.path}?{query}>; rel="next"')
        return Page(rows, _headers(pagination, links))

    def _repeated_query(self, location: Location) -> str:
        """Return the beginning of the query in each link, which may be empty."""
        # Links are relative, so that no Host header of a client gets into an answer.
        given = location.arguments
        sent = {name: given[name] for name in self.repeated if name in given}
        return f"{urlencode(sent)}&" if sent else ""

    def _links(self, location: Location, pagination: Mapping[str, int]) -> list[str]:
        query = self._repeated_query(location)
        return [
            f'<{location.path}?{query}page={pagination[field]}>; rel="{relation}"'
            for relation, field in _RELATIONS.items()
            if field in pagination
        ]


def is_on_request(app: Flask | None = None) -> bool:
    """Return whether lists of the app, or the current app, have totals only if clients ask."""
    return get_settings(CoreSettings, app).resources_total == TOTAL_ON_REQUEST


class _SessionReads:
    """Reads in the session of the request."""

    def __init__(self, listing: Listing[Any]) -> None:
        self._listing = listing

    async def rows(self, statement: Statement, parameters: Mapping[str, Any]) -> Sequence[Any]:
        result: Any = db.session.execute(statement, parameters)
        if self._listing.statements.columns is None:
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
