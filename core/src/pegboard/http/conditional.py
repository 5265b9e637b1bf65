"""Conditional requests: `If-Match` and `If-None-Match` (RFC 9110, section 13)."""

import re
from http import HTTPStatus

from flask import Response, request
from werkzeug.http import parse_etags, quote_etag

from pegboard.http.errors import abort

PRECONDITION_FAILED_MESSAGE = "If-Match does not have the resource's current ETag. Get it again."
_NO_TAG_MESSAGE = (
    'If-Match is no list of entity tags. Send one as the ETag has it, with its quotes: "abc".'
)
_WEAK_TAG_MESSAGE = (
    "If-Match has a weak entity tag, which never matches. Send the ETag as it is, without W/."
)

_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_TAGS = re.compile(rf"[ \t]*(?:\*|(?:{_TAG})?(?:[ \t]*,[ \t]*(?:{_TAG})?)*)[ \t]*")
"""A list of entity tags (RFC 9110, sections 8.8.3 and 5.6.1), or the asterisk for any."""


def evaluate_preconditions(
    etag: str, *, method: str, if_match: str | None, if_none_match: str | None
) -> HTTPStatus | None:
    """Return 304 or 412 if the headers of a request demand it, else None (section 13.2.2).

    `etag` is the strong validator of the current representation, without quotes; `if_match` and
    `if_none_match` are the headers' values.
    """
    # A weak tag never matches If-Match (section 13.1.1), nor does an invalid header.
    if if_match is not None and not parse_etags(if_match).contains(etag):
        return HTTPStatus.PRECONDITION_FAILED
    if if_none_match is None:
        return None
    # Most clients send one tag, as they got it; parsing a list takes longer.
    if if_none_match != f'"{etag}"' and not parse_etags(if_none_match).contains_weak(etag):
        return None
    if method in {"GET", "HEAD"}:
        return HTTPStatus.NOT_MODIFIED
    return HTTPStatus.PRECONDITION_FAILED


def require_preconditions(etag: str) -> None:
    """End the request with 412 unless its `If-Match` and `If-None-Match` allow the write.

    `etag` is the tag of the resource as it is now, without quotes; it must change with every change
    of the resource (a strong validator). Lock the row first (`with_for_update`), so that no other
    writer comes between this check and the write. Make all other checks before this one, as a
    request that fails without the condition is answered with that failure (RFC 9110, section
    13.2.1).
    """
    status = evaluate_preconditions(
        etag,
        method=request.method,
        if_match=request.headers.get("If-Match"),
        if_none_match=request.headers.get("If-None-Match"),
    )
    if status == HTTPStatus.PRECONDITION_FAILED:
        message = explain_failed_precondition(
            etag,
            if_match=request.headers.get("If-Match"),
            if_none_match=request.headers.get("If-None-Match"),
        )
        abort(status, message, headers={"ETag": quote_etag(etag)})


def answer_conditionally(response: Response) -> Response:
    """Return the answer to a GET, or 304 or 412 if the request's headers demand it.

    The answer has a strong `ETag`.
    """
    etag, _ = response.get_etag()
    require_preconditions(etag or "")
    status = evaluate_preconditions(
        etag or "",
        method=request.method,
        if_match=None,
        if_none_match=request.headers.get("If-None-Match"),
    )
    if status != HTTPStatus.NOT_MODIFIED:
        return response
    unchanged = Response(status=status)
    del unchanged.headers["Content-Type"]
    unchanged.set_etag(etag or "")
    return unchanged


def explain_failed_precondition(
    etag: str, *, if_match: str | None, if_none_match: str | None
) -> str:
    """Return the message of a 412: which header is not satisfied, and why; `If-Match` is first."""
    if if_match is not None and not (tags := parse_etags(if_match)).contains(etag):
        if not _TAGS.fullmatch(if_match):
            return _NO_TAG_MESSAGE
        if tags.contains_weak(etag):
            return _WEAK_TAG_MESSAGE
        return PRECONDITION_FAILED_MESSAGE
    if (if_none_match or "").strip() == "*":
        return "The resource exists already, which If-None-Match: * rules out."
    return "The resource is as If-None-Match names it, which rules the change out."
