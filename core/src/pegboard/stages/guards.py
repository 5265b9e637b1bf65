"""What stands before, around and after a view, and may want a say in its answers."""

from collections.abc import Callable
from types import CodeType
from typing import Any

from flask import Flask, signals
from flask.sessions import SecureCookieSessionInterface, SessionInterface
from flask.views import MethodView, View

from pegboard.http import acts_only_on_origin

_REPLACEABLE = (
    "dispatch_request",
    "full_dispatch_request",
    "preprocess_request",
    "request_class",
    "request_context",
)
"""What is Flask's on a request's way to its view."""

_AS_VIEW = frozenset(
    constant
    for constant in View.as_view.__func__.__code__.co_consts  # type: ignore[attr-defined]  # a class method has one
    if isinstance(constant, CodeType)
)
"""The code of the view functions that `as_view` makes."""


def has_before_hooks(app: Flask, endpoint: str, view: Callable[..., Any]) -> bool:
    """Return whether something of a plugin stands before or around a view and may refuse."""
    return (
        any(name in vars(app) for name in _REPLACEABLE)
        or not _opens_any(app.session_interface)
        or _is_hooked(app, endpoint)
        or _is_wrapped(view)
    )


def has_after_hooks(app: Flask, endpoint: str | None) -> bool:
    """Return whether a plugin wants to see every answer; the core's CORS needs an `Origin`."""
    return "process_response" in vars(app) or any(
        not acts_only_on_origin(app, function)
        for scope in scopes(endpoint)
        for function in app.after_request_funcs.get(scope, ())
    )


def scopes(endpoint: str | None) -> list[str | None]:
    """Return the names under which Flask keeps functions for an endpoint: app and blueprints."""
    parts = endpoint.split(".")[:-1] if endpoint else []
    return [None, *(".".join(parts[:count]) for count in range(1, len(parts) + 1))]


def _opens_any(sessions: SessionInterface) -> bool:
    """Return whether every request is given a session: some could be refused instead."""
    return type(sessions) is SecureCookieSessionInterface or getattr(sessions, "opens_any", False)


def _is_hooked(app: Flask, endpoint: str) -> bool:
    per_scope = (app.before_request_funcs, app.url_value_preprocessors, app.teardown_request_funcs)
    if any(functions.get(scope) for functions in per_scope for scope in scopes(endpoint)):
        return True
    return any(
        signal.receivers
        for signal in (signals.request_started, signals.request_finished)
        if hasattr(signal, "receivers")
    )


def _is_wrapped(view: Callable[..., Any]) -> bool:
    """Return whether a class's view does more than to run the method."""
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
