"""Checks of what the decorators of a blueprint are given: no view, but what they are made with."""

import difflib
import inspect
from typing import Any

from marshmallow import Schema
from webargs.flaskparser import FlaskParser


def require_path(given: object) -> None:
    """Raise `TypeError` unless a route is given the text of its path."""
    _refuse_view("the route", given, '@blueprint.get("/path")')
    if not isinstance(given, str):
        message = f"a route wants the text of its path, and got {given!r}"
        raise TypeError(message)


def require_schema(name: str, given: object, or_else: tuple[type, ...] = ()) -> None:
    """Raise `TypeError` unless a decorator is given a schema, or something of these types."""
    _refuse_view(name, given, f"@blueprint.{name}(Schema)")
    is_class = isinstance(given, type) and issubclass(given, Schema)
    if not is_class and not isinstance(given, (Schema, *or_else)):
        message = f"{name} wants a marshmallow.Schema, its class or an object, and got {given!r}"
        raise TypeError(message)


def require_status(name: str, given: object) -> None:
    """Raise `TypeError` if a decorator is given a view in place of a status."""
    _refuse_view(name, given, f"@blueprint.{name}(200, ...)")


def require_pager(given: object) -> None:
    """Raise `TypeError` if `paginate` is given a view in place of a pager."""
    _refuse_view("paginate", given, "@blueprint.paginate()")


def require_location(parser: FlaskParser, given: str) -> None:
    """Raise `ValueError` unless the parser reads arguments at a location."""
    known: dict[str, Any] = parser.__location_map__
    if given not in known:
        near = difflib.get_close_matches(str(given), known, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        message = f"arguments has no location {given!r}: {hint}it has {', '.join(sorted(known))}"
        raise ValueError(message)


def _refuse_view(name: str, given: object, example: str) -> None:
    if inspect.isfunction(given):
        view = f"{given.__module__}.{given.__qualname__}"
        message = f"{name} above {view} is not called: write it as in {example}"
        raise TypeError(message)
