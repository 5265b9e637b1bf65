"""The OpenAPI document as it is served."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import flask
from flask import Response, request

from pegboard.http import encode_json

ROOT_SERVERS = [{"url": "/"}]
"""The servers in the document, of a service without a path prefix."""


@dataclass
class OpenAPIDocument:
    """The bytes of the OpenAPI document of one app, which are rendered once and then served."""

    content: bytes = b""
    _document: Mapping[str, Any] = field(default_factory=dict)

    def render(self, document: Mapping[str, Any]) -> None:
        """Render the document as JSON."""
        self._document = document
        self.content = encode_json(document)

    def content_at(self, prefix: str) -> bytes:
        """Return the bytes for clients that reach the service under a path prefix."""
        if not prefix or self._document.get("servers") != ROOT_SERVERS:
            return self.content
        document = {**self._document, "servers": [{"url": prefix}]}
        return encode_json(document)


def openapi_blueprint(document: OpenAPIDocument) -> flask.Blueprint:
    """Return a blueprint that serves `/openapi.json`."""
    blueprint = flask.Blueprint("openapi", __name__)

    @blueprint.get("/openapi.json")
    def openapi() -> Response:
        content = document.content_at(request.script_root)
        response = Response(content, mimetype="application/json")
        response.set_etag(hashlib.sha256(content).hexdigest())
        response.make_conditional(request)
        return response

    return blueprint
