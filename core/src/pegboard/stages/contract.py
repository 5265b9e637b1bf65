"""Stages: what sees a request before Flask does, and may answer it.

A stage says for each route whether it has anything to do there. The commands for Redis of all
stages of a route are sent in one round trip; then each stage gets the replies to its own, in the
order of the stages. The first that answers ends the request. `Stages`, in `runner`, runs them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
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
    function_of,
)
from pegboard.redis import ChannelError, Command, Reply
from pegboard.stages.guards import has_before_hooks
from pegboard.stages.waiting import Waiting

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

WITHOUT_BODY = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})

Headers = list[tuple[str, str]]


class StageOrder(IntEnum):
    """The `order` of the first-party stages; any other number is free for stages of plugins."""

    LIMIT = 200
    """Requests are counted, and refused when they are too many."""
    ANSWER = 300
    """Cached answers are given."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that a stage gives in place of Flask.

    `Content-Length` is added to its headers, and must not be among them. What HTTP cannot express
    becomes a 500, and the log says why.
    """

    status: int
    """The code of the HTTP status."""
    headers: Headers
    """Names and values, in the order in which they are sent."""
    body: bytes
    """The bytes of the content; a `HEAD` request does not get them."""

    @classmethod
    def error(cls, status: int, message: str, headers: Iterable[tuple[str, str]] = ()) -> "Answer":
        """Return an error in the platform's format; `status` is 400 to 599."""
        return cls(
            status, [("Content-Type", "application/json"), *headers], error_body(status, message)
        )


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one rule, and the view that serves it."""

    rule: Rule
    """The URL rule of Werkzeug that matches."""
    method: str
    """The HTTP method, in capital letters."""
    endpoint: str
    """The name of the view with its blueprint's, as in `items.ItemById`."""
    view: Callable[..., Any]
    """What Flask calls for the endpoint; for a `MethodView`, what `as_view` has made of it."""
    function: Callable[..., Any]
    """The function of this method: `get` or the like of a `MethodView`, else `view` itself."""
    has_before_hooks: bool
    """Whether code of a plugin runs before or around the view, and so may refuse the request."""

    @property
    def blueprint(self) -> str | None:
        """The name of its blueprint."""
        return self.endpoint.rpartition(".")[0] or None


class Call:
    """A request on its way through the stages; made by the core for each request."""

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
        """The WSGI environment of the request."""
        self.method = method
        """The HTTP method of the request, in capital letters."""
        self.route = route
        """None when no route matches: Flask will answer with an error or a redirect."""
        self.arguments = arguments
        """The variables of the URL."""
        self.headers: Headers = []
        """Headers that are added to the answer, of a stage or of Flask; append to the list."""
        self.state: dict[str, Any] = {}
        """What a stage keeps from `prepare` to `complete`, by the stage's name."""
        self.route_cache = route_cache
        """What a stage keeps for all requests of this route and these arguments, by its name.

        Threads share it. It may be emptied at any time.
        """


class Handler(Protocol):
    """What one stage does at one route; all requests share it, so it must not keep their state."""

    def prepare(self, call: Call) -> Sequence[Command] | Answer | None:
        """Return commands for Redis, or an answer, or None to let the request pass.

        An `APIError`, as `pegboard.abort` raises, is answered; any other exception is a 500.
        """

    def complete(self, call: Call, replies: Sequence[Reply] | ChannelError) -> Answer | None:
        """Return an answer, or None to let the request pass; raises as `prepare` does.

        Called when `prepare` returned a list of commands, even an empty one: with the replies to
        them, or with the reason why there are none.
        """


class NonBlockingHandler(Handler, Protocol):
    """A handler that the server's event loop may run; a thread runs all others.

    Its `complete` must never wait: not for a lock, a file or a server.
    """

    def is_non_blocking(self) -> bool:
        """Return whether `prepare` would not wait now; if it would, a thread runs the stages."""


class ExplainedHandler(Handler, Protocol):
    """A handler that `pegboard explain METHOD PATH` asks what it does."""

    def explain(self) -> Sequence[str]:
        """Return what the stage does at its route, in lines for people; may read the database."""


class Stage(Protocol):
    """What sees a request before Flask does; a plugin returns its stages from `pegboard_stages`.

    `name` is unique in the app, and the key of the stage in `Call.state` and `Call.route_cache`.
    """

    @property
    def name(self) -> str:
        """Its name in logs and in `Call.state`; no two stages of an app have the same."""

    @property
    def order(self) -> int:
        """Its place among stages, see `StageOrder`: lower ones run first, no two have the same."""

    def bind(self, route: Route | None) -> Handler | None:
        """Return what the stage does at a route, or None where it does nothing.

        Called once for each route, on a thread, at its first request; `route` is None for all
        requests that match no route. If it raises, that request is a 500, and the next one calls
        it again.
        """


class FastPath(Protocol):
    """Answers what is usual of one route without Flask, and leaves all else to the view.

    What it answers is what the view would answer.
    """

    async def answer(self, call: Call, waiting: Waiting) -> Answer | None:
        """Return the answer to a request; None if the view has to answer it.

        Called when all stages have let the request pass, perhaps on the event loop: it waits for
        nothing by itself. An exception is answered as one of the view is. After something was
        written, it is never None.
        """


BindFastPath = Callable[[Flask, Route], FastPath | str]
"""Returns the fast path of a route of an app; else why all requests are unusual there."""

_FAST_PATH = "_pegboard_fast_path"


def set_fast_path(view: Callable[..., Any], bind: BindFastPath) -> None:
    """Give a view function a fast path, which is bound at the first request of each route.

    It is not used where code of a plugin stands before, around or after the view.
    """
    setattr(view, _FAST_PATH, (view, bind))


def fast_path_of(function: Callable[..., Any]) -> BindFastPath | None:
    """Return what binds the fast path of a view function, if it has one."""
    view, bind = getattr(function, _FAST_PATH, (None, None))
    # Decorators copy the attributes of a function to the one they return.
    return bind if view is function else None


def check(answer: Any) -> None:
    """Raise `UnsendableError` for an answer that some server would send wrongly."""
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
            if encode_header_name(name) == b"content-length":
                message = "Content-Length is added to every answer, and must not be given"
                raise UnsendableError(message)
            if not (value.isascii() and value.isprintable()):
                encode_header_value(value)
    except (AttributeError, TypeError, ValueError) as error:
        message = "the headers must be pairs of texts"
        raise UnsendableError(message) from error


def answer_of(error: APIError) -> Answer:
    """Return an error as an answer; values of its headers may be numbers, as in a view's."""
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    headers = [(name, str(value)) for name, value in error.headers.items()]
    body = error_body(status, str(error.description), error.errors)
    return Answer(status, [("Content-Type", "application/json"), *headers], body)


def route_of(app: Flask, rule: Rule, method: str) -> Route:
    """Return the route of one method of a rule in the app's URL map.

    Raises `KeyError` when the app has no view for the rule's endpoint.
    """
    view = app.view_functions[rule.endpoint]
    is_guarded = has_before_hooks(app, rule.endpoint, view)
    return Route(rule, method, rule.endpoint, view, function_of(view, method), is_guarded)
