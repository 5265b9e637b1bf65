"""Checks that what decorates a view has an effect."""

from collections.abc import Callable, Iterator
from typing import Any

from flask import Flask

from pegboard.api import Blueprint, Decoration, functions_inside
from pegboard.app.view_problems import ViewProblem
from pegboard.cache import declared_of
from pegboard.database import transactional_made_of
from pegboard.problems import Code, Problem

_DUMPING = frozenset({"response", "paginate"})
"""The decorators that make the answer of what a view returns."""


def find_missed_decorations(app: Flask) -> Iterator[ViewProblem]:
    """Yield each mistake in how views are decorated."""
    views = {id(one): rule.endpoint for rule, one in _views(app)}
    used = {id(inner) for _, view in _views(app) for inner in _inside(view)}
    for endpoint, one in _decorations(app):
        if (problem := _problem(one, views, used)) is not None:
            yield ViewProblem(endpoint, problem, (one.given,))


def _decorations(app: Flask) -> Iterator[tuple[str, Decoration]]:
    """Yield how functions were decorated, each with an endpoint, or the beginning of one."""
    for name, blueprint in app.blueprints.items():
        for one in blueprint.decorations if isinstance(blueprint, Blueprint) else ():
            yield f"{name}.", one
    for rule, view in _views(app):
        if (made := transactional_made_of(view)) is not None:
            yield rule.endpoint, Decoration("transactional", view, made, is_late=False)


def _problem(one: Decoration, views: dict[int, str], used: set[int]) -> Problem | None:
    view = f"{one.given.__module__}.{getattr(one.given, '__qualname__', one.given)}"
    given = list(_inside(one.given))
    # Between two routes of a view, a decorator misses the lower one.
    if id(one.made) in used and not one.is_late:
        if one.name in _DUMPING and any(_is_cached_here(inner) for inner in given):
            summary = f"the cached view {view} is declared below {one.name}, which makes its answer"
            hint = f"Put `cached` above `{one.name}`, and above all other decorators."
            return Problem(Code.CACHED_BELOW_RESPONSE, summary, hint)
    elif any(id(inner) in views for inner in given):
        summary = f"{one.name} decorates {view} above its route, which misses it"
        hint = f"Put `{one.name}` below the route."
        return Problem(Code.DECORATED_ABOVE_ROUTE, summary, hint)
    return None


def _is_cached_here(function: Callable[..., Any]) -> bool:
    # Decorators copy the attributes of a function to the one they return.
    lookup = declared_of(function)
    return lookup is not None and lookup.function is function


def _views(app: Flask) -> Iterator[tuple[Any, Callable[..., Any]]]:
    """Yield what serves each rule: a function, or the class of a view."""
    for rule in app.url_map.iter_rules():
        if (view := app.view_functions.get(rule.endpoint)) is not None:
            yield rule, getattr(view, "view_class", view)


def _inside(view: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """Yield a view and the functions that its decorators have wrapped; of a class, its methods'."""
    if isinstance(view, type):
        yield view
        for method in getattr(view, "methods", None) or ():
            if (function := getattr(view, method.lower(), None)) is not None:
                yield from _inside(function)
        return
    yield from functions_inside(view)
