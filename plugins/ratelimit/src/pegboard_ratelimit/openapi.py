"""What the OpenAPI document says about limits."""

from http import HTTPStatus
from typing import Any

from flask import Flask

from pegboard_ratelimit.headers import LEGACY, POLICY, STATE
from pegboard_ratelimit.limiter import get_limiter, routes_of
from pegboard_ratelimit.matching import shape

UNLIMITED = frozenset({"docs", "health", "openapi"})
"""Blueprints of the core that no stage sees."""

_RESPONSE = "RATE_LIMITED"

_HEADERS = {
    POLICY: {
        "description": "The limits that hold for this call: of each its quota `q` in any window of "
        "`w` seconds (draft-ietf-httpapi-ratelimit-headers-11).",
        "schema": {"type": "string", "example": '"default-minute";q=1000;w=60'},
    },
    STATE: {
        "description": "For each limit how many requests `r` are left, and in how many seconds `t` "
        "there are more.",
        "schema": {"type": "string", "example": '"default-minute";r=999;t=60'},
    },
}
_LEGACY = {
    LEGACY[0]: "The quota of the limit that is nearest to its end.",
    LEGACY[1]: "How many requests are left of it.",
    LEGACY[2]: "When there are more, in seconds since 1970.",
}
_RETRY_AFTER = {
    "description": "Seconds until a request is admitted.",
    "schema": {"type": "integer", "minimum": 1},
}


def describe_limits(app: Flask, document: dict[str, Any]) -> None:
    """Document 429 and the headers for every call that can be limited."""
    limiter = get_limiter(app)
    if limiter is None:
        return
    components = document.setdefault("components", {})
    headers = dict(_HEADERS)
    if limiter.has_legacy_headers:
        headers |= {
            name: {"description": text, "schema": {"type": "integer", "minimum": 0}}
            for name, text in _LEGACY.items()
        }
    components.setdefault("headers", {}).update(headers)
    references = {name: {"$ref": f"#/components/headers/{name}"} for name in headers}
    components.setdefault("responses", {})[_RESPONSE] = {
        "description": HTTPStatus.TOO_MANY_REQUESTS.phrase,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
        "headers": {**references, "Retry-After": _RETRY_AFTER},
    }
    limited = {
        (shape(route.rule.rule), route.method.lower())
        for route in routes_of(app)
        if route.blueprint not in UNLIMITED and limiter.limits(route)
    }
    for path, operations in document.get("paths", {}).items():
        for method, operation in operations.items():
            if (shape(path), method) in limited:
                _describe(operation, references)


def _describe(operation: dict[str, Any], references: dict[str, Any]) -> None:
    responses = operation.setdefault("responses", {})
    for response in responses.values():
        # An error that many calls share is described in one place, for all of them.
        if "$ref" not in response:
            response.setdefault("headers", {}).update(references)
    responses[str(HTTPStatus.TOO_MANY_REQUESTS.value)] = {
        "$ref": f"#/components/responses/{_RESPONSE}"
    }
