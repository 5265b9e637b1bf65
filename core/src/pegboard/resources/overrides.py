"""What is wrong with the methods of a resource's subclass, said when the class is made."""

import difflib
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from functools import partialmethod
from types import FunctionType
from typing import Any

from pegboard.callables import without_types

STEPS = ("rows", "permit_read", "permit_write", "make", "change")
"""The methods that are there to be overridden."""

_READS = frozenset({"GET", "HEAD"})
_CHANGES = frozenset({"PUT", "PATCH"})
_METHODS_OF_STEPS = {
    "rows": _READS | _CHANGES | {"DELETE"},
    "permit_read": _READS,
    "permit_write": _CHANGES | {"POST", "DELETE"},
    "make": frozenset({"POST"}),
    "change": _CHANGES,
}

_METHODS = (FunctionType, staticmethod, classmethod, partialmethod)


def steps_of(method: str) -> tuple[str, ...]:
    """Return the steps that the operation of an HTTP method calls."""
    return tuple(step for step in STEPS if method in _METHODS_OF_STEPS[step])


def mistakes_in_overrides(kind: type, base: type) -> Iterator[str]:
    """Yield what is wrong with the methods that a subclass overrides, or seems to override."""
    for name in dir(base):
        original = inspect.getattr_static(base, name)
        given = inspect.getattr_static(kind, name)
        if name.startswith("_") or not isinstance(original, FunctionType) or given is original:
            continue
        signature = without_types(inspect.signature(original))
        cure = f"write def {name}{signature}"
        if not isinstance(given, _METHODS) and not callable(given):
            yield f"{name} is a method, not {given!r}; {cure}"
        elif inspect.iscoroutinefunction(given):
            yield f"{name} is called without await, and is async; {cure}"
        elif not _takes(_bound(given, kind), signature):
            arguments = without_types(inspect.signature(_unbound(given), follow_wrapped=False))
            yield f"{name}{arguments} cannot be called as the core calls it; {cure}"
    yield from _misspelled(kind, base)


def _unbound(method: Any) -> Callable[..., Any]:
    function = getattr(method, "__func__", method)
    return function.func if isinstance(method, partialmethod) else function  # type: ignore[no-any-return]


def _bound(method: Any, kind: type) -> Callable[..., Any]:
    """Return a method as an object of the class has it."""
    if not isinstance(method, _METHODS):
        return method  # type: ignore[no-any-return]
    return method.__get__(object(), kind)


def _takes(method: Callable[..., Any], signature: inspect.Signature) -> bool:
    """Return whether a bound method can be called with the arguments of a signature, by place."""
    _, *parameters = signature.parameters.values()
    needed = sum(one.default is inspect.Parameter.empty for one in parameters)
    # What a decorator passes on is not known: what it takes itself counts.
    taken = inspect.signature(method, follow_wrapped=False)
    try:
        for count in range(needed, len(parameters) + 1):
            taken.bind(*[None] * count)
    except TypeError:
        return False
    return True


def _misspelled(kind: type, base: type) -> Iterator[str]:
    """Yield the methods that have almost the name of a step, and that nothing calls."""
    for name in dir(kind):
        if name.startswith("_") or hasattr(base, name):
            continue
        if not isinstance(inspect.getattr_static(kind, name), _METHODS):
            continue
        # Of a permission that is not asked the harm is greater than that of another name.
        cutoff = 0.6 if name.startswith("permit") else 0.8
        near = difflib.get_close_matches(name, STEPS, n=1, cutoff=cutoff)
        if near and not _is_called(name, kind, base):
            yield (
                f"nothing calls {name}; did you mean {near[0]}? A method of your own needs a name "
                "that is less like that of a step"
            )


def _is_called(name: str, kind: type, base: type) -> bool:
    """Return whether a module of the class, or of its own bases, has a call of a method."""
    modules = {one.__module__ for one in kind.__mro__ if not issubclass(base, one)}
    for module in modules:
        try:
            source = inspect.getsource(sys.modules[module])
        except (KeyError, OSError, TypeError):
            return True  # without its source nothing is known of it
        if re.search(rf"\.{re.escape(name)}\b", source):
            return True
    return False
