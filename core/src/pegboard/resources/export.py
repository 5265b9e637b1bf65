"""Exports: all rows of a list as a file, sent while the database is still being read."""

from collections.abc import Iterator
from http import HTTPStatus
from itertools import chain
from typing import Any, TypeVar

from flask import Response, request, stream_with_context
from sqlalchemy.orm import Session
from werkzeug.datastructures import MIMEAccept

from pegboard.database import db, no_time_limit
from pegboard.http import VALIDATION_MESSAGE, abort
from pegboard.resources.formats import Format
from pegboard.resources.listing import Listing
from pegboard.resources.query import Wanted

_JSON = "application/json"
_FORMATS = {form.media_type: form for form in Format}

T = TypeVar("T")


def accepted_format() -> Format | None:
    """Return the format that the current request prefers to JSON; None for JSON.

    Only a media type that is named counts: a wildcard means what it always did.
    """
    accepted = MIMEAccept(
        (media.partition(";")[0].strip().lower(), quality)
        for media, quality in request.accept_mimetypes
    )
    best = accepted.best_match([_JSON, *_FORMATS])
    return _FORMATS.get(best or "") if best in set(accepted.values()) else None


def export_response(listing: Listing[Any], wanted: Wanted, form: Format, name: str) -> Response:
    """Return an answer with all rows that a request asks for, whatever page it is.

    The rows are read while they are sent, in the order of the request and as of one moment. What
    fails before the first of them is answered as any error.
    """
    _refuse_pages(wanted)
    statement, parameters = listing.statements.everything(wanted)
    # Requests that hold one connection and want another could wait for each other.
    db.session.rollback()
    # That of the request ends before the body is read.
    session = db.session.session_factory()
    try:
        with no_time_limit():
            rows = listing.statements.scroll(session, statement, parameters)
            parts = listing.represent.writer(wanted.fields).write(rows, form)
            first = next(parts, b"")
    except BaseException:
        session.close()
        raise
    body = stream_with_context(_closing(session, chain([first], _unlimited(parts))))
    response = Response(body, mimetype=form.media_type)
    response.call_on_close(session.close)
    if request.method == "HEAD":
        session.close()  # werkzeug closes no answer to it
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.{form.value}"'
    return response


def _refuse_pages(wanted: Wanted) -> None:
    """End a request for a later page with 422: answered with all rows, it would never end."""
    errors = {}
    if wanted.page > 1:
        errors["page"] = ["An export has all rows; leave this out."]
    if wanted.is_by_cursor:
        errors["after"] = ["An export has all rows; leave this out."]
    if errors:
        abort(HTTPStatus.UNPROCESSABLE_ENTITY, VALIDATION_MESSAGE, errors=errors)


def _closing(session: Session, parts: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the parts; close the session after the last, whatever the server does then."""
    try:
        yield from parts
    finally:
        session.close()


def _unlimited(parts: Iterator[T]) -> Iterator[T]:
    """Yield the parts, each made without the time limit of statements."""
    while True:
        # Not around the loop: the generator shares its context with what the server does between.
        with no_time_limit():
            part = next(parts, None)
        if part is None:
            return
        yield part
