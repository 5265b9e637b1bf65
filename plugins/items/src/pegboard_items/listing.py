"""Lists of items: a page by its number, or by a cursor."""

import json
from typing import Any
from urllib.parse import urlencode

from flask import request
from sqlalchemy import Select, func, or_, select
from werkzeug import Response

import pegboard
from pegboard_items.models import table
from pegboard_items.order import Cursor
from pegboard_items.representation import list_response
from pegboard_items.schemas import ListQuery
from pegboard_items.sql import contains

PAGINATION = "X-Pagination"


def list_items(wanted: ListQuery) -> Response:
    """Return the response with the items of the page, and links to other pages."""
    return _cursor_page(wanted) if wanted.is_by_cursor else _numbered_page(wanted)


def _numbered_page(wanted: ListQuery) -> Response:
    session = pegboard.db.session
    total = session.scalar(_select(wanted, func.count())) or 0
    rows = session.execute(
        _select(wanted, *table.columns)
        .order_by(*wanted.order.clauses())
        .limit(wanted.page_size)
        .offset((wanted.page - 1) * wanted.page_size)
    )
    response = list_response(rows)
    pagination = paginate(total, wanted.page, wanted.page_size)
    relations = {
        "first": "first_page",
        "prev": "previous_page",
        "next": "next_page",
        "last": "last_page",
    }
    links = [
        _link(wanted, relation, page=pagination[field])
        for relation, field in relations.items()
        if field in pagination
    ]
    return _with_headers(response, pagination, links)


def _cursor_page(wanted: ListQuery) -> Response:
    query = _select(wanted, *table.columns).order_by(*wanted.order.clauses())
    if wanted.after is not None:
        query = query.where(wanted.order.after(wanted.after))
    # One row more than wanted shows whether there is a next page, without counting.
    rows = pegboard.db.session.execute(query.limit(wanted.page_size + 1)).all()
    pagination: dict[str, Any] = {"page_size": wanted.page_size}
    links = []
    if len(rows) > wanted.page_size:
        rows = rows[:-1]
        cursor = Cursor.of(rows[-1]).encode()
        pagination["next_after"] = cursor
        links.append(_link(wanted, "next", after=cursor))
    return _with_headers(list_response(rows), pagination, links)


def _select(wanted: ListQuery, *columns: Any) -> Select[Any]:
    query = select(*columns).select_from(table)
    if not wanted.search:
        return query
    fields = (table.columns.name, table.columns.description)
    return query.where(or_(*(contains(field, wanted.search) for field in fields)))


def paginate(total: int, page: int, page_size: int) -> dict[str, int]:
    """Return the content of `X-Pagination`, with the field names of flask-smorest."""
    last = -(-total // page_size)
    found = {"total": total, "total_pages": last}
    if total:
        found |= {"first_page": 1, "last_page": last}
    if page <= last:
        found["page"] = page
        if page > 1:
            found["previous_page"] = page - 1
        if page < last:
            found["next_page"] = page + 1
    return found


def _link(wanted: ListQuery, relation: str, **page: int | str) -> str:
    # Relative, so that no Host header of a client gets into a response.
    query = urlencode({**wanted.sent, **page})
    return f'<{request.script_root}{request.path}?{query}>; rel="{relation}"'


def _with_headers(response: Response, pagination: dict[str, Any], links: list[str]) -> Response:
    response.headers[PAGINATION] = json.dumps(pagination, separators=(",", ":"))
    if links:
        response.headers["Link"] = ", ".join(links)
    return response
