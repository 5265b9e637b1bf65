"""The Flask application of an assembled service."""

from http import HTTPStatus
from typing import Any, NoReturn
from urllib.parse import urlsplit, urlunsplit

from flask import Flask, Response
from flask import Request as FlaskRequest
from werkzeug.exceptions import HTTPException
from werkzeug.routing import MapAdapter, RequestRedirect

from pegboard.http import Request, abort
from pegboard.stages import MATCH


class Service(Flask):
    """The Flask application of an assembled service."""

    request_class = Request

    def create_url_adapter(self, request: FlaskRequest | None) -> MapAdapter | None:
        """Take over the route that a stage has found already."""
        adapter = super().create_url_adapter(request)
        if adapter is None or request is None or MATCH not in request.environ:
            return adapter
        found, search = request.environ[MATCH], adapter.match

        def match(*args: Any, **kwargs: Any) -> Any:
            if args or kwargs.keys() - {"return_rule"}:
                return search(*args, **kwargs)  # of another path or method
            return found.route.rule, dict(found.arguments)

        adapter.match = match  # type: ignore[method-assign]  # of this request only
        return adapter

    def raise_routing_exception(self, request: FlaskRequest) -> NoReturn:
        """Redirect relatively: a request's Host header must not steer where its answer leads."""
        error = request.routing_exception
        if not isinstance(error, RequestRedirect):
            super().raise_routing_exception(request)
        target = urlsplit(error.new_url)
        location = urlunsplit(("", "", "/" + target.path.lstrip("/"), target.query, ""))
        status = HTTPStatus.PERMANENT_REDIRECT
        abort(status, f"The resource is at {location}.", headers={"Location": location})

    def process_response(self, response: Response) -> Response:
        """Answer an HTTP error that is raised when an answer is finished, as by its session."""
        try:
            return super().process_response(response)
        except HTTPException as error:
            return super().process_response(self.make_response(self.handle_user_exception(error)))
