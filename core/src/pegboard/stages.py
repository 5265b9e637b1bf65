"""Stages: what sees a request before Flask does, and may answer it.

A stage says for each route whether it has anything to do there. What the stages of a route want
from Redis travels together, in one round trip; then each hears its own replies, in the order of
the stages. The first that answers ends the request. Without stages a request goes straight on.
"""

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

from flask import Flask, Response
from werkzeug.exceptions import HTTPException
from werkzeug.routing import BaseConverter, RequestRedirect, Rule, UUIDConverter
from werkzeug.routing.converters import NumberConverter

from pegboard.channel import Channel, ChannelError, Command, Reply
from pegboard.errors import error_body
from pegboard.finish import finish
from pegboard.guards import is_guarded, is_seen

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

MATCH = "pegboard.match"
"""The key of the route that a request matches, and of its arguments, in the WSGI environment."""

LIMIT = 200
"""The place of a stage that refuses requests by their number."""

ANSWER = 300
"""The place of a stage that answers what was asked before."""

Headers = list[tuple[str, str]]

_STATUS = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_PLAIN = frozenset({str, int, float, uuid.UUID})
_PURE = frozenset(
    {BaseConverter.to_python, NumberConverter.to_python, UUIDConverter.to_python, int, float}
)
"""What converts a text always to the same value."""

_REMEMBERED_PATHS = 16_384
_REMEMBERED_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that Flask does not give; `Content-Length` is added to its headers."""

    status: int
    headers: Headers
    body: bytes

    @classmethod
    def error(cls, status: int, message: str, headers: Iterable[tuple[str, str]] = ()) -> "Answer":
        """Return an error in the platform's format."""
        return cls(
            status, [("Content-Type", "application/json"), *headers], error_body(status, message)
        )


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one rule, and the view that serves it."""

    rule: Rule
    method: str
    endpoint: str
    view: Callable[..., Any]
    function: Callable[..., Any]
    """The function that is run: the view itself, or the method of its class."""
    is_guarded: bool
    """Whether something of a plugin stands before or around the view and may want to refuse."""

    @property
    def blueprint(self) -> str | None:
        """The name of its blueprint."""
        return self.endpoint.rpartition(".")[0] or None


class Call:
    """A request on its way through the stages."""

    __slots__ = ("arguments", "environ", "headers", "method", "route", "state")

    def __init__(
        self,
        environ: "WSGIEnvironment",
        method: str,
        route: Route | None,
        arguments: Mapping[str, Any],
    ) -> None:
        self.environ = environ
        self.method = method
        self.route = route
        """None when no route matches: Flask will answer with an error or a redirect."""
        self.arguments = arguments
        """The variables of the URL."""
        self.headers: Headers = []
        """What is added to the answer, whoever gives it."""
        self.state: dict[str, Any] = {}
        """What a stage remembers from `ask` to `hear`, by its name."""


class Handler(Protocol):
    """What one stage does at one route; shared by all requests, so it keeps nothing of them."""

    def ask(self, call: Call) -> Sequence[Command] | Answer | None:
        """Return what to ask Redis, or an answer, or nothing to let the request pass."""

    def hear(self, call: Call, replies: Sequence[Reply] | ChannelError) -> Answer | None:
        """Return an answer, or nothing to let the request pass.

        Called when `ask` returned commands, with the replies to these or why there are none.
        """


class Stage(Protocol):
    """What a plugin returns from `pegboard_stages`."""

    name: str
    order: int
    """Its place, lower first; no two stages have the same. See `LIMIT` and `ANSWER`."""

    def bind(self, route: Route | None) -> Handler | None:
        """Return what the stage does at a route, or nothing if it has no business there.

        Called once for each route, when its first request comes; None stands for all requests that
        match no route.
        """


@dataclass(frozen=True, slots=True)
class _Match:
    route: Route | None
    arguments: Mapping[str, Any]
    handlers: tuple[Handler, ...]
    passes_flask: bool
    """Whether a plugin wants to see every answer, also one that a stage gives."""


class Stages:
    """WSGI middleware: the stages of one app, around Flask.

    It stands inside the middleware of plugins, which may refuse what a stage would answer; so it is
    there before them, and is given its stages by `hang` when all plugins are set up.
    """

    def __init__(
        self,
        app: Flask,
        flask_app: "WSGIApplication",
        channel: Channel | None,
        static_headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        """`static_headers` are on every answer of Flask's whose request has no `Origin`."""
        self._app = app
        self._flask_app = flask_app
        self._stages: list[Stage] = []
        self._channel = channel
        self._static_headers = list(static_headers)
        self._adapter = app.url_map.bind("")
        self._routes: dict[tuple[int, str] | None, _Match] = {}
        self._matches: dict[str, dict[str, _Match]] = {method: {} for method in _METHODS}

    def hang(self, stages: Iterable[Stage]) -> None:
        """Give it its stages."""
        self._stages = sorted(stages, key=lambda stage: stage.order)
        self._routes.clear()
        for remembered in self._matches.values():
            remembered.clear()

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Serve one request."""
        method = environ["REQUEST_METHOD"]
        path = environ.get("PATH_INFO", "")
        remembered = self._matches.get(method)
        if remembered is None:
            # Flask takes `get` for GET, so it is GET to every stage, too.
            method = environ["REQUEST_METHOD"] = method.upper()
            remembered = self._matches.get(method)
        match = remembered.get(path) if remembered is not None else None
        if match is None:
            match = self._match(method, path)
        if match.route is not None:
            environ[MATCH] = match
        if not match.handlers:
            return self._flask_app(environ, start_response)
        call = Call(environ, method, match.route, match.arguments)
        answer = self._pass(call, match.handlers)
        if answer is not None:
            return self._give(call, match, answer, start_response)
        if call.headers:
            return self._flask_app(environ, _adding(call.headers, start_response))
        return self._flask_app(environ, start_response)

    def _pass(self, call: Call, handlers: tuple[Handler, ...]) -> Answer | None:
        """Let the request pass the stages; return the first answer."""
        asked: list[tuple[Handler, Sequence[Command] | Answer]] = []
        commands: list[Command] = []
        for handler in handlers:
            wanted = handler.ask(call)
            if wanted is None:
                continue
            asked.append((handler, wanted))
            if isinstance(wanted, Answer):
                break
            commands.extend(wanted)
        replies: list[Reply] | ChannelError = self._exchange(commands) if commands else []
        position = 0
        for handler, wanted in asked:
            if isinstance(wanted, Answer):
                return wanted
            if isinstance(replies, ChannelError):
                answer = handler.hear(call, replies)
            else:
                end = position + len(wanted)
                answer = handler.hear(call, replies[position:end])
                position = end
            if answer is not None:
                return answer
        return None

    def _exchange(self, commands: Sequence[Command]) -> list[Reply] | ChannelError:
        if self._channel is None:
            return ChannelError("no REDIS_URL is set")
        try:
            return self._channel.exchange(commands)
        except ChannelError as error:
            return error

    def _give(
        self, call: Call, match: "_Match", answer: Answer, start_response: "StartResponse"
    ) -> Iterable[bytes]:
        if match.passes_flask or "HTTP_ORIGIN" in call.environ:
            return self._give_through_flask(call, answer, start_response)
        headers = [*answer.headers, *call.headers, *self._static_headers]
        if answer.status != HTTPStatus.NOT_MODIFIED:
            headers.append(("Content-Length", str(len(answer.body))))
        status = _STATUS.get(answer.status) or f"{answer.status} Unknown"
        start_response(status, headers)
        return [] if call.method == "HEAD" else [answer.body]

    def _give_through_flask(
        self, call: Call, answer: Answer, start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Let what plugins hang on Flask's answers, and CORS, have their part."""
        with self._app.request_context(call.environ) as context:
            response = Response(answer.body, answer.status)
            del response.headers["Content-Type"]
            for name, value in (*answer.headers, *call.headers):
                response.headers.add(name, value)
            return finish(self._app, context, response)(call.environ, start_response)

    def _match(self, method: str, path: str) -> _Match:
        text = path if path.isascii() else path.encode("latin1").decode(errors="replace")
        try:
            rule, arguments = self._adapter.match(text, method, return_rule=True)
        except (HTTPException, RequestRedirect):
            return self._bound(None, method)
        bound = self._bound(rule, method)
        match = replace(bound, arguments=arguments)
        remembered = self._matches.get(method)
        if (
            remembered is not None
            and len(path) <= _REMEMBERED_LENGTH
            and _is_repeatable(rule, arguments)
        ):
            if len(remembered) >= _REMEMBERED_PATHS:
                remembered.clear()
            remembered[path] = match
        return match

    def _bound(self, rule: Rule | None, method: str) -> _Match:
        """Return what requests of one method that match a rule have in common."""
        key = None if rule is None else (id(rule), method)
        if (known := self._routes.get(key)) is not None:
            return known
        route = None if rule is None else route_of(self._app, rule, method)
        handlers: tuple[Handler, ...] = ()
        if route is None or route.blueprint not in _UNSTAGED:
            handlers = tuple(
                handler for stage in self._stages if (handler := stage.bind(route)) is not None
            )
        endpoint = None if route is None else route.endpoint
        return self._routes.setdefault(
            key, _Match(route, {}, handlers, is_seen(self._app, endpoint))
        )


