"""Finds out which hooks of Flask act before, around and after a view.

An early answer of a stage skips them, so it is allowed only where that changes nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import CodeType
from typing import Any

from flask import Flask, signals
from flask.sessions import SecureCookieSessionInterface, SessionInterface
from flask.views import MethodView, View

_REPLACEABLE = (
    "dispatch_request",
    "full_dispatch_request",
    "preprocess_request",
    "request_class",
    "request_context",
)
"""Methods of Flask that act before a view; a plugin may replace them on the app."""

_MIDDLEWARE = "pegboard.middleware"

_AS_VIEW = frozenset(
    constant
    for constant in View.as_view.__func__.__code__.co_consts  # type: ignore[attr-defined]  # a class method has one
    if isinstance(constant, CodeType)
)
"""The code objects of the view functions that `View.as_view` makes."""


@dataclass(frozen=True)
class Hook:
    """Code of a plugin that acts on the requests of a view, or on its answers."""

    kind: str
    """How it does, as in `before_request`."""
    function: object
    """What is called; its module tells whose it is."""


def has_before_hooks(app: Flask, endpoint: str, view: Callable[..., Any]) -> bool:
    """Return whether code of a plugin runs before or around a view, and may refuse a request."""
    return any(True for _ in before_hooks(app, endpoint, view))


def has_after_hooks(app: Flask, endpoint: str | None) -> bool:
    """Return whether code of a plugin runs after requests."""
    return any(True for _ in after_hooks(app, endpoint))


def before_hooks(app: Flask, endpoint: str, view: Callable[..., Any]) -> Iterator[Hook]:
    """Yield the code that an early answer would leave out: before, around and behind a view."""
    yield from entering_hooks(app, endpoint, view)
    yield from leaving_hooks(app, endpoint)


def entering_hooks(
    app: Flask, endpoint: str | None, view: Callable[..., Any] | None
) -> Iterator[Hook]:
    """Yield the code that runs before or around a view, and may refuse a request, in its order.

    Where no route matches, which is without endpoint and view, that of the app runs all the same.
    """
    for name in _REPLACEABLE:
        if name in vars(app):
            yield Hook(f"in place of Flask.{name}", vars(app)[name])
    if not _opens_any(app.session_interface):
        yield Hook("session interface", app.session_interface)
    yield from _receivers(app, signals.request_started)
    for kind, functions in (
        ("url_value_preprocessor", app.url_value_preprocessors),
        ("before_request", app.before_request_funcs),
    ):
        for scope in scopes(endpoint):
            for function in functions.get(scope, ()):
                yield Hook(kind, function)
    if view is not None and _is_wrapped(view):
        yield Hook("around the view", view)


def after_hooks(app: Flask, endpoint: str | None) -> Iterator[Hook]:
    """Yield the code that runs after requests, and may change their answers, in its order."""
    if "process_response" in vars(app):
        yield Hook("in place of Flask.process_response", vars(app)["process_response"])
    yield from _reversed("after_request", app.after_request_funcs, endpoint)


def leaving_hooks(app: Flask, endpoint: str | None) -> Iterator[Hook]:
    """Yield the code that runs when an answer is made, and does not change it, in its order."""
    yield from _receivers(app, signals.request_finished)
    yield from _reversed("teardown_request", app.teardown_request_funcs, endpoint)
    yield from _receivers(app, signals.request_tearing_down)


def error_hooks(app: Flask, endpoint: str | None) -> Iterator[Hook]:
    """Yield what may answer in place of a view that raises, or where no route matches."""
    for scope in reversed(scopes(endpoint)):
        for code, handlers in app.error_handler_spec.get(scope, {}).items():
            for error, function in handlers.items():
                yield Hook(f"errorhandler {code or error.__name__}", function)


def replaced_methods(app: Flask) -> Iterator[Hook]:
    """Yield what was set on the app in place of its methods, but for those of the other hooks."""
    known = {*_REPLACEABLE, "process_response", "wsgi_app"}
    for name, function in vars(app).items():
        if name not in known and callable(getattr(Flask, name, None)):
            yield Hook(f"in place of Flask.{name}", function)


def note_middleware(app: Flask, layer: object) -> None:
    """Note what was put around an app, as its `wsgi_app`."""
    app.extensions.setdefault(_MIDDLEWARE, []).append(layer)


def middleware_of(app: Flask) -> Iterator[Hook]:
    """Yield what was put around the app, the outermost first, the platform's own included."""
    for layer in reversed(app.extensions.get(_MIDDLEWARE, ())):
        yield Hook("middleware", layer)


def scopes(endpoint: str | None) -> list[str | None]:
    """Return the keys of Flask's hooks for an endpoint: None for the app, then its blueprints."""
    parts = endpoint.split(".")[:-1] if endpoint else []
    return [None, *(".".join(parts[:count]) for count in range(1, len(parts) + 1))]


def _opens_any(sessions: SessionInterface) -> bool:
    """Return whether the interface opens a session for any request, and never refuses one."""
    return type(sessions) is SecureCookieSessionInterface or getattr(sessions, "opens_any", False)


def _reversed(
    kind: str, functions: Mapping[Any, Sequence[object]], endpoint: str | None
) -> Iterator[Hook]:
    """Yield what Flask runs after a view: the last one registered first, the app's own last."""
    for scope in reversed(scopes(endpoint)):
        for function in reversed(functions.get(scope, ())):
            yield Hook(kind, function)


def _receivers(app: Flask, signal: Any) -> Iterator[Hook]:
    for function in signal.receivers_for(app):
        yield Hook(f"signal {signal.name}", function)


def _is_wrapped(view: Callable[..., Any]) -> bool:
    """Return whether the view of a class does more than run the method."""
    view_class = getattr(view, "view_class", None)
    if view_class is None:
        return False
    return (
        getattr(view, "__code__", None) not in _AS_VIEW
        or hasattr(view, "__wrapped__")
        or bool(getattr(view_class, "decorators", ()))
        or getattr(view_class, "dispatch_request", None) is not MethodView.dispatch_request
        or view_class.__init__ is not object.__init__
        or view_class.__new__ is not object.__new__
    )
