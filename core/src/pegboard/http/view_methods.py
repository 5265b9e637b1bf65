"""Which function of a view answers a method of HTTP."""

from collections.abc import Callable
from typing import Any


def function_of(view: Callable[..., Any], method: str) -> Callable[..., Any]:
    """Return the function that answers a method: one of a `MethodView`, else the view itself.

    As in Flask, `HEAD` is answered by `get` where the class has no `head`.
    """
    view_class = getattr(view, "view_class", None)
    if view_class is None:
        return view
    if method == "HEAD" and not hasattr(view_class, "head"):
        method = "GET"
    function: Callable[..., Any] = getattr(view_class, method.lower(), view)
    return function
