"""Completes the calls in an OpenAPI document with what the platform adds to every view.

A view declares what is its own. From that, and from what is the same for all calls, follow the
errors, the headers, the parameters of conditional requests, names and descriptions, so that clients
are generated alike from the calls of all plugins.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from flask import Flask
from flask_smorest.spec.plugins import FlaskPlugin
from werkzeug.routing import Rule

from pegboard.api.errors import ERROR_HEADERS, ERROR_SCHEMA, error_component, error_examples
from pegboard.api.references import header, parameter, put_response, resolve
from pegboard.http import encode_json

JSON = dict[str, Any]

_METHODS = frozenset({"delete", "get", "head", "options", "patch", "post", "put", "trace"})
_READING = frozenset({"get", "head"})


@dataclass(frozen=True)
class Operation:
    """One call of the document, with the rule of the app that serves it, if one does."""

    method: str
    """In small letters, as in the document."""
    path: str
    content: JSON
    parameters: list[JSON]
    """Those of the path, which all its calls have."""
    rule: Rule | None


def operations_of(document: JSON, app: Flask) -> Iterator[Operation]:
    """Yield the calls of a document."""
    rules = {
        (FlaskPlugin.flaskpath2openapi(rule.rule), method.lower()): rule
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
    }
    for path, item in document.get("paths", {}).items():
        for method, content in item.items():
            if method in _METHODS:
                rule = rules.get((path, method))
                yield Operation(method, path, content, item.get("parameters", []), rule)


def add_answers(document: JSON, operation: Operation, *, is_cached: bool) -> None:
    """Add the answers that a view does not document itself, and the conditions of a request."""
    responses: JSON = operation.content.setdefault("responses", {})
    if not any(str(status)[:1] in {"2", "3"} for status in responses):
        responses["200"] = {"description": HTTPStatus.OK.phrase}
    for status in _error_statuses(document, operation):
        if str(status.value) not in responses:
            put_response(document, responses, status, error_component(status))
    if is_cached and operation.method in _READING:
        _add_conditions_of_cached(document, responses)
    _add_condition_parameters(document, operation, responses)


def _error_statuses(document: JSON, operation: Operation) -> Iterator[HTTPStatus]:
    """Yield the errors with which every call of its kind can be answered."""
    parameters = [
        resolve(document, one)
        for one in (*operation.content.get("parameters", ()), *operation.parameters)
    ]
    in_path = [one for one in parameters if one.get("in") == "path"]
    if len(operation.path) > 1 and (
        operation.path.endswith("/")
        or any(one.get("schema", {}).get("type") == "string" for one in in_path)
    ):
        yield HTTPStatus.PERMANENT_REDIRECT
    yield HTTPStatus.BAD_REQUEST
    yield HTTPStatus.NOT_ACCEPTABLE
    if "requestBody" in operation.content:
        yield HTTPStatus.REQUEST_TIMEOUT
        yield HTTPStatus(413)
        yield HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    if operation.method == "delete" or "requestBody" in operation.content:
        yield HTTPStatus.CONFLICT  # what the database refuses
    yield HTTPStatus(422)  # of a parameter that is not declared, at least
    if "{" in operation.path:
        yield HTTPStatus.NOT_FOUND
    yield HTTPStatus.INTERNAL_SERVER_ERROR
    yield HTTPStatus.SERVICE_UNAVAILABLE


def _add_conditions_of_cached(document: JSON, responses: JSON) -> None:
    """Document what every cached view does: send an `ETag`, answer 304 and 412."""
    if "200" in responses:
        resolve(document, responses["200"]).setdefault("headers", {}).setdefault(
            "ETag", header(document, "ETag")
        )
    for status in (HTTPStatus.NOT_MODIFIED, HTTPStatus.PRECONDITION_FAILED):
        if str(status.value) not in responses:
            put_response(document, responses, status, error_component(status))


def _add_condition_parameters(document: JSON, operation: Operation, responses: JSON) -> None:
    """Document the headers that a call answers with 304 or 412.

    A view that calls `require_preconditions` documents 412, and respects both headers.
    """
    wanted = set()
    if "304" in responses:
        wanted = {"If-None-Match"}
    if "412" in responses:
        wanted = {"If-Match", "If-None-Match"}
    given = operation.content.get("parameters", [])
    known = {
        resolve(document, one).get("name", "").lower()
        for one in (*given, *operation.parameters)
        if resolve(document, one).get("in") == "header"
    }
    if missing := [name for name in sorted(wanted) if name.lower() not in known]:
        operation.content["parameters"] = [
            *given,
            *(parameter(document, name) for name in missing),
        ]


def add_names(operations: Collection[Operation]) -> None:
    """Give each call an `operationId`, a summary and a description, where its view has none.

    Raises `OperationIdError` where two views give the same one.
    """
    used: dict[str, Operation] = {}
    for operation in operations:
        if (name := operation.content.get("operationId")) is not None:
            other = used.setdefault(name, operation)
            if other is not operation:
                raise OperationIdError(operation, other)
    for operation in operations:
        name = default = _default_id(operation, operations)
        if "operationId" not in operation.content:
            number = 2
            while name in used:
                name, number = f"{default}_{number}", number + 1
            used[name] = operation
            operation.content["operationId"] = name
        if not operation.content.get("summary"):
            operation.content["summary"] = default.replace("_", " ").capitalize() + "."
        if not operation.content.get("description"):
            operation.content["description"] = operation.content["summary"]


class OperationIdError(Exception):
    """Raised when two calls have the same `operationId`, which client generators need unique."""

    def __init__(self, operation: Operation, other: Operation) -> None:
        name = operation.content["operationId"]
        super().__init__(
            f"{operation.method.upper()} {operation.path} has the operationId {name} of "
            f"{other.method.upper()} {other.path}"
        )
        self.operation = operation
        self.other = other


def _default_id(operation: Operation, operations: Collection[Operation]) -> str:
    """Return a name as in `notes_list_notes` of a function, `get_notes_note_by_id` of a class."""
    if operation.rule is None:
        return _snake(f"{operation.method}_{operation.path}")
    endpoint = operation.rule.endpoint
    methods = [one for one in operations if one.rule and one.rule.endpoint == endpoint]
    last = endpoint.rpartition(".")[2]
    if len(methods) == 1 and last == last.lower():
        return _snake(endpoint)
    return _snake(f"{operation.method}_{endpoint}")


def _snake(text: str) -> str:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+", "_", text)
    return words.strip("_").lower()


def add_headers_and_examples(document: JSON, operations: Collection[Operation]) -> None:
    """Document what every answer of a status has, in responses of any origin."""
    found: list[tuple[str, JSON]] = [
        (str(status), response)
        for operation in operations
        for status, response in operation.content.get("responses", {}).items()
    ]
    for status, reference in found:
        response = resolve(document, reference)
        headers = response.setdefault("headers", {})
        known = {name.lower() for name in headers}
        for name in ("X-Request-ID", *ERROR_HEADERS.get(status, ())):
            if name.lower() not in known:
                headers[name] = header(document, name)
        for media in response.get("content", {}).values():
            if media.get("schema") == ERROR_SCHEMA and media.keys() <= {"schema"}:
                media.update(error_examples(int(status)))


def drop_defaults(schemas: Mapping[str, Any]) -> None:
    """Say in words what a field that is left out means, in place of `default`.

    Generators take a field with a default for one that is always there (openapi-typescript), and
    make clients give it.
    """
    for schema in schemas.values():
        required = schema.get("required", ())
        for name, field in schema.get("properties", {}).items():
            if name in required or not isinstance(field, dict) or "default" not in field:
                continue
            default = field.pop("default")
            if default is not None:
                words = field.get("description", "").strip()
                is_plain = isinstance(default, str) and default.strip()
                text = default if is_plain else encode_json(default).decode()
                field["description"] = f"{words} Default: `{text}`.".strip()


def add_tags(document: JSON, operations: Collection[Operation]) -> None:
    """List and describe every tag that a call has."""
    tags: list[JSON] = document.setdefault("tags", [])
    known = {tag["name"] for tag in tags}
    for operation in operations:
        for name in operation.content.get("tags", ()):
            if name not in known:
                known.add(name)
                tags.append({"name": name})
    for tag in tags:
        tag["description"] = tag.get("description") or f"The calls of {tag['name']}."
