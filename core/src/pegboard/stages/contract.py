"""Stages: what sees a request before Flask does, and may answer it.

A stage says for each route whether it has anything to do there. What the stages of a route want
from Redis travels together, in one round trip; then each hears its own replies, in the order of
the stages. The first that answers ends the request. `Stages` of the module `passage` runs them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

from flask import Flask
from werkzeug.routing import Rule

from pegboard.http import (
    HIGHEST_STATUS,
    LOWEST_STATUS,
    APIError,
    UnsendableError,
    encode_header_name,
    encode_header_value,
    error_body,
)
from pegboard.redis import ChannelError, Command, Reply
from pegboard.stages.guards import has_before_hooks

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

LIMIT = 200
"""The place of a stage that refuses requests by their number."""

ANSWER = 300
"""The place of a stage that answers what was asked before."""

WITHOUT_BODY = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})

Headers = list[tuple[str, str]]

_KNOWN_NAMES = 1024
_checked_names: set[str] = set()


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
    has_before_hooks: bool
    """Whether something of a plugin stands before or around the view and may want to refuse."""

    @property
    def blueprint(self) -> str | None:
        """The name of its blueprint."""
        return self.endpoint.rpartition(".")[0] or None


class Call:
    """A request on its way through the stages."""

    __slots__ = ("arguments", "environ", "headers", "method", "route", "route_cache", "state")

    def __init__(
        self,
        environ: "WSGIEnvironment",
        method: str,
        route: Route | None,
        arguments: Mapping[str, Any],
        route_cache: dict[str, Any],
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
        """What a stage remembers from `prepare` to `complete`, by its name."""
        self.route_cache = route_cache
        """What a stage remembers of all requests of this route and these arguments, by its name.

        It may be forgotten at any time; threads share it.
        """


class Handler(Protocol):
    """What one stage does at one route; shared by all requests, so it keeps nothing of them."""

    def prepare(self, call: Call) -> Sequence[Command] | Answer | None:
        """Return what to ask Redis, or an answer, or nothing to let the request pass."""

    def complete(self, call: Call, replies: Sequence[Reply] | ChannelError) -> Answer | None:
        """Return an answer, or nothing to let the request pass.

        Called when `prepare` returned commands, with the replies to these or why there are none.
        """


class NonBlockingHandler(Handler, Protocol):
    """A handler that the server's event loop may run; others are run on threads only.

    Its `complete` never waits.
    """

    def is_non_blocking(self) -> bool:
        """Return whether `prepare` would wait for nothing now; else a thread asks."""


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


def check(answer: Any) -> None:
    """Raise `UnsendableError` for what a stage cannot answer: some server would send it wrongly."""
    if type(answer) is not Answer:
        message = f"{answer!r:.200} is no pegboard.stages.Answer"
        raise UnsendableError(message)
    if type(answer.body) is not bytes:
        message = f"the body is {type(answer.body).__name__}, and must be bytes"
        raise UnsendableError(message)
    status: Any = answer.status
    if not isinstance(status, int) or not LOWEST_STATUS <= status <= HIGHEST_STATUS:
        message = f"the status is {status!r}"
        raise UnsendableError(message)
    if status in WITHOUT_BODY and answer.body:
        message = f"the status {status:d} goes without a body"
        raise UnsendableError(message)
    if type(answer.headers) is not list:
        message = f"the headers are {type(answer.headers).__name__}, and must be a list"
        raise UnsendableError(message)
    try:
        for name, value in answer.headers:
            if name not in _checked_names:
                _check_name(name)
            if not (value.isascii() and value.isprintable()):
                encode_header_value(value)
    except (AttributeError, TypeError, ValueError) as error:
        message = "the headers must be pairs of texts"
        raise UnsendableError(message) from error


def _check_name(name: str) -> None:
    encode_header_name(name)
    if name.lower() == "content-length":
        message = "Content-Length is added to every answer, and must not be given"
        raise UnsendableError(message)
    if len(_checked_names) < _KNOWN_NAMES:
        _checked_names.add(name)


def answer_of(error: APIError) -> Answer:
    """Return what an error answers; headers may be numbers, as in an answer of a view."""
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    headers = [(name, str(value)) for name, value in error.headers.items()]
    body = error_body(status, str(error.description), error.errors)
    return Answer(status, [("Content-Type", "application/json"), *headers], body)


def route_of(app: Flask, rule: Rule, method: str) -> Route:
    """Return one method of a rule of the app's."""
    view = app.view_functions[rule.endpoint]
    view_class = getattr(view, "view_class", None)
    function = view
    if view_class is not None:
        name = "get" if method == "HEAD" and not hasattr(view_class, "head") else method.lower()
        function = getattr(view_class, name, view)
    guarded = has_before_hooks(app, rule.endpoint, view)
    return Route(rule, method, rule.endpoint, view, function, guarded)
