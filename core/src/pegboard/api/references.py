"""References in an OpenAPI document: shared headers, parameters and responses."""

from http import HTTPStatus
from typing import Any

from pegboard.api.status_names import status_name

JSON = dict[str, Any]

_HEADERS: dict[str, JSON] = {
    "Accept": {
        "description": "The content type that is accepted.",
        "schema": {"type": "string", "example": "application/json"},
    },
    "ETag": {
        "description": "The validator of the current representation, for `If-Match` and "
        "`If-None-Match`.",
        "schema": {"type": "string", "example": '"1f0e7c3a"'},
    },
    "Location": {
        "description": "Where the resource is, relative to this host.",
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "Seconds to wait before the request is sent again.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "X-Request-ID": {
        "description": "The id of the request, which the log of the service has as well: the "
        "request's own, or a new one.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"},
    },
}
_PARAMETERS: dict[str, JSON] = {
    "If-Match": {
        "description": "ETags, or `*`: the request is only carried out if the resource has one of "
        "them, else the answer is 412.",
    },
    "If-None-Match": {
        "description": "ETags, or `*`: the request is only carried out if the resource has none of "
        "them, else the answer is 304, or 412 to a request that would write.",
    },
}


def header(document: JSON, name: str) -> JSON:
    """Return a reference to a header that is described once in the document."""
    _component(document, "headers").setdefault(name, _HEADERS[name])
    return {"$ref": f"#/components/headers/{name}"}


def parameter(document: JSON, name: str) -> JSON:
    """Return a reference to a header of requests that is described once in the document."""
    described = {"in": "header", "name": name, **_PARAMETERS[name], "schema": {"type": "string"}}
    _component(document, "parameters").setdefault(name, described)
    return {"$ref": f"#/components/parameters/{name}"}


def put_response(document: JSON, responses: JSON, status: HTTPStatus, response: JSON) -> None:
    """Add a response to those of a call, as a reference to one that all calls share."""
    name = status_name(status)
    _component(document, "responses").setdefault(name, response)
    responses[str(status.value)] = {"$ref": f"#/components/responses/{name}"}


def resolve(document: JSON, part: JSON) -> JSON:
    """Return the part itself, or the component that it refers to; empty if there is none."""
    target: Any = part
    for _ in range(8):
        reference = target.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return target  # type: ignore[no-any-return]  # a part of a JSON document
        target = document
        for key in reference.removeprefix("#/").split("/"):
            target = target.get(key.replace("~1", "/").replace("~0", "~"), {})
    return {}


def _component(document: JSON, kind: str) -> JSON:
    found: JSON = document.setdefault("components", {}).setdefault(kind, {})
    return found
