"""Errors in the OpenAPI document: their schema, an example and the headers of each status."""

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from marshmallow import Schema, fields
from werkzeug.exceptions import default_exceptions

from pegboard.api.status_names import status_phrase
from pegboard.http import (
    NO_HOST_MESSAGE,
    NOT_FOUND_MESSAGE,
    PRECONDITION_FAILED_MESSAGE,
    VALIDATION_MESSAGE,
)


class ErrorSchema(Schema):
    """The body of every error."""

    message = fields.String(required=True, metadata={"description": "What went wrong."})
    status = fields.Integer(required=True, metadata={"description": "The HTTP status."})
    errors = fields.Dict(
        keys=fields.String(),
        values=fields.List(fields.String()),
        metadata={
            "description": "What is wrong with each field, in the body or the query; one inside "
            "another is named as in `lines.0.amount`."
        },
    )


ERROR_HEADERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "304": ("ETag",),
        "308": ("Location",),
        "412": ("ETag",),
        "415": ("Accept",),
        "429": ("Retry-After",),
        "503": ("Retry-After",),
    }
)
"""The headers that tell a client what to do next, by the status of the answer."""

_MESSAGES: Mapping[int, str] = {
    308: "The resource is at /api/things/.",
    400: "The body is not valid JSON: Expecting value at line 1, column 1.",
    404: f"{NOT_FOUND_MESSAGE} /docs lists what there is.",
    406: "Accept-Encoding excludes all codings; known are zstd, br, gzip, identity.",
    408: "Nothing of the request's body arrived for 30 seconds.",
    409: "Another thing has this name already.",
    412: PRECONDITION_FAILED_MESSAGE,
    413: "The body is over 1048576 bytes.",
    415: "The body must be JSON, sent as Content-Type: application/json.",
    422: VALIDATION_MESSAGE,
    429: "Too many requests: at most 1000 in 60 seconds are allowed.",
    500: "Internal server error, request id 0af7651916cd43dd8448eb211c80319c.",
    503: "The database cannot answer at the moment. Try again.",
}
_OTHER_MESSAGES = {
    400: ("body", "host", NO_HOST_MESSAGE),
    404: ("path", "thing", "There is no thing 7."),
}
"""Names of two examples, and the message of the second, for statuses with two common reasons."""

_ERRORS = {422: {"name": ["Missing data for required field."]}}


ERROR_SCHEMA = {"$ref": "#/components/schemas/Error"}
"""The reference to `ErrorSchema` in a document."""


def error_component(status: HTTPStatus) -> dict[str, Any]:
    """Return the description of the answers of a status."""
    if status == HTTPStatus.NOT_MODIFIED:
        return {"description": "The client has the current representation."}
    content = {"application/json": {"schema": dict(ERROR_SCHEMA)}}
    return {"description": status_phrase(status), "content": content}


def error_examples(status: int) -> dict[str, Any]:
    """Return `example` with a body that answers of a status have, or `examples` of several."""
    example: dict[str, Any] = {"message": _message(status), "status": status}
    if status in _ERRORS:
        example["errors"] = _ERRORS[status]
    if status not in _OTHER_MESSAGES:
        return {"example": example}
    name, other_name, message = _OTHER_MESSAGES[status]
    other = {"message": message, "status": status}
    return {"examples": {other_name: {"value": other}, name: {"value": example}}}


def _message(status: int) -> str:
    if status in _MESSAGES:
        return _MESSAGES[status]
    error = default_exceptions.get(status)
    return str(error.description) if error is not None else "It cannot be done."
