"""What the standard library and the libraries that all plugins share have for the whole process."""

import sys
from collections.abc import Callable, Iterator
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

from pegboard.grading import HOSTS

_FUNCTIONS: tuple[type, ...] = (FunctionType, BuiltinFunctionType)
_CONTAINERS = (dict, list, set)
_PLAIN = (int, float, str, bytes)
_CHANGING = {"sys", "builtins", "mimetypes", "posix", "linecache", "warnings"}
"""Modules whose values change when they are used; `process_state` tells what is of interest."""

Contents = tuple[Any, ...]
"""A value, and what is in it; kept, so that no other object gets the identity of one of them."""


def contents(value: Any) -> Contents:
    """Return the value, and what is in it now if it is a container."""
    match value:
        case dict():
            return (value, *value.keys(), *value.values())
        case list() | set():
            return (value, *value)
    return (value,)


def is_same(before: Contents, after: Contents) -> bool:
    """Return whether the objects are the same; plain ones need only be equal."""
    return len(before) == len(after) and all(
        one is other or (isinstance(one, _PLAIN) and one == other)
        for one, other in zip(before, after, strict=True)
    )


def host_values() -> dict[str, Contents]:
    """Return the functions of the hosts and of their classes, and their public values, by name."""
    return {name: contents(value) for name, value in _members()}


def _members() -> Iterator[tuple[str, object]]:
    watched = {*sys.stdlib_module_names, *HOSTS}
    for name, module in [*sys.modules.items()]:
        host = name.partition(".")[0]
        if (
            host not in watched
            or name.startswith("pegboard.testing")
            or not isinstance(module, ModuleType)
        ):
            continue
        has_values = name not in _CHANGING and not name.startswith("_")
        # Some have the name of a function in the package that they are in.
        yield f"{name}.", module
        for key, value in [*vars(module).items()]:
            if _is_watched(key, value, has_values=has_values):
                yield f"{name}.{key}", value
            if isinstance(value, type) and value.__module__ == name:
                for member, one in [*vars(value).items()]:
                    if _is_watched(member, one, has_values=has_values):
                        yield f"{name}.{key}.{member}", one


def _is_watched(key: str, value: object, *, has_values: bool) -> bool:
    """Return whether it is a function, or public and no module; private values are caches."""
    if isinstance(value, _FUNCTIONS):
        return True
    if key.startswith("_") or isinstance(value, ModuleType):
        return False
    return has_values or isinstance(value, type)


def changed_values(before: dict[str, Contents], is_own: Callable[[str], bool]) -> list[str]:
    """Return what other values the hosts have now.

    Of functions and classes that are new, and of modules that were imported since, only what a
    plugin has put there is known: what is defined in a module of which `is_own` is true.
    """
    found = []
    told: set[int] = set()
    for name, value in _members():
        known = before.get(name)
        if known is None:
            if isinstance(value, (FunctionType, type)):
                if is_own(str(value.__module__)):
                    found.append(f"{name} is {value.__module__}.{value.__qualname__}")
            elif _has_owner(name, before) and not isinstance(value, ModuleType):
                found.append(f"{name} is new, and is {value!r:.80}")
        # Modules import containers of each other.
        elif id(value) not in told and (change := _change(known, value)):
            told.update({id(value)} if isinstance(value, _CONTAINERS) else ())
            found.append(f"{name} {change}")
    return found


def _has_owner(name: str, before: dict[str, Contents]) -> bool:
    """Return whether the module or class that has a value was there before."""
    owner = name.rpartition(".")[0]
    return owner in before or f"{owner}." in before


def _change(known: Contents, value: object) -> str | None:
    """Return what has become of a value, as the end of a sentence; None if it is the same."""
    now = contents(value)
    if not isinstance(value, _CONTAINERS) or type(value) is not type(known[0]):
        if is_same(known, now):
            return None
        if isinstance(known[0], _FUNCTIONS):
            return "is another function"
        return f"was {known[0]!r:.80} and is {value!r:.80}"
    # An equal copy in its place does no harm.
    if is_same(known[1:], now[1:]):
        return None
    old, new = _parts(known), _parts(now)
    changes = [f"has {key}" for key, one in new.items() if key not in old or one is not old[key]]
    changes += [f"lacks {key}" for key in old if key not in new]
    return ", ".join(changes)[:200] or "has another order"


def _parts(found: Contents) -> dict[str, object]:
    """Return what is in a container, by its key or by itself as text."""
    container, *parts = found
    keys = parts[: len(parts) // 2] if isinstance(container, dict) else parts
    values = parts[len(parts) // 2 :] if isinstance(container, dict) else parts
    return {f"{key!r:.80}": value for key, value in zip(keys, values, strict=True)}
