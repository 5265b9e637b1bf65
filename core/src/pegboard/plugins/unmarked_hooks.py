"""What is meant as the implementation of a hook, and is not marked as one."""

import difflib
import inspect
from collections.abc import Collection, Iterator, Mapping
from types import FunctionType, ModuleType
from typing import Any

import pluggy

from pegboard.plugins.discovery import Candidate
from pegboard.plugins.hooks import CoreHooks
from pegboard.plugins.markers import PROJECT, Implementation
from pegboard.plugins.origin import locate_class, locate_function
from pegboard.problems import Code, Problem

PREFIX = f"{PROJECT}_"
"""What the name of each hook begins with."""

_MARK_IT = "Put @pegboard.hookimpl above it."

NEAR = 0.75
"""How like a hook's name, without the prefix, that of a function is: 1 is the same name."""


def find_unmarked(
    manager: pluggy.PluginManager,
    candidate: Candidate,
    obj: Any,
    declared: Collection[tuple[str, Any]],
    known: Collection[str],
) -> Iterator[Problem]:
    """Yield a problem for what has the name of a hook, and for a marker without a function.

    No other attribute is looked at: it may be a proxy such as `current_app`. Only what
    `pegboard_hookspecs` returns declares a hook, and none of the core's. `known` are the names of
    all hooks.
    """
    for name in dir(obj):
        if manager.parse_hookimpl_opts(obj, name) is not None:
            continue
        stored = inspect.getattr_static(obj, name, None)
        if isinstance(stored, Implementation):
            yield candidate.problem(
                Code.HOOK_NOT_MARKED,
                f"{name} is what marks an implementation of {stored.hook}, and marks no function"
                f"{locate_class(obj if isinstance(obj, type | ModuleType) else type(obj), name)}",
                "Put it above the function: @pegboard.hookimpl(...), with the declaration of "
                f"{stored.hook}.",
            )
        elif name in known and (
            hasattr(CoreHooks, name) or (name, getattr(obj, name)) not in declared
        ):
            yield _not_marked(manager, candidate, obj, name, stored)


def _not_marked(
    manager: pluggy.PluginManager, candidate: Candidate, obj: Any, name: str, stored: object
) -> Problem:
    function = stored.fget if isinstance(stored, property) else getattr(obj, name)
    state, hint = "is not marked as an implementation", _MARK_IT
    if isinstance(stored, property):
        state = "is a property, which no hook calls"
        hint = "Write a method, without @property, and put @pegboard.hookimpl above it."
    elif manager.parse_hookspec_opts(obj, name) is not None:
        state = "is marked as the declaration of one"
        hint = "Put @pegboard.hookimpl above it, in place of @pegboard.hookspec."
    place = locate_function(function)
    summary = f"{name} has the name of a hook, but {state}{place}"
    return candidate.problem(Code.HOOK_NOT_MARKED, summary, hint)


def find_nearly_named(candidate: Candidate, obj: Any) -> Iterator[Problem]:
    """Yield a problem for each function that `nearly_hooks` finds."""
    for function, hook in nearly_hooks(obj):
        yield candidate.problem(
            Code.HOOK_NOT_MARKED,
            f"{function.__name__} has nearly the name of a hook, and is not marked as an "
            f"implementation{locate_function(function)}",
            f"Did you mean {hook}? {_MARK_IT} If it is meant for no hook, give it a name that does "
            f"not begin with {PREFIX}.",
        )


def nearly_hooks(obj: Any) -> Iterator[tuple[FunctionType, str]]:
    """Yield the unmarked functions that are named nearly as a hook of the core, with the hook.

    They are those that a module defines, or the methods of an object's class.
    """
    parts = {name.removeprefix(PREFIX) for name in vars(CoreHooks) if name.startswith(PREFIX)}
    for name, function in _functions_of(obj).items():
        part = name.removeprefix(PREFIX)
        is_marked = any(hasattr(function, f"{PROJECT}_{kind}") for kind in ("impl", "spec"))
        if part == name or part in parts or is_marked:
            continue
        for near in difflib.get_close_matches(part, parts, n=1, cutoff=NEAR):
            yield function, f"{PREFIX}{near}"


def _functions_of(obj: Any) -> Mapping[str, FunctionType]:
    owner = obj if isinstance(obj, type | ModuleType) else type(obj)
    found = {}
    for name in dir(owner):
        stored = inspect.getattr_static(owner, name, None)
        function = stored.__func__ if isinstance(stored, staticmethod | classmethod) else stored
        is_own = not isinstance(obj, ModuleType) or (
            isinstance(function, FunctionType) and function.__module__ == obj.__name__
        )
        if isinstance(function, FunctionType) and is_own:
            found[name] = function
    return found
