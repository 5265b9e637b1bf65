"""Finds out which hooks of Flask act before, around and after a view.

An early answer of a stage skips them, so it is allowed only where that changes nothing.
"""

from collections.abc import Callable
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


def has_before_hooks(app: Flask, endpoint: str, view: Callable[..., Any]) -> bool:
    """Return whether code of a plugin runs before or around a view, and may refuse a request."""
    return (
        any(name in vars(app) for name in _REPLACEABLE)
        or not _opens_any(app.session_interface)
        or _is_hooked(app, endpoint)
        or _is_wrapped(view)
    )


def has_after_hooks(app: Flask, endpoint: str | None) -> bool:
    """Return whether code of a plugin runs after requests."""
    return "process_response" in vars(app) or any(
        app.after_request_funcs.get(scope) for scope in scopes(endpoint)
    )


def scopes(endpoint: str | None) -> list[str | None]:
    """Return the keys of Flask's hooks for an endpoint: None for the app, then its blueprints."""
    parts = endpoint.split(".")[:-1] if endpoint else []
    return [None, *(".".join(parts[:count]) for count in range(1, len(parts) + 1))]


def _opens_any(sessions: SessionInterface) -> bool:
    """Return whether the interface opens a session for any request, and never refuses one."""
    return type(sessions) is SecureCookieSessionInterface or getattr(sessions, "opens_any", False)


def _is_hooked(app: Flask, endpoint: str) -> bool:
    per_scope = (app.before_request_funcs, app.url_value_preprocessors, app.teardown_request_funcs)
    if any(functions.get(scope) for functions in per_scope for scope in scopes(endpoint)):
        return True
    return any(signal.receivers for signal in _SIGNALS if hasattr(signal, "receivers"))


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
