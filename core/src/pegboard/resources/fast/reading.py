"""Lists and single rows, read by statements that are compiled once."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from pegboard.cache import Entry, Lookup, get_cache
from pegboard.database import CompiledStatement
from pegboard.resources.cached_lists import ignores_headers
from pegboard.resources.declaration import Comparison
from pegboard.resources.fast.encoding import is_builtin
from pegboard.resources.fast.requests import JSON, prefix_of, query_of
from pegboard.resources.fast.target import Target, UnansweredError
from pegboard.resources.list_statements import TOTAL, ListStatements
from pegboard.resources.listing import Listing, ListRequest, Location, is_on_request
from pegboard.resources.plans import Plans
from pegboard.resources.query import Wanted
from pegboard.resources.representation import etag_of
from pegboard.resources.steps import ROW_ID
from pegboard.resources.totals import Totals
from pegboard.stages import Answer, Call, Waiting

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_MOST_REQUESTS = 500


class FastList:
    """Reads a page of a list, by its number or by a cursor."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._is_exported = target.parts.is_exported
        self._is_on_request = is_on_request(target.app)
        with target.app.app_context():
            sizes = target.parts.query.page_sizes()
        self._query = replace(target.parts.query, page_sizes=lambda: sizes).schema()()
        conditions = target.parts.listing.statements.conditions
        self._varying = {
            name for name, condition in conditions.items() if condition.comparison is Comparison.IN
        }
        """The filters whose statements have a parameter for each value, so that they differ."""
        self._requests: dict[tuple[str, str, str], ListRequest] = {}
        """What recent requests have come to, by the parts of their URLs."""
        self._may_remember = all(is_builtin(one.field) for one in conditions.values())
        """Whether what requests come to depends on their URLs alone, and on no code of a plugin."""
        self._statements: ListStatements[Any] = replace(
            target.parts.listing.statements, plans=Plans(), prepare=self._compile
        )
        self._listing: Listing[Any] = replace(target.parts.listing, statements=self._statements)

    def _compile(self, statement: Any) -> CompiledStatement:
        names = [one.key for one in statement.selected_columns]
        if names == [TOTAL]:
            types = {TOTAL: statement.selected_columns[0].type}
            return CompiledStatement(statement, self._target.engine.dialect, types)
        return self._target.compile(statement, self._target.listed)

    async def answer(self, call: Call, waiting: Waiting) -> Answer | None:
        """Return the answer with a page; None for an unusual request."""
        environ = call.environ
        if not ignores_headers(environ):
            return None
        url = environ["SCRIPT_NAME"], environ["PATH_INFO"], environ["QUERY_STRING"]
        request = self._requests.get(url)
        if request is None:
            request = await self._request(environ, waiting)
            if request is None:
                return None
            if self._may_remember:
                if len(self._requests) >= _MOST_REQUESTS:
                    self._requests.clear()
                self._requests[url] = request
        try:
            reads = _Reads(self._target, self._listing.totals, waiting)
            page = await self._listing.page(request, reads, is_counted=not self._is_on_request)
        except UnansweredError:
            return None
        headers = [JSON, *page.headers]
        is_by_cursor = request.wanted.is_by_cursor
        varying = ["Prefer"] if self._is_on_request and not is_by_cursor else []
        if self._is_exported:
            varying.append("Accept")
        if varying:
            headers.append(("Vary", ", ".join(varying)))
        return Answer(HTTPStatus.OK, headers, await self._target.many(page.rows, waiting))

    async def _request(self, environ: "WSGIEnvironment", waiting: Waiting) -> ListRequest | None:
        """Return what a request comes to; None for an unusual one."""
        prefix, pairs = prefix_of(environ), query_of(environ)
        wanted = self._wanted(pairs)
        if prefix is None or wanted is None:
            return None
        if not self._statements.are_built(wanted):
            await waiting.call(partial(self._statements.of, wanted))
        location = Location(prefix + environ["PATH_INFO"], dict(pairs or ()))
        return self._listing.request(wanted, location)

    def _wanted(self, pairs: Sequence[tuple[str, str]] | None) -> Wanted | None:
        wanted = None if pairs is None else self._query.read(pairs)
        if wanted is None or wanted.fields is not None or self._varying & wanted.conditions.keys():
            return None
        return wanted


class _Reads:
    """Reads for one request, by statements that are compiled once."""

    def __init__(self, target: Target, totals: Totals, waiting: Waiting) -> None:
        self._target = target
        self._totals = totals
        self._waiting = waiting

    async def rows(
        self, statement: CompiledStatement, parameters: Mapping[str, Any]
    ) -> Sequence[Any]:
        """Return the rows of a statement. Raises `UnansweredError`."""
        found = await self._target.read(statement, parameters, self._waiting)
        is_positional = self._target.list_encoder.is_positional
        return statement.values(found) if is_positional else statement.rows(found)

    def named(self, statement: CompiledStatement, row: Any) -> Any:
        """Return a row with the values of its columns as attributes."""
        return statement.named(row)

    async def total(
        self, wanted: Wanted, statement: CompiledStatement, parameters: Mapping[str, Any]
    ) -> int:
        """Return the number of rows that a request's filters leave. Raises `UnansweredError`."""

        async def count() -> int:
            ((total,),) = await self._target.read(statement, parameters, self._waiting)
            return total  # type: ignore[no-any-return]

        cache = get_cache(self._target.app)
        return await self._totals.get(cache, wanted, count, self._waiting)


class FastGet:
    """Reads a row whose answer a stage has not found in the cache."""

    def __init__(self, target: Target, lookup: Lookup | None) -> None:
        """`lookup` is None for a resource whose rows are not cached."""
        self._target = target
        self._lookup = lookup
        self._cache = get_cache(target.app)
        columns = [target.columns[name].label(name) for name in target.shown]
        self._statement = target.compile(select(*columns).where(target.is_row), target.shown)

    async def answer(self, call: Call, waiting: Waiting) -> Answer | None:
        """Return the answer with the row, or 304; None for an unusual request."""
        environ = call.environ
        row_id = self._target.row_id(call.arguments)
        if row_id is None or "HTTP_IF_MATCH" in environ or environ.get("QUERY_STRING"):
            return None
        try:
            read = partial(self._read, row_id, waiting)
            if self._lookup is None:
                return (await read()).answer(environ)
            if "HTTP_AUTHORIZATION" in environ:
                return None  # an answer that might be for one client only
            return await self._cache.answer_without_flask(
                self._lookup, environ, call.arguments, read, waiting
            )
        except UnansweredError:
            return None

    async def _read(self, row_id: int, waiting: Waiting) -> Entry:
        found = await self._target.read(self._statement, {ROW_ID: row_id}, waiting)
        if not found:
            raise UnansweredError
        (row,) = self._statement.rows(found)
        body = await self._target.one(row, waiting)
        return Entry(etag_of(body), [JSON], body)
