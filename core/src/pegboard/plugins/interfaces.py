"""Whether an object is what an interface, a protocol or another class, says."""

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FunctionType
from typing import Any, Generic, Protocol

from pegboard.callables import deferral_of, stands_for, without_types
from pegboard.plugins.origin import locate_function

_OF_CLASSES = {"__init__", "__new__", "__init_subclass__", "__subclasshook__"}
"""Methods that make an object or a class, and that nobody calls on a service."""

_PROMISES = {
    "an async function": r"\b(Await|Corout|Future|Task)",
    "an async generator": r"\bAsync(Iter|Gen)",
    "a generator": r"\b(Iter|Gen)",
}
"""How the types begin whose objects a caller awaits or iterates, by what returns such an object."""


@dataclass(frozen=True)
class Mismatch:
    """Something in which an object is not what its interface says."""

    text: str
    """What goes on after the object, as in `which lacks send`."""
    hint: str
    place: str = ""
    """Where the method at fault is, as `locate_function` says it; empty if that is not known."""


def title_of(interface: type) -> str:
    """Return what an interface is called: its module and its name."""
    return f"{interface.__module__}.{interface.__qualname__}"


def mismatches(service: object, interface: type) -> Iterator[Mismatch]:
    """Yield in what an object is not what an interface says."""
    title = title_of(interface)
    members = _members(interface)
    if not getattr(interface, "_is_protocol", False):
        if not isinstance(service, interface):
            hint = f"Return an object of a class that inherits from {title}."
            yield Mismatch(f"which is no {interface.__qualname__}", hint)
            return
    elif missing := [name for name in members if not _has(service, name)]:
        hint = f"Return an object that has all of {title}."
        yield Mismatch(f"which lacks {', '.join(missing)}", hint)
        return
    for name in members:
        if (declared := _method(interface, name)) is not None:
            # What a function takes is not to be seen in its method.
            given = service if name == "__call__" else getattr(service, name)
            if (found := _mismatch(name, declared, given, title)) is not None:
                yield found


def _mismatch(name: str, declared: Callable[..., Any], given: Any, title: str) -> Mismatch | None:
    """Return in what a method is not as it is declared."""
    signature = inspect.signature(declared)
    wanted = f"{name}{without_types(signature)}"
    hint = f"Let it take what {title} says: {wanted}."
    if not callable(given):
        return Mismatch(f"whose {name} cannot be called", hint)
    if not stands_for(given, signature):
        own = f"{name}{without_types(inspect.signature(given, follow_wrapped=False))}"
        text = f"whose {own} cannot be called as {wanted}"
        return Mismatch(text, hint, locate_function(given))
    if deferral := _unexpected_deferral(given, declared):
        hint = f"Make it a plain function, or let {title} say that it returns such an object."
        return Mismatch(f"whose {name} is {deferral}", hint, locate_function(given))
    return None


def _method(interface: type, name: str) -> Callable[..., Any] | None:
    """Return a method of an interface as its objects have it; None if the name is no method."""
    found = inspect.getattr_static(interface, name, None)
    if not isinstance(found, FunctionType | classmethod | staticmethod):
        return None
    return found.__get__(object(), interface)


def _unexpected_deferral(given: Any, declared: Callable[..., Any]) -> str:
    """Return why a call of a method does nothing yet, unless the interface lets one expect that."""
    deferral = deferral_of(given)
    if not deferral or deferral == deferral_of(declared):
        return ""
    promised = inspect.signature(declared).return_annotation
    if promised is inspect.Signature.empty:
        return deferral if "async" in deferral else ""
    pattern = next(one for kind, one in _PROMISES.items() if deferral.startswith(kind))
    is_any = promised in (Any, object, "Any", "object")
    return "" if is_any or re.search(pattern, str(promised)) else deferral


def _has(service: object, name: str) -> bool:
    """Return whether an object has an attribute; a property is not run, which may not work yet."""
    absent = object()
    return inspect.getattr_static(service, name, absent) is not absent or hasattr(service, name)


def _members(interface: type) -> list[str]:
    """Return the public names that a protocol and those that it extends declare.

    Among them are the methods of Python's own protocols, as `__call__` or `__len__`.
    """
    return sorted(
        {
            name
            for one in interface.__mro__
            if one not in (object, Protocol, Generic)
            for name in (*vars(one), *vars(one).get("__annotations__", ()))
            if not name.startswith("_") or _is_special_method(one, name)
        }
    )


def _is_special_method(interface: type, name: str) -> bool:
    is_special = name.startswith("__") and name.endswith("__") and name not in _OF_CLASSES
    return is_special and isinstance(vars(interface).get(name), FunctionType)
