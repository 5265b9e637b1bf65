"""Blueprints with documented views and strictly parsed arguments, and the OpenAPI document."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

import apispec
import flask
import flask_smorest
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Flask, Request, Response, json, request
from marshmallow import RAISE, Schema, ValidationError, fields
from webargs.core import is_json
from webargs.flaskparser import FlaskParser
from webargs.multidictproxy import MultiDictProxy

from pegboard.http import InvalidJSONError, abort, load_json

OPENAPI_VERSION = "3.0.3"
ROOT_SERVERS = [{"url": "/"}]
"""The servers in the document, of a service without a path prefix."""


class ErrorSchema(Schema):
    """The body of every error."""

    message = fields.String(required=True, metadata={"description": "What went wrong."})
    status = fields.Integer(required=True, metadata={"description": "The HTTP status."})
    errors = fields.Dict(
        keys=fields.String(), metadata={"description": "What is wrong with each field."}
    )


class StrictParser(FlaskParser):
    """Parses a request's arguments; rejects invalid JSON, unknown and repeated parameters."""

    DEFAULT_UNKNOWN_BY_LOCATION: dict[str, str | None] = {  # noqa: RUF012 - as in the parent
        **FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION,
        "query": RAISE,
        "querystring": RAISE,
    }

    def _raw_load_json(self, req: Request) -> Any:
        if (
            not is_json(req.mimetype)
            or req.headers.get("Content-Encoding", "identity") != "identity"
        ):
            abort(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                "The body must be JSON, sent as Content-Type: application/json.",
                headers={"Accept": "application/json"},
            )
        try:
            return load_json(req.get_data(cache=True))
        except InvalidJSONError as error:
            abort(HTTPStatus.BAD_REQUEST, f"The body is not valid JSON: {error}.")

    def load_querystring(self, req: Request, schema: Schema) -> MultiDictProxy:
        """Return the query's parameters; only those that are lists may be repeated."""
        found: MultiDictProxy = super().load_querystring(req, schema)
        repeated = {
            name: ["Given more than once."]
            for name, values in req.args.lists()
            if len(values) > 1 and not isinstance(schema.fields.get(name), fields.List)
        }
        if repeated:
            raise ValidationError(repeated)
        return found


if TYPE_CHECKING:
    F = TypeVar("F", bound=Callable[..., Any])
    AnySchema = Schema | type[Schema]

    class _DocumentedBlueprint(flask.Blueprint):
        """The part of flask-smorest's blueprint that plugins use, with types."""

        def __init__(self, *args: Any, description: str = "", **kwargs: Any) -> None: ...
        def arguments(
            self, schema: AnySchema, *, location: str = "json", **kwargs: Any
        ) -> Callable[[F], F]: ...
        def response(
            self, status_code: int, schema: AnySchema | None = None, **kwargs: Any
        ) -> Callable[[F], F]: ...
        def alt_response(
            self,
            status_code: int,
            response: str | None = None,
            *,
            schema: AnySchema | None = None,
            **kwargs: Any,
        ) -> Callable[[F], F]: ...
        def route(self, rule: str, **options: Any) -> Callable[[F], F]: ...  # a view class, too
        def doc(self, **kwargs: Any) -> Callable[[F], F]: ...
        def register_views_in_doc(self, *args: Any, **kwargs: Any) -> None: ...
else:
    _DocumentedBlueprint = flask_smorest.Blueprint


class Blueprint(_DocumentedBlueprint):
    """A blueprint of flask-smorest: its views are in the OpenAPI document, its arguments strict.

    `arguments`, `response`, `alt_response` and `doc` decorate its views. A view with
    `arguments(..., location="query")` answers unknown and repeated parameters of the query with
    422, one without ignores the query. Invalid JSON is answered 400. Text may contain U+0000, which
    PostgreSQL cannot store: let the schema refuse it.
    """

    ARGUMENTS_PARSER = StrictParser()

    def register_views_in_doc(self, api: "Api", app: Flask, *args: Any, **kwargs: Any) -> None:
        """Document the views in the app's context, as schemas may read its settings."""
        with app.app_context():
            super().register_views_in_doc(api, app, *args, **kwargs)


class ErrorStatuses(apispec.BasePlugin):
    """Documents the errors with which every operation of its kind can be answered."""

    def operation_helper(
        self,
        path: str | None = None,
        operations: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Add a response for each of these statuses that the view does not document itself."""
        for operation in (operations or {}).values():
            responses = operation.setdefault("responses", {})
            documented = {str(int(status)) for status in responses if str(status).isdigit()}
            for status in _error_statuses(path or "", operation):
                if str(status.value) not in documented:
                    responses[str(status.value)] = status.name


def _error_statuses(path: str, operation: Mapping[str, Any]) -> Iterator[HTTPStatus]:
    locations = {
        parameter["in"] for parameter in operation.get("parameters", ()) if "in" in parameter
    }
    if "requestBody" in operation:
        yield HTTPStatus.BAD_REQUEST
        yield HTTPStatus.REQUEST_TIMEOUT
        yield HTTPStatus(413)
        yield HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    if "requestBody" in operation or "query" in locations:
        yield HTTPStatus(422)
    if "{" in path:
        yield HTTPStatus.NOT_FOUND
    yield HTTPStatus.INTERNAL_SERVER_ERROR
    yield HTTPStatus.SERVICE_UNAVAILABLE


class Api(flask_smorest.Api):  # type: ignore[misc]  # it has no types
    """The OpenAPI document of one app."""

    ERROR_SCHEMA = ErrorSchema
    DEFAULT_ERROR_RESPONSE_NAME = None
    """No default error of flask-smorest: `ErrorStatuses` documents those of the platform."""


def init_api(app: Flask, plugin_packages: Mapping[str, str]) -> Api:
    """Create the app's API; `plugin_packages` maps an import package to its plugin's name.

    The names of schemas in the document begin with the plugin's name, so that they cannot collide
    and do not depend on which other plugins are active.
    """
    app.config["OPENAPI_VERSION"] = OPENAPI_VERSION
    return Api(
        app,
        spec_kwargs={
            "marshmallow_plugin": MarshmallowPlugin(
                schema_name_resolver=lambda schema: component_name(schema, plugin_packages)
            ),
            "extra_plugins": [ErrorStatuses()],
            "servers": ROOT_SERVERS,
        },
    )


def component_name(schema: Any, plugin_packages: Mapping[str, str]) -> str:
    """Return the name of a schema in the document, as in `items.Item`."""
    kind = schema if isinstance(schema, type) else type(schema)
    plugin = plugin_packages.get(kind.__module__.partition(".")[0])
    bare = kind.__name__.removesuffix("Schema") or kind.__name__
    return f"{plugin}.{bare}" if plugin else bare


@dataclass
class OpenAPIDocument:
    """The bytes of the OpenAPI document of one app, which are rendered once and then served."""

    content: bytes = b""
    _document: Mapping[str, Any] = field(default_factory=dict)

    def render(self, document: Mapping[str, Any]) -> None:
        """Render the document as JSON."""
        self._document = document
        self.content = json.dumps(document, indent=2, sort_keys=False).encode()

    def content_at(self, prefix: str) -> bytes:
        """Return the bytes for clients that reach the service under a path prefix."""
        if not prefix or self._document.get("servers") != ROOT_SERVERS:
            return self.content
        document = {**self._document, "servers": [{"url": prefix}]}
        return json.dumps(document, indent=2, sort_keys=False).encode()


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
