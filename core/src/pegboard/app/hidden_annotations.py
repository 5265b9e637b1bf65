"""Checks that no decorator hides what is noted at the view below it."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from flask import Flask
from flask.views import MethodView

from pegboard.annotations import RateLimit, cache_control_of, rate_limit_of
from pegboard.api import functions_inside, held_functions
from pegboard.app.view_problems import ViewProblem
from pegboard.cache import ListLookup, Lookup, declared_of
from pegboard.problems import Code, Problem

_NOTES: Mapping[str, tuple[Callable[[Any], object], tuple[type, ...]]] = {
    "rate_limit": (rate_limit_of, (RateLimit,)),
    "cache_control": (cache_control_of, (str,)),
    "cached": (declared_of, (Lookup, ListLookup)),
}
"""The decorators that note something at a view, each with what finds it, and what that is."""


def find_hidden_annotations(app: Flask) -> Iterator[ViewProblem]:
    """Yield a problem for each note that has no effect."""
    views = [*_views(app)]
    found = {id(inner) for _, view in views for inner in functions_inside(view)}
    for endpoint, view in views:
        for function, holder in held_functions(view):
            # A view may call another one, which is limited or cached where it is served.
            if id(function) in found:
                continue
            for name in _notes(function):
                problem = _problem(name, function, holder)
                yield ViewProblem(endpoint, problem, (function, holder))


def _views(app: Flask) -> Iterator[tuple[str, Callable[..., Any]]]:
    for endpoint, view in app.view_functions.items():
        view_class = getattr(view, "view_class", None)
        if view_class is None:
            yield endpoint, view
        else:
            for method in _methods(view_class):
                yield endpoint, method


def _methods(view_class: type[MethodView]) -> Iterator[Callable[..., Any]]:
    for name in sorted(getattr(view_class, "methods", None) or ()):
        if (method := getattr(view_class, name.lower(), None)) is not None:
            yield method


def _notes(function: Callable[..., Any]) -> Iterator[str]:
    """Yield what is noted at a function, or at the class that makes it a view, or its methods."""
    view_class = getattr(function, "view_class", None)
    targets = [function]
    if isinstance(view_class, type):
        targets += [view_class, *_methods(view_class)]
    for name, (find, kinds) in _NOTES.items():
        # An object that has any attribute, as a mock, has another one.
        if any(isinstance(find(one), kinds) for one in targets):
            yield name


def _problem(name: str, function: Any, holder: Any) -> Problem:
    summary = f"{_shown(holder)} hides the {name} of {_shown(function)}, which has no effect"
    hint = f"Let that decorator use `functools.wraps`, or put `{name}` above it."
    return Problem(Code.ANNOTATION_HIDDEN, summary, hint)


def _shown(function: Any) -> str:
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"
