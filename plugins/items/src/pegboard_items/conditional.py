"""Conditional requests: RFC 9110, section 13."""

from http import HTTPStatus

from flask import request
from werkzeug import Response

import pegboard
from pegboard_items.representation import Representation

STALE = "The item is no longer the one that the request was made for. Get it again."


def require_preconditions(current: Representation) -> None:
    """End the request with 412 unless it was made for what the item is now.

    To be called when the request would succeed otherwise (section 13.2.1), and before a write
    with the row locked.
    """
    if request.headers.get("If-Match") is not None:
        # A weak tag never matches here (section 13.1.1), nor does a header that makes no sense.
        if not request.if_match.contains(current.etag):
            _fail(current)
    elif _is_none_match(current) and request.method not in {"GET", "HEAD"}:
        _fail(current)


def conditional_response(current: Representation) -> Response:
    """Answer GET: 304 when the client has the item as it is, else the item."""
    require_preconditions(current)
    if not _is_none_match(current):
        return current.response()
    response = Response(status=HTTPStatus.NOT_MODIFIED)
    response.set_etag(current.etag)
    return response


def _is_none_match(current: Representation) -> bool:
    return request.if_none_match.contains_weak(current.etag)


def _fail(current: Representation) -> None:
    headers = {"ETag": f'"{current.etag}"'}
    pegboard.abort(HTTPStatus.PRECONDITION_FAILED, STALE, headers=headers)
