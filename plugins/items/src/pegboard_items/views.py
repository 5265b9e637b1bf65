"""The views of `/api/items/`."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NoReturn

from flask import url_for
from flask.views import MethodView
from sqlalchemy import select
from werkzeug import Response
from werkzeug.routing import IntegerConverter

import pegboard
from pegboard_items import listing
from pegboard_items.models import MAX_ID, Item, table
from pegboard_items.representation import Representation
from pegboard_items.schemas import ItemInputSchema, ItemSchema, ListQuery, ListQuerySchema

_ETAG = {
    "description": "Strong validator of the current item.",
    "required": True,
    "schema": {"type": "string", "pattern": '^"[0-9a-f]{32}(-(gzip|br|zstd))?"$'},
}
_LIST_HEADERS = {
    listing.PAGINATION: {
        "description": "JSON. By number: total, total_pages, first_page, last_page, page, "
        "previous_page and next_page, where they exist. By cursor: page_size, and next_after if "
        "there is a next page.",
        "required": True,
        "schema": {"type": "string", "example": '{"total": 1, "total_pages": 1}'},
    },
    "Link": {
        "description": "RFC 8288. By number: first, prev, next and last. By cursor: next.",
        "schema": {"type": "string", "example": '</api/items/?page=2>; rel="next"'},
    },
}
_LOCATION = {
    "description": "The URL of the new item.",
    "required": True,
    "schema": {"type": "string", "example": "/api/items/1"},
}

_LOOKUP_TTL = 300
"""Seconds for which the response for one item may be cached."""

blueprint = pegboard.Blueprint(
    "items", __name__, url_prefix="/api/items", description="Things with a name."
)


_ID = {
    "in": "path",
    "name": "item_id",
    "schema": {"type": "integer", "minimum": 1, "maximum": MAX_ID},
}


class ItemId(IntegerConverter):
    """Matches a number without leading zeros; whether the table can hold it is for the view."""

    regex = "(?:0|[1-9][0-9]{0,99})"


blueprint.record(lambda state: state.app.url_map.converters.update(item_id=ItemId))


@blueprint.route("/")
class Items(MethodView):
    """All items."""

    @blueprint.arguments(ListQuerySchema, location="query")
    @blueprint.response(HTTPStatus.OK, ItemSchema(many=True), headers=_LIST_HEADERS)
    @blueprint.doc(operationId="list_items")
    def get(self, wanted: ListQuery) -> Response:
        """List items.

        By page number, or with `after` by cursor: nothing is skipped or repeated when items are
        written meanwhile, and no page costs more than the first.
        """
        return listing.list_items(wanted)

    @blueprint.arguments(ItemInputSchema)
    @blueprint.response(
        HTTPStatus.CREATED, ItemSchema, headers={"Location": _LOCATION, "ETag": _ETAG}
    )
    @blueprint.doc(operationId="create_item")
    @pegboard.transactional
    def post(self, sent: Mapping[str, Any]) -> Response:
        """Create an item.

        `Location` in the answer is its URL.
        """
        now = pegboard.utcnow()
        item = Item(**sent, created_at=now, updated_at=now)
        pegboard.db.session.add(item)
        pegboard.db.session.flush()
        response = Representation.of(item).response(HTTPStatus.CREATED)
        response.location = url_for(".ItemById", item_id=item.id)
        return response


@blueprint.route("/<item_id:item_id>", parameters=[_ID])
class ItemById(MethodView):
    """One item."""

    @pegboard.cached(Item, ttl=_LOOKUP_TTL)
    @blueprint.response(HTTPStatus.OK, ItemSchema, headers={"ETag": _ETAG})
    @blueprint.doc(operationId="get_item")
    def get(self, item_id: int) -> Response:
        """Get an item.

        With `If-None-Match: <ETag>` the answer is 304 while the item has this ETag.
        """
        _check_id(item_id)
        row = pegboard.db.session.execute(select(table).where(table.columns.id == item_id)).first()
        if row is None:
            _no_item(item_id)
        return Representation.of(row).response()

    @blueprint.arguments(ItemInputSchema)
    @blueprint.response(HTTPStatus.OK, ItemSchema, headers={"ETag": _ETAG})
    @blueprint.alt_response(HTTPStatus.PRECONDITION_FAILED, "PRECONDITION_FAILED")
    @blueprint.doc(operationId="replace_item")
    @pegboard.transactional
    def put(self, sent: Mapping[str, Any], item_id: int) -> Response:
        """Replace an item.

        With `If-Match: <ETag>` only if the item still has this ETag; else 412.
        """
        item = _lock(item_id)
        item.name, item.description = sent["name"], sent["description"]
        pegboard.db.session.flush()
        return Representation.of(item).response()

    @blueprint.response(HTTPStatus.NO_CONTENT)
    @blueprint.alt_response(HTTPStatus.PRECONDITION_FAILED, "PRECONDITION_FAILED")
    @blueprint.doc(operationId="delete_item")
    @pegboard.transactional
    def delete(self, item_id: int) -> Response:
        """Delete an item.

        With `If-Match: <ETag>` only if the item still has this ETag; else 412.
        """
        pegboard.db.session.delete(_lock(item_id))
        return Response(status=HTTPStatus.NO_CONTENT)


def _lock(item_id: int) -> Item:
    """Return an item locked until this transaction ends, after checking the preconditions.

    On SQLite, which has no row locks, a writing transaction excludes all others from its beginning.
    """
    _check_id(item_id)
    query = select(Item).where(Item.id == item_id).with_for_update()
    item = pegboard.db.session.scalars(query.execution_options(populate_existing=True)).first()
    if item is None:
        _no_item(item_id)
    pegboard.require_preconditions(Representation.of(item).etag)
    return item


def _check_id(item_id: int) -> None:
    """Answer 404 for a number that is no id, before the database fails on it."""
    if not 1 <= item_id <= MAX_ID:
        _no_item(item_id)


def _no_item(item_id: int) -> NoReturn:
    pegboard.abort(HTTPStatus.NOT_FOUND, f"There is no item {item_id}.")
