"""The OpenAPI document: it says that calls need a key, and shows what a client has."""

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from flask import Flask, Response, request

from pegboard_tenants.directory import Directory
from pegboard_tenants.stage import plugin_of

_RESPONSE = "NO_TENANT"


def describe_key(document: dict[str, Any]) -> None:
    """Say that calls need a key, and that without one they are 401."""
    components = document.setdefault("components", {})
    components.setdefault("securitySchemes", {})["key"] = {"type": "http", "scheme": "bearer"}
    components.setdefault("responses", {})[_RESPONSE] = {
        "description": "Unauthorized",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
        "headers": {"WWW-Authenticate": {"schema": {"type": "string"}}},
    }
    for path, item in document.get("paths", {}).items():
        if path.startswith("/health"):
            continue
        for operation in item.values():
            if isinstance(operation, dict) and "responses" in operation:
                operation["security"] = [{"key": []}]
                operation["responses"]["401"] = {"$ref": f"#/components/responses/{_RESPONSE}"}


def show_by_tenant(app: Flask, directory: Directory) -> None:
    """Leave out of the document, as it is served, what a client does not have."""

    @app.after_request
    def leave_out(response: Response) -> Response:
        if request.endpoint == "openapi.openapi" and response.mimetype == "application/json":
            # The content is there also where the answer was to be a 304.
            document = json.loads(response.get_data())
            shown = without(app, document, directory.hidden_from(request.environ))
            response.status_code = 200
            response.set_data(json.dumps(shown, ensure_ascii=False))
            response.add_etag(overwrite=True)
            response.vary.add("Authorization")
            response.make_conditional(request)
        return response


def without(app: Flask, document: dict[str, Any], hidden: Collection[str]) -> dict[str, Any]:
    """Return a document without some plugins, and without what only they use of it."""
    kept = {
        re.sub(r"<(?:[^<>]*:)?(\w+)>", r"{\1}", rule.rule)
        for rule in app.url_map.iter_rules()
        if plugin_of(app, rule.endpoint) not in hidden
    }
    paths = {path: item for path, item in document["paths"].items() if path in kept}
    operations = [one for item in paths.values() for one in item.values() if isinstance(one, dict)]
    tags = {tag for operation in operations for tag in operation.get("tags", ())}
    return {
        **document,
        "paths": paths,
        "tags": [tag for tag in document.get("tags", ()) if tag["name"] in tags],
        "components": _used_by(paths, document.get("components", {})),
    }


def _used_by(paths: Mapping[str, Any], components: Mapping[str, Any]) -> dict[str, Any]:
    """Return the components that paths refer to, also by way of others; schemes all stay."""
    found = set[tuple[str, str]]()
    waiting = _references(paths)
    while waiting:
        kind, name = waiting.pop()
        if (kind, name) not in found:
            found.add((kind, name))
            waiting |= _references(components[kind][name])
    return {
        kind: {
            name: part
            for name, part in parts.items()
            if kind == "securitySchemes" or (kind, name) in found
        }
        for kind, parts in components.items()
    }


def _references(part: Any) -> set[tuple[str, str]]:
    return set(re.findall(r'"#/components/(\w+)/([^"]+)"', json.dumps(part)))
