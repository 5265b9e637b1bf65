"""What the client of a request may expect, as the OpenAPI document says it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from flask import Flask

from pegboard.inspection.owners import describe
from pegboard.stages import Match, Route


@dataclass(frozen=True)
class ExpectedAnswer:
    """An answer that a client may get."""

    status: str
    description: str
    headers: tuple[str, ...]


def operation_of(app: Flask, route: Route) -> Mapping[str, Any] | None:
    """Return what the OpenAPI document says of a route."""
    from flask_smorest.spec.plugins import FlaskPlugin  # noqa: PLC0415 - slow to import

    api = app.extensions["flask-smorest"]["apis"][""]["ext_obj"]
    document: Mapping[str, Any] = api.spec.to_dict()
    item = document["paths"].get(FlaskPlugin.flaskpath2openapi(route.rule.rule), {})
    method = "get" if route.method == "HEAD" else route.method.lower()
    found: Mapping[str, Any] | None = item.get(method)
    return found and {**found, "responses": _resolved(found.get("responses", {}), document)}


def _resolved(responses: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    components = document.get("components", {})
    return {
        str(status): components.get("responses", {}).get(one["$ref"].rpartition("/")[2], {})
        if "$ref" in one
        else one
        for status, one in responses.items()
    }


def answers_of(app: Flask, route: Route, match: Match) -> Iterator[ExpectedAnswer]:
    """Yield the answers of a route; for one that is not documented, only that there are some."""
    operation = operation_of(app, route)
    if operation is None:
        if route.method == "OPTIONS":
            yield ExpectedAnswer("200", "OK", ("Allow",))
        else:
            yield ExpectedAnswer("any", f"what {describe(route.function)} answers", ())
        yield from answers_of_stages(match)
        return
    for status, response in sorted(operation["responses"].items()):
        headers = tuple(sorted(response.get("headers", {})))
        yield ExpectedAnswer(status, " ".join(response.get("description", "").split()), headers)


def answers_of_stages(match: Match) -> Iterator[ExpectedAnswer]:
    """Yield what stages may answer in place of what no document describes."""
    if match.handlers:
        yield ExpectedAnswer("4XX, 5XX", "what a stage answers", ())


def answers_unmatched(outcome: str) -> Iterator[ExpectedAnswer]:
    """Yield the answer where no route matches; `outcome` begins with its status."""
    status = HTTPStatus(int(outcome.partition(" ")[0]))
    headers = {HTTPStatus.METHOD_NOT_ALLOWED: ("Allow",), HTTPStatus.NOT_FOUND: ()}
    yield ExpectedAnswer(str(status.value), status.phrase, headers.get(status, ("Location",)))
