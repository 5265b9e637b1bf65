"""Parsing the arguments of a request strictly."""

from typing import Any, NoReturn

from flask import Request
from marshmallow import Schema, ValidationError
from webargs.core import is_json
from webargs.flaskparser import FlaskParser
from webargs.multidictproxy import MultiDictProxy

from pegboard.api.declarations import shared_instance
from pegboard.api.messages import plain_messages
from pegboard.api.query import LOCATIONS, load_query, query_errors
from pegboard.http import abort, read_json


class StrictParser(FlaskParser):
    """Parses a request's arguments; rejects invalid JSON and repeated parameters.

    Unknown parameters of the query are for `check_query`, which knows all schemas of a view.
    """

    def _get_schema(self, argmap: Any, req: Request) -> Schema:
        if isinstance(argmap, type) and issubclass(argmap, Schema):
            return shared_instance(argmap) or argmap()
        return super()._get_schema(argmap, req)

    def _raw_load_json(self, req: Request) -> Any:
        if not is_json(req.mimetype):
            message = "The body must be JSON, sent as Content-Type: application/json."
            abort(415, message, headers={"Accept": "application/json"})
        return read_json(req)

    def handle_error(
        self, error: ValidationError, req: Request, schema: Schema, **kwargs: Any
    ) -> NoReturn:
        """Answer 422 in the platform's words; for a query with what its other schemas refuse."""
        if isinstance(error.messages, dict):
            error.messages = {
                location: (query_errors(req) if location in LOCATIONS else {})
                | plain_messages(found, schema)
                for location, found in error.messages.items()
            }
        super().handle_error(error, req, schema, **kwargs)

    def load_querystring(self, req: Request, schema: Schema) -> MultiDictProxy:
        """Return the query's parameters for a schema, none of them repeated but lists."""
        return load_query(self, req, schema)