_UNSTAGED = frozenset({"docs", "health", "openapi"})
"""The core's own blueprints: an orchestrator and a person in need are not kept waiting."""


def _adding(headers: Headers, start_response: "StartResponse") -> "StartResponse":
    def start(status: str, given: Headers, exc_info: Any = None, /) -> Callable[[bytes], object]:
        given.extend(headers)
        return start_response(status, given, exc_info)

    return start


def route_of(app: Flask, rule: Rule, method: str) -> Route:
    """Return one method of a rule of the app's."""
    view = app.view_functions[rule.endpoint]
    view_class = getattr(view, "view_class", None)
    function = view
    if view_class is not None:
        name = "get" if method == "HEAD" and not hasattr(view_class, "head") else method.lower()
        function = getattr(view_class, name, view)
    guarded = is_guarded(app, rule.endpoint, view)
    return Route(rule, method, rule.endpoint, view, function, guarded)


def _is_repeatable(rule: Rule, arguments: Mapping[str, Any]) -> bool:
    """Return whether another request may have the same arguments: nobody can change them.

    A converter of a plugin's may look something up, or make something that a view changes.
    """
    return all(type(value) in _PLAIN for value in arguments.values()) and all(
        getattr(converter.to_python, "__func__", None) in _PURE
        and getattr(converter, "num_convert", int) in _PURE
        for converter in rule._converters.values()  # noqa: SLF001 - nothing public tells them
    )
