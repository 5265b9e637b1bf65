"""What is wrong or missing in a plugin's part of the OpenAPI document."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from pegboard.grading.errors import Unavailable

NO_CONTENT = frozenset({"204", "205", "304"})


def lint(document: Mapping[str, Any], operations: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return what is wrong; `operations` are those of the plugin, by method and path.

    Raises `Unavailable` without openapi-spec-validator.
    """
    ids = Counter(
        operation.get("operationId")
        for item in document.get("paths", {}).values()
        for operation in item.values()
        if isinstance(operation, Mapping)
    )
    tags = {tag["name"] for tag in document.get("tags", ()) if tag.get("description")}
    found = [*_validate(document)]
    for name, operation in operations.items():
        found += (f"{name} {text}" for text in _mistakes(document, operation, ids, tags))
    return found


def _validate(document: Mapping[str, Any]) -> Iterator[str]:
    try:
        from openapi_spec_validator import (  # noqa: PLC0415 - an extra's
            OpenAPIV30SpecValidator,
            OpenAPIV31SpecValidator,
        )
    except ImportError as error:
        message = "needs openapi-spec-validator: pip install 'pegboard[author]'"
        raise Unavailable(message) from error
    is_old = str(document.get("openapi", "")).startswith("3.0")
    validator = OpenAPIV30SpecValidator if is_old else OpenAPIV31SpecValidator
    for mistake in validator(dict(document)).iter_errors():
        place = ".".join(map(str, getattr(mistake, "absolute_path", ()))) or "its top"
        text = getattr(mistake, "message", str(mistake))
        yield f"the document is not valid at {place}: {text}"


def _mistakes(
    document: Mapping[str, Any], operation: Mapping[str, Any], ids: Counter[Any], tags: set[str]
) -> Iterator[str]:
    own = operation.get("operationId")
    if not own:
        yield "has no operationId"
    elif ids[own] > 1:
        yield f"has the operationId {own} of another call"
    if not any(tag in tags for tag in operation.get("tags", ())):
        yield "has no tag with a description"
    for one in operation.get("parameters", ()):
        parameter = _resolved(document, one)
        if not str(parameter.get("description", "")).strip():
            yield f"does not describe the parameter {parameter.get('name')}"
    if "requestBody" in operation and not _has_schema(document, operation["requestBody"]):
        yield "takes a body without a schema"
    yield from _mistakes_of_answers(document, operation.get("responses", {}))


def _mistakes_of_answers(
    document: Mapping[str, Any], answers: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    if not any(status.startswith(("2", "3")) for status in answers):
        yield "documents no answer without an error"
    if not any(status.startswith("4") or status == "default" for status in answers):
        yield "documents no error"
    for status, answer in answers.items():
        if status.startswith("3") or status in NO_CONTENT or _has_schema(document, answer):
            continue
        yield f"has an answer {status} without a schema"


def _resolved(document: Mapping[str, Any], part: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in part:
        found: Any = document
        for step in part["$ref"].removeprefix("#/").split("/"):
            found = found.get(step.replace("~1", "/").replace("~0", "~"), {})
        part = found
    return part


def _has_schema(document: Mapping[str, Any], part: Mapping[str, Any]) -> bool:
    content = _resolved(document, part).get("content", {})
    return bool(content) and all(one.get("schema") for one in content.values())
