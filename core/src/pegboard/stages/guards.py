"""Finds out which hooks of Flask act before, around and after a view.

An early answer of a stage skips them, so it is allowed only where that changes nothing.
"""

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
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

_SIGNALS = (signals.request_started, signals.request_finished, signals.request_tearing_down)

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
    """Yield the code that runs before or around a view, and may refuse a request."""
    for name in _REPLACEABLE:
        if name in vars(app):
            yield Hook(f"in place of Flask.{name}", vars(app)[name])
    if not _opens_any(app.session_interface):
        yield Hook("session interface", app.session_interface)
    yield from _functions(app, endpoint)
    if _is_wrapped(view):
        yield Hook("around the view", view)


def after_hooks(app: Flask, endpoint: str | None) -> Iterator[Hook]:
    """Yield the code that runs after requests, and may change their answers."""
    if "process_response" in vars(app):
        yield Hook("in place of Flask.process_response", vars(app)["process_response"])
    for scope in scopes(endpoint):
        for function in app.after_request_funcs.get(scope, ()):
            yield Hook("after_request", function)


def scopes(endpoint: str | None) -> list[str | None]:
    """Return the keys of Flask's hooks for an endpoint: None for the app, then its blueprints."""
    parts = endpoint.split(".")[:-1] if endpoint else []
    return [None, *(".".join(parts[:count]) for count in range(1, len(parts) + 1))]


def _opens_any(sessions: SessionInterface) -> bool:
    """Return whether the interface opens a session for any request, and never refuses one."""
    return type(sessions) is SecureCookieSessionInterface or getattr(sessions, "opens_any", False)


def _functions(app: Flask, endpoint: str) -> Iterator[Hook]:
    per_scope: Mapping[str, Mapping[Any, Iterable[object]]] = {
        "before_request": app.before_request_funcs,
        "url_value_preprocessor": app.url_value_preprocessors,
        "teardown_request": app.teardown_request_funcs,
    }
    for kind, functions in per_scope.items():
        for scope in scopes(endpoint):
            for function in functions.get(scope, ()):
                yield Hook(kind, function)
    for signal in _SIGNALS:
        for receiver in getattr(signal, "receivers", {}).values():
            # Blinker keeps a weak reference unless it was told otherwise.
            function = receiver() if isinstance(receiver, weakref.ref) else receiver
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
