"""Finds the functions below a decorator that does not use `functools.wraps`."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from types import FunctionType
from typing import Any

from werkzeug.local import LocalProxy


def held_functions(
    view: Callable[..., Any],
) -> Iterator[tuple[Callable[..., Any], Callable[..., Any]]]:
    """Yield what a view keeps in its closure or attributes, each with what keeps it.

    Which of them the view calls cannot be known: one is what a decorator was given, or whatever
    else the code around it uses. What `__wrapped__` leads to is none of them.
    """
    waiting, seen = [view], {id(view)}
    while waiting:
        holder = _innermost(waiting.pop())
        for function in _kept(holder):
            if id(function) not in seen:
                seen.add(id(function))
                waiting.append(function)
                yield function, holder


def _innermost(function: Any) -> Any:
    while (inner := getattr(function, "__wrapped__", None)) is not None:
        function = inner
    return function


def _kept(holder: Any) -> Iterator[Callable[..., Any]]:
    kept: list[Any]
    if isinstance(holder, FunctionType):
        kept = []
        for cell in holder.__closure__ or ():
            with suppress(ValueError):  # it is empty
                kept.append(cell.cell_contents)
    elif isinstance(holder, partial):
        kept = [holder.func, *holder.args, *holder.keywords.values()]
    else:
        kept = [*getattr(holder, "__dict__", {}).values()]
    for value in kept:
        # A proxy has no attributes outside a request, and a class is no view.
        if not issubclass(type(value), LocalProxy | type) and callable(value):
            yield value
