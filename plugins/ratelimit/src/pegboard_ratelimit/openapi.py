"""Rate limits in the OpenAPI document."""

from http import HTTPStatus
from typing import Any

from flask import Flask

from pegboard.stages import EXEMPT_BLUEPRINTS
from pegboard_ratelimit.enforcement import LEGACY, POLICY, STATE, get_limiter, routes_of
from pegboard_ratelimit.rules import METHODS, shape

_RESPONSE = "RATE_LIMITED"
_RESPONSES = "#/components/responses/"
_TOO_MANY = str(HTTPStatus.TOO_MANY_REQUESTS.value)

_HEADERS = {
    POLICY: {
        "description": "The limits on this call: for each the quota `q` in any window of "
        "`w` seconds (draft-ietf-httpapi-ratelimit-headers-11).",
        "schema": {"type": "string", "example": '"default-minute";q=1000;w=60'},
    },
    STATE: {
        "description": "For each limit the requests `r` left, and the seconds `t` until there are "
        "more.",
        "schema": {"type": "string", "example": '"default-minute";r=999;t=60'},
    },
}
_LEGACY = {
    LEGACY[0]: "The quota of the limit with the fewest requests left.",
    LEGACY[1]: "The requests left of it.",
    LEGACY[2]: "When there are more, in seconds since 1970.",
}
_RETRY_AFTER = {
    "description": "Seconds until a request is admitted again.",
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
    # A rule added to the table can limit any other call at any time.
    exempt = {
        shape(route.rule.rule) for route in routes_of(app) if route.blueprint in EXEMPT_BLUEPRINTS
    }
    described: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
    for path, operations in document.get("paths", {}).items():
        for method, operation in operations.items():
            if method.upper() in METHODS or method == "head":
                responses = operation.setdefault("responses", {})
                is_limited = shape(path) not in exempt
                described[is_limited] += responses.values()
                if is_limited:
                    responses[_TOO_MANY] = {"$ref": f"{_RESPONSES}{_RESPONSE}"}
    _describe(components["responses"], described[True], described[False], references)


def _describe(
    components: dict[str, Any],
    limited: list[dict[str, Any]],
    exempt: list[dict[str, Any]],
    references: dict[str, Any],
) -> None:
    """Add the headers to the responses of limited calls."""
    # A response component is shared by calls; it gets the headers unless one of them is exempt.
    shared_by_exempt = {response.get("$ref") for response in exempt}
    for response in limited:
        reference = response.get("$ref", "")
        if not reference:
            response.setdefault("headers", {}).update(references)
        elif reference.startswith(_RESPONSES) and reference not in shared_by_exempt:
            shared = components.get(reference.removeprefix(_RESPONSES), {})
            if "$ref" not in shared:
                shared.setdefault("headers", {}).update(references)
