"""Lists of items: a page by its number, or the next stretch of a walk."""

import json
from typing import Any
from urllib.parse import urlencode

from flask import request
from sqlalchemy import Select, func, or_, select
from werkzeug import Response

import pegboard
from pegboard_items.models import table
from pegboard_items.order import Place
from pegboard_items.representation import list_response
from pegboard_items.schemas import Listing
from pegboard_items.sql import contains

PAGINATION = "X-Pagination"


def list_items(listing: Listing) -> Response:
    """Answer with the items that the client wants to see, and with the way to the others."""
    return _walk(listing) if listing.is_walk else _page(listing)


def _page(listing: Listing) -> Response:
    session = pegboard.db.session
    total = session.scalar(_found(listing, func.count())) or 0
    rows = session.execute(
        _found(listing, *table.columns)
        .order_by(*listing.order.clauses())
        .limit(listing.page_size)
        .offset((listing.page - 1) * listing.page_size)
    )
    response = list_response(rows)
    pagination = paginate(total, listing.page, listing.page_size)
    relations = {
        "first": "first_page",
        "prev": "previous_page",
        "next": "next_page",
        "last": "last_page",
    }
    links = [
        _link(listing, relation, page=pagination[field])
        for relation, field in relations.items()
        if field in pagination
    ]
    return _with_headers(response, pagination, links)


def _walk(listing: Listing) -> Response:
    query = _found(listing, *table.columns).order_by(*listing.order.clauses())
    if listing.after is not None:
        query = query.where(listing.order.after(listing.after))
    # One more than wanted tells whether there are more, without counting them.
    rows = pegboard.db.session.execute(query.limit(listing.page_size + 1)).all()
    pagination: dict[str, Any] = {"page_size": listing.page_size}
    links = []
    if len(rows) > listing.page_size:
        rows = rows[:-1]
        cursor = Place.of(rows[-1]).encode()
        pagination["next_after"] = cursor
        links.append(_link(listing, "next", after=cursor))
    return _with_headers(list_response(rows), pagination, links)


def _found(listing: Listing, *columns: Any) -> Select[Any]:
    query = select(*columns).select_from(table)
    if not listing.search:
        return query
    fields = (table.columns.name, table.columns.description)
    return query.where(or_(*(contains(field, listing.search) for field in fields)))


def paginate(total: int, page: int, page_size: int) -> dict[str, int]:
    """Return what `X-Pagination` says, in the terms of flask-smorest."""
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


def _link(listing: Listing, relation: str, **where: int | str) -> str:
    # Relative: nothing of the Host that a client named goes into an answer.
    query = urlencode({**listing.sent, **where})
    return f'<{request.script_root}{request.path}?{query}>; rel="{relation}"'


def _with_headers(response: Response, pagination: dict[str, Any], links: list[str]) -> Response:
    response.headers[PAGINATION] = json.dumps(pagination)
    if links:
        response.headers["Link"] = ", ".join(links)
    return response
