"""The one error format: `{"message": str, "status": int}`, and `errors` by field for validation."""

import logging
import sqlite3
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NoReturn

from flask import Flask, Response, current_app, request, url_for
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import (
    BadRequest,
    ClientDisconnected,
    HTTPException,
    InternalServerError,
    MethodNotAllowed,
    NotFound,
    RequestEntityTooLarge,
)

from pegboard.deadline import current_deadline
from pegboard.http.bounded_errors import bound_errors, clip
from pegboard.http.json_output import encode_json
from pegboard.redaction import reason_of

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

logger = logging.getLogger(__name__)

REQUEST_ID_KEY = "pegboard.request_id"
"""The key in the WSGI environment under which the request's id is kept."""

VALIDATION_MESSAGE = "The request did not pass validation."
"""The message of a 422 whose `errors` say what is wrong with each field."""

NOT_FOUND_MESSAGE = "There is nothing at this address."
"""The message of a 404 for a path that no route or row has."""

_RETRY_AFTER_SECONDS = 1

_LONGEST_MESSAGE = 2000


class APIError(HTTPException):
    """Ends a request with an error in the platform's format; raised by `abort`."""

    def __init__(
        self,
        status: int,
        message: str,
        errors: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = status
        self.errors = errors
        self.headers = headers or {}


def abort(
    status: int,
    message: str,
    *,
    errors: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> NoReturn:
    """End the request with an error in the platform's format.

    `status` is 400 to 599. `errors` maps a field's name to a list of messages; mappings inside are
    flattened, to names such as `lines.0.amount`. `headers` are added to the answer.
    """
    raise APIError(status, message, errors, headers)


def error_body(status: int, message: str, errors: Mapping[str, Any] | None = None) -> bytes:
    """Return the JSON of an error; the body of every error is made here."""
    if not errors:
        return encode_json({"message": clip(message, _LONGEST_MESSAGE), "status": status})
    listed, total = bound_errors(errors)
    shown = sum(map(len, listed.values()))
    if shown < total:
        message = f"{message} The first {shown} of {total} errors are listed."
    body: dict[str, Any] = {"message": clip(message, _LONGEST_MESSAGE), "status": status}
    return encode_json({**body, "errors": listed} if listed else body)


def error_response(
    status: int,
    message: str,
    *,
    errors: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return an error as a Flask response; the arguments are those of `abort`."""
    response = Response(error_body(status, message, errors), status, mimetype="application/json")
    response.headers.update(headers or {})
    return response


def internal_error(environ: "WSGIEnvironment") -> APIError:
    """Return the error of a bug, which tells a client nothing but the request's id."""
    identifier = environ.get(REQUEST_ID_KEY, "-")
    message = f"Internal server error, request id {identifier}."
    return APIError(HTTPStatus.INTERNAL_SERVER_ERROR, message)


def unavailable(message: str, *, headers: Mapping[str, str] | None = None) -> APIError:
    """Return the 503 of what is out of reach or overloaded, and may be tried again soon."""
    retry_after = {"Retry-After": str(_RETRY_AFTER_SECONDS)}
    return APIError(
        HTTPStatus.SERVICE_UNAVAILABLE, message, headers={**retry_after, **(headers or {})}
    )


def response_of(error: APIError) -> Response:
    """Return an error as a Flask response."""
    return error_response(
        error.code or HTTPStatus.INTERNAL_SERVER_ERROR,
        str(error.description),
        errors=error.errors,
        headers=error.headers,
    )


def init_errors(app: Flask) -> None:
    """Register the handlers that answer every error raised in Flask in the error format."""
    app.register_error_handler(HTTPException, _answer_http)
    app.register_error_handler(DBAPIError, answer_database_error)
    app.register_error_handler(PoolTimeoutError, _answer_unavailable)
    app.register_error_handler(InternalServerError, _answer_bug)


def _answer_http(error: HTTPException) -> Response:
    if isinstance(error, APIError):
        return response_of(error)
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        error.valid_methods = sorted(error.valid_methods)  # Werkzeug's are in the order of a set
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    data = getattr(error, "data", None) or {}
    errors = data.get("errors") or data.get("messages")
    default = VALIDATION_MESSAGE if errors else _sentence(error)
    headers = {
        name: value
        for name, value in error.get_headers(request.environ)
        if name.lower() not in {"content-type", "content-length"}
    }
    headers |= data.get("headers") or {}
    return error_response(
        status, data.get("message") or default, errors=_by_field(errors), headers=headers
    )


def _sentence(error: HTTPException) -> str:
    # The description of a server error may quote internals.
    if error.code is None or error.code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return f"{error.name}."
    for kind, words in _WORDS.items():
        if isinstance(error, kind) and error.description == kind.description:
            return words(error)
    return error.description or f"{error.name}."


def _not_allowed(error: Any) -> str:
    if not error.valid_methods:
        return "The method is not allowed here."
    return f"The method is not allowed here; allowed are {', '.join(error.valid_methods)}."


def _not_found(_: object) -> str:
    """Return the message of a 404 that says no more; for no route, where the routes are listed."""
    if request.url_rule is not None or "docs" not in current_app.blueprints:
        return NOT_FOUND_MESSAGE
    return f"{NOT_FOUND_MESSAGE} {url_for('docs.page')} lists what there is."


def _too_large(_: object) -> str:
    limit = request.max_content_length
    return "The body is too large." if limit is None else f"The body is over {limit} bytes."


_WORDS: Mapping[type[HTTPException], Callable[[HTTPException], str]] = {
    MethodNotAllowed: _not_allowed,
    NotFound: _not_found,
    RequestEntityTooLarge: _too_large,
    ClientDisconnected: lambda _: "The request's body ends too early.",
    BadRequest: lambda _: "The request cannot be understood.",
}
"""What is said in place of the default descriptions of Werkzeug, which are for browsers."""


def _by_field(messages: Any) -> dict[str, Any] | None:
    """Flatten webargs' messages by location and field to messages by field."""
    if not isinstance(messages, dict):
        return None
    fields: dict[str, Any] = {}
    for location, found in messages.items():
        if isinstance(found, dict):
            fields |= found
        else:
            fields[location] = found
    return fields


def answer_database_error(error: DBAPIError) -> Response:
    """Answer 503 if the database is unavailable, else 500: the statement is a bug of the view."""
    if _is_unavailable(error):
        return _answer_unavailable(error)
    logger.error("database error", exc_info=error)
    return _answer_bug(error)


def _is_unavailable(error: DBAPIError) -> bool:
    if error.connection_invalidated:
        return True
    # SQLite raises `OperationalError` for a wrong statement, too.
    code = getattr(error.orig, "sqlite_errorcode", None)
    return isinstance(error, OperationalError) and code != sqlite3.SQLITE_ERROR


def _answer_unavailable(error: Exception) -> Response:
    deadline = current_deadline()
    if deadline is not None and deadline.left <= 0:
        logger.log(
            logging.INFO if deadline.is_asked else logging.WARNING,
            "the database has not answered within the %g s that %s gives a request: %s",
            deadline.seconds,
            "its client" if deadline.is_asked else "PEGBOARD_REQUEST_TIMEOUT",
            reason_of(error),
        )
        message = "The database did not answer within the time of the request."
        return error_response(HTTPStatus.GATEWAY_TIMEOUT, message)
    logger.warning("database unavailable: %s", reason_of(error))
    return response_of(unavailable("The database cannot answer at the moment. Try again."))


def _answer_bug(_: Exception) -> Response:
    """Answer 500; Flask has logged the error with the same request id."""
    return response_of(internal_error(request.environ))
