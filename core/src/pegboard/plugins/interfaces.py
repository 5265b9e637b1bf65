"""Whether an object is what an interface, a protocol or another class, says."""

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FunctionType, UnionType
from typing import (
    Any,
    Generic,
    Literal,
    Protocol,
    Self,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from pegboard.callables import Deferral, deferral_of, stands_for, without_types
from pegboard.plugins.origin import locate_function

_OF_CLASSES = {
    *("__init__", "__post_init__", "__new__", "__del__", "__init_subclass__", "__subclasshook__"),
}
"""Methods that make an object or a class or end one, and that nobody calls on a service."""


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
    """Yield in what an object is not what an interface says.

    Of a class that is no protocol the interface are its abstract methods.
    """
    title = title_of(interface)
    is_protocol = getattr(interface, "_is_protocol", False)
    if not is_protocol and not isinstance(service, interface):
        hint = f"Return an object of a class that inherits from {title}."
        yield Mismatch(f"which is no {interface.__qualname__}", hint)
        return
    members = _members(interface) if is_protocol else _abstract_methods(interface, service)
    if missing := [name for name in members if not _has(service, name)]:
        hint = f"Return an object that has all of {title}."
        yield Mismatch(f"which lacks {', '.join(missing)}", hint)
        return
    for name in members:
        if (declared := _method(interface, name)) is not None:
            # What a function takes is not to be seen in its method.
            given = service if name == "__call__" else getattr(service, name)
            # Python itself calls special methods, by place; so do those who inherit a class.
            by_name = is_protocol and (name == "__call__" or not name.startswith("__"))
            if (found := _mismatch(name, declared, given, title, by_name=by_name)) is not None:
                yield found


def _mismatch(
    name: str, declared: Callable[..., Any], given: Any, title: str, *, by_name: bool
) -> Mismatch | None:
    """Return in what a method is not as it is declared."""
    signature = inspect.signature(declared)
    wanted = f"{name}{without_types(signature)}"
    hint = f"Let it take what {title} says: {wanted}."
    if not callable(given):
        return Mismatch(f"whose {name} cannot be called", hint)
    if not stands_for(given, signature, by_name=by_name):
        own = f"{name}{without_types(inspect.signature(given, follow_wrapped=False))}"
        text = f"whose {own} cannot be called as {wanted}"
        return Mismatch(text, hint, locate_function(given))
    deferral = deferral_of(given)
    if deferral and deferral is not deferral_of(declared) and not _promises(declared, deferral):
        hint = f"Make it a plain function, or let {title} say that it returns such an object."
        return Mismatch(f"whose {name} is {deferral.text}", hint, locate_function(given))
    return None


def _promises(declared: Callable[..., Any], deferral: Deferral) -> bool:
    """Return whether a method may return what its caller awaits or iterates, as far as is known."""
    given = inspect.signature(declared).return_annotation
    if given is inspect.Signature.empty:
        return deferral is not Deferral.ASYNC

    def result() -> None: ...

    result.__annotations__ = {"return": given}  # the types of its arguments may not be known here
    try:
        promised = get_type_hints(result, inspect.unwrap(declared).__globals__)["return"]
    except Exception:  # noqa: BLE001 - a name may be known to mypy alone
        return deferral is not Deferral.ASYNC or re.search(r"Await|Corout", str(given)) is not None
    return _may_be(promised, deferral.result)


def _may_be(hint: Any, kind: type) -> bool:
    """Return whether an object of a type may be meant by a type hint; what is not known may be."""
    hint = getattr(hint, "__value__", hint)  # of `type Rows = Iterator[int]`
    hint = getattr(hint, "__supertype__", hint)  # of a NewType
    origin = get_origin(hint) or hint
    if origin in (Union, UnionType):
        return any(_may_be(one, kind) for one in get_args(hint))
    if origin in (Literal, Self):
        return False
    if origin is Any or not isinstance(origin, type):
        return True
    try:
        return issubclass(kind, origin)
    except TypeError:  # a protocol that is none at run time
        return True


def _abstract_methods(interface: type, service: object) -> list[str]:
    """Return the abstract methods of a class, unless the object only counts as one of it."""
    inherits = interface in type(service).__mro__
    return sorted(getattr(interface, "__abstractmethods__", ())) if inherits else []


def _method(interface: type, name: str) -> Callable[..., Any] | None:
    """Return a method of an interface as its objects have it; None if the name is no method."""
    found = inspect.getattr_static(interface, name, None)
    if not isinstance(found, FunctionType | classmethod | staticmethod):
        return None
    return found.__get__(object(), interface)


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
