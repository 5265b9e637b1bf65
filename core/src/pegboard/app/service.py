"""The Flask application of a service."""

from collections.abc import Callable
from functools import partial
from inspect import CO_COROUTINE
from operator import attrgetter
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit, urlunsplit

from flask import Flask, Response, request
from flask import Request as FlaskRequest
from flask.sessions import SecureCookieSessionInterface
from werkzeug.exceptions import HTTPException
from werkzeug.routing import MapAdapter, RequestRedirect

from pegboard.api import check_query
from pegboard.app.commands import AppCommands
from pegboard.http import JSONProvider, Request, error_response
from pegboard.plugins import Registry
from pegboard.settings import Configuration
from pegboard.stages import MATCH, Match, note_middleware
from pegboard.start_times import timed

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_MOST_HOSTS = 256
_COROUTINE_MARKS = frozenset({"_is_coroutine_marker", "_is_coroutine_mark"})
"""What `inspect.markcoroutinefunction` sets on a function, in Python 3.12 and later."""


@timed("make the app")
def new_service(configuration: Configuration, assembled: Registry) -> "Service":
    """Return an app that has its configuration, the settings of plugins included."""
    app = Service("pegboard", static_folder=None, instance_path=str(Path.cwd() / "instance"))
    app.json = JSONProvider(app)
    app.config.from_mapping(configuration.flask)
    app.config.from_mapping({value.declaration.key: value.value for value in assembled.values})
    app.config["PROPAGATE_EXCEPTIONS"] = configuration.core.testing
    return app


class CookieSessions(SecureCookieSessionInterface):
    """Sessions in signed cookies, which browsers send to this service alone."""

    opens_any = True
    """That no request is refused a session, as with Flask's own."""

    def get_cookie_path(self, app: Flask) -> str:
        """Return the path prefix of the request, unless another path is configured."""
        configured = super().get_cookie_path(app)
        is_default = configured == "/" and not app.config["SESSION_COOKIE_PATH"]
        return (request.script_root or configured) if is_default else configured


class Service(Flask):
    """A Flask app that reuses the route found by stages, and answers all errors in one format."""

    request_class = Request
    session_interface = CookieSessions()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take the arguments of `flask.Flask`."""
        super().__init__(*args, **kwargs)
        self.cli = AppCommands(self.name)
        self._bindable_hosts: set[str] = set()

    def _put_around(self, layer: "WSGIApplication") -> None:
        """Note middleware: nothing else can tell what a plugin has put around the app."""
        self._outermost = layer
        note_middleware(self, layer)

    # Of the class, as an app that referred to its own method would be freed late.
    _outermost: Callable[..., Any] = Flask.wsgi_app
    # Its getter is no Python function, as each request calls it.
    wsgi_app = property(attrgetter("_outermost"), _put_around)

    def create_url_adapter(self, request: FlaskRequest | None) -> MapAdapter | None:
        """Return an adapter that gives the route found for the stages, not searching again."""
        if request is None or MATCH not in request.environ:
            return super().create_url_adapter(request)
        match, bind = request.environ[MATCH], partial(super().create_url_adapter, request)
        host = request.environ.get("HTTP_HOST")
        if host in self._bindable_hosts and self.config.get("TRUSTED_HOSTS") is None:
            return _MatchedAdapter(match, bind)
        adapter = bind()
        if adapter is None:
            return None
        # A host that is refused is so for itself, unless the app trusts certain ones only.
        if host and request.trusted_hosts is None and len(self._bindable_hosts) < _MOST_HOSTS:
            self._bindable_hosts.add(host)
        return _MatchedAdapter(match, lambda: adapter)

    def dispatch_request(self, *context: Any) -> Any:
        """Run the view, if it declares all parameters of the request's query."""
        if request.routing_exception is None:
            check_query(self, request)
        return super().dispatch_request(*context)

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that can be called as one that is not async."""
        plain = getattr(func, "__func__", func)
        if (
            type(plain) is FunctionType
            and not plain.__code__.co_flags & CO_COROUTINE
            and _COROUTINE_MARKS.isdisjoint(vars(plain))
        ):
            return func  # as almost all are, and the usual check takes long
        return super().ensure_sync(func)

    def raise_routing_exception(self, request: FlaskRequest) -> NoReturn:
        """Redirect as Flask does, with an answer in the platform's format."""
        redirect, adapter = request.routing_exception, self.create_url_adapter(request)
        if isinstance(redirect, RequestRedirect) and adapter is not None:
            request.routing_exception = RelativeRedirect(redirect.new_url, adapter.get_host(None))
        super().raise_routing_exception(request)

    def make_default_options_response(self) -> Response:
        """Return an answer to `OPTIONS`, without a type as it has no body."""
        response = super().make_default_options_response()
        response.headers["Allow"] = ", ".join(sorted(response.allow))
        del response.headers["Content-Type"]
        return response

    def process_response(self, response: Response) -> Response:
        """Answer an HTTP error that an `after_request` function or saving the session raises."""
        try:
            return super().process_response(response)
        except HTTPException as error:
            return super().process_response(self.make_response(self.handle_user_exception(error)))


class _MatchedAdapter(MapAdapter):
    """The URL adapter of one request whose route is known; bound to its URL when that is used."""

    def __init__(self, found: Match, bind: Callable[[], MapAdapter | None]) -> None:
        self._found = found
        self._bind = bind

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or "map" in vars(self):
            raise AttributeError(name)
        vars(self).update(vars(self._bind()))
        return getattr(self, name)

    def match(self, *args: Any, **kwargs: Any) -> Any:
        """Return the rule and the arguments; searches for another path or method."""
        if args or kwargs.keys() - {"return_rule"}:
            return super().match(*args, **kwargs)
        assert self._found.route is not None  # else there is no match in the environment
        return self._found.route.rule, dict(self._found.arguments)


class RelativeRedirect(RequestRedirect):
    """A redirect that names no host but another one: the request's `Host` header may be forged."""

    def __init__(self, new_url: str, host: str) -> None:
        super().__init__(new_url)
        self._host = host

    def get_response(self, *_args: Any, **_kwargs: Any) -> Response:
        """Return the redirect in the format of errors, for clients that do not follow it."""
        target = urlsplit(self.new_url)
        location = self.new_url  # to another service, as a rule with `redirect_to` may name
        if target.netloc == self._host:
            location = urlunsplit(("", "", "/" + target.path.lstrip("/"), *target[3:]))
        message = f"The resource is at {location}."
        return error_response(self.code, message, headers={"Location": location})
