"""Checks that Flask can call each view with what the URL and the view's decorators pass to it."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from types import FunctionType
from typing import Any

from flask import Flask
from flask.views import MethodView
from werkzeug.routing import Rule

from pegboard.api import Blueprint, Decoration
from pegboard.app.view_problems import ViewProblem
from pegboard.cache import declared_of
from pegboard.database import transactional_made_of
from pegboard.http import function_of
from pegboard.problems import Code, Problem

_AUTOMATIC = frozenset({"HEAD", "OPTIONS"})
"""Methods that Flask answers by itself, or by the function of another method."""


def find_uncallable_views(app: Flask) -> Iterator[ViewProblem]:
    """Yield what is wrong with each view that cannot be called."""
    decorations = {
        id(one.made): one
        for blueprint in app.blueprints.values()
        if isinstance(blueprint, Blueprint)
        for one in blueprint.decorations
    }
    for rule in app.url_map.iter_rules():
        for function, is_method in _functions(app, rule):
            problem = _problem(app, rule, function, decorations, is_method=is_method)
            if problem is not None:
                yield ViewProblem(rule.endpoint, problem, (function,))


def _functions(app: Flask, rule: Rule) -> Iterator[tuple[Callable[..., Any], bool]]:
    """Yield the functions that answer a rule, each with whether it is called with `self`."""
    if (view := app.view_functions.get(rule.endpoint)) is None:
        return  # a rule with `redirect_to` needs no view
    view_class = getattr(view, "view_class", None)
    if view_class is None:
        yield view, False
    elif (
        issubclass(view_class, MethodView)
        and view_class.dispatch_request is MethodView.dispatch_request
        and not view_class.decorators
    ):
        for method in sorted((rule.methods or set()) - _AUTOMATIC):
            function = function_of(view, method)
            stored = inspect.getattr_static(view_class, method.lower(), None)
            if function is not view and isinstance(stored, FunctionType):
                yield function, True


def _problem(
    app: Flask,
    rule: Rule,
    function: Callable[..., Any],
    decorations: Mapping[int, Decoration],
    *,
    is_method: bool,
) -> Problem | None:
    """Return what is wrong with a function that answers a rule."""
    inner, positional, keywords = _unwrap(function, decorations)
    view = f"{getattr(inner, '__module__', '')}.{getattr(inner, '__qualname__', inner)}"
    if inspect.isasyncgenfunction(inner) or (
        inspect.iscoroutinefunction(inner) and find_spec("asgiref") is None
    ):
        summary = f"the view {view} at {rule.rule} is async, which nothing awaits"
        return Problem(Code.VIEW_INVALID, summary, "Make it a plain function.")
    if keywords is None or _changes_variables(app, rule):
        return None
    names = [*sorted(rule.arguments), *keywords]
    try:
        signature = inspect.signature(inner, follow_wrapped=False)
        signature.bind(*[None] * (positional + is_method), **dict.fromkeys(names))
    except ValueError:
        return None  # of some functions of C modules there is no signature
    except TypeError as error:
        summary = f"the view {view} at {rule.rule} cannot be called: {error}"
        given = ["self"] * is_method + ["what `arguments` parses"] * positional + names
        hint = f"It is given {', '.join(given)}." if given else "It is given no arguments."
        return Problem(Code.VIEW_INVALID, summary, f"{hint} Let it take this and no more.")
    return None


def _unwrap(
    function: Callable[..., Any], decorations: Mapping[int, Decoration]
) -> tuple[Callable[..., Any], int, list[str] | None]:
    """Return the function below the platform's decorators, and what these pass to it.

    That is the number of positional arguments, and the names of others; None if these are not
    known. Another decorator may pass what it likes, so nothing below it is looked at.
    """
    positional = 0
    keywords: list[str] | None = []
    while True:
        decoration = decorations.get(id(function))
        if decoration is not None:
            positional += decoration.positional
            if keywords is not None:
                keywords = (
                    None if decoration.keywords is None else [*keywords, *decoration.keywords]
                )
            function = decoration.given
            continue
        inner = getattr(function, "__wrapped__", None)
        lookup = declared_of(function)
        is_cached = lookup is not None and lookup.function is function
        if inner is None or not (is_cached or transactional_made_of(inner) is function):
            return function, positional, keywords
        function = inner


def _changes_variables(app: Flask, rule: Rule) -> bool:
    """Return whether code before the view may take variables of the URL away, or add some."""
    parts = rule.endpoint.split(".")[:-1]
    blueprints = [None, *(".".join(parts[:end]) for end in range(1, len(parts) + 1))]
    return any(app.url_value_preprocessors.get(name) for name in blueprints)
