"""The documentation of a service: its OpenAPI document, and the page that shows it."""

from typing import Any

from flask import Flask

from pegboard.api import Api, OpenAPIDocument, docs_blueprint, openapi_blueprint
from pegboard.plugins import Registry, call_plugin


def add_documentation(app: Flask) -> OpenAPIDocument:
    """Serve `/openapi.json` and `/docs`; the document is empty until it is rendered."""
    document = OpenAPIDocument()
    app.register_blueprint(openapi_blueprint(document))
    app.register_blueprint(docs_blueprint())
    return document


def render_document(document: OpenAPIDocument, app: Flask, api: Api, assembled: Registry) -> None:
    """Render the document of all blueprints, after each plugin's `pegboard_openapi` changed it."""
    content: dict[str, Any] = api.spec.to_dict()
    for plugin in assembled.plugins:
        call_plugin(assembled.manager, plugin, "pegboard_openapi", app=app, document=content)
    document.render(content)
