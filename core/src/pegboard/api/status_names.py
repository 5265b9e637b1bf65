"""Names of statuses in an OpenAPI document, the same on every Python.

Python 3.13 gave four statuses the names of RFC 9110, and clients are generated from the names.
"""

from http import HTTPStatus
from typing import Any

import flask_smorest

JSON = dict[str, Any]

_NAMES = {
    413: ("CONTENT_TOO_LARGE", "Content Too Large"),
    414: ("URI_TOO_LONG", "URI Too Long"),
    416: ("RANGE_NOT_SATISFIABLE", "Range Not Satisfiable"),
    422: ("UNPROCESSABLE_CONTENT", "Unprocessable Content"),
}
_FORMER_NAMES = {
    413: "REQUEST_ENTITY_TOO_LARGE",
    414: "REQUEST_URI_TOO_LONG",
    416: "REQUESTED_RANGE_NOT_SATISFIABLE",
    422: "UNPROCESSABLE_ENTITY",
}


def status_name(status: HTTPStatus) -> str:
    """Return the name of a status, as in `UNPROCESSABLE_CONTENT`."""
    return _NAMES[status][0] if status in _NAMES else status.name


def status_phrase(status: HTTPStatus) -> str:
    """Return what a status means, as in `Unprocessable Content`."""
    return _NAMES[status][1] if status in _NAMES else status.phrase


def accept_all_names(api: flask_smorest.Api, schema: Any) -> None:
    """Let views document an error by either of its names, whichever this Python has."""
    for status, (name, phrase) in _NAMES.items():
        content = {"application/json": {"schema": schema}}
        for one in (name, _FORMER_NAMES[status]):
            response = {"description": phrase, "content": content}
            api.spec.components.response(one, response, lazy=True)


def use_current_names(document: JSON) -> None:
    """Replace the former names of statuses in a document."""
    shared: JSON = document.get("components", {}).get("responses", {})
    references = {}
    for status, former in _FORMER_NAMES.items():
        if former in shared:
            name, _ = _NAMES[status]
            shared.setdefault(name, shared.pop(former))
            references[f"#/components/responses/{former}"] = f"#/components/responses/{name}"
    for item in document.get("paths", {}).values():
        for call in item.values():
            if isinstance(call, dict):
                _rename_in(call.get("responses", {}), references)


def _rename_in(responses: JSON, references: dict[str, str]) -> None:
    for status, response in responses.items():
        if (reference := response.get("$ref")) in references:
            response["$ref"] = references[reference]
        is_number = str(status).isdecimal() and int(status) in _NAMES
        if is_number and response.get("description") == HTTPStatus(int(status)).phrase:
            response["description"] = status_phrase(HTTPStatus(int(status)))
