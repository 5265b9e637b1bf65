"""Checking that what an entry point or `create_app` names is an object with hooks."""

import inspect
import sys
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any

import pluggy

from pegboard.plugins.discovery import Candidate
from pegboard.plugins.origin import locate_class
from pegboard.plugins.unmarked_hooks import nearly_hooks
from pegboard.problems import Code, Problem

_NO_PLUGINS = (str, bytes, int, float, list, tuple, dict, set, frozenset, FunctionType)


def check_object(manager: pluggy.PluginManager, candidate: Candidate, obj: Any) -> Problem | None:
    """Return what is wrong with the object of a plugin: hooks that would not be found or called."""
    if isinstance(obj, type):
        return _check_class(manager, candidate, obj)
    if obj is None or isinstance(obj, _NO_PLUGINS):
        return candidate.problem(
            Code.PLUGIN_OBJECT_INVALID,
            f"{_where(candidate)} is a {type(obj).__name__}, which has no hooks{_place(candidate)}",
            "A plugin is a module or an object whose functions are marked with @pegboard.hookimpl.",
        )
    if isinstance(obj, ModuleType) and not any(_hooks_of(manager, obj)):
        return _check_members(manager, candidate, obj)
    return None


def _check_class(manager: pluggy.PluginManager, candidate: Candidate, obj: type) -> Problem | None:
    """Return what is wrong if a hook of a class needs an instance."""
    for name, function in _hooks_of(manager, obj):
        known = getattr(getattr(getattr(manager.hook, name, None), "spec", None), "argnames", ())
        if not isinstance(function, FunctionType):
            continue  # a static or a class method
        first = next(iter(inspect.signature(function).parameters), None)
        if first is not None and first not in known:
            called = f"{obj.__name__}()"
            return candidate.problem(
                Code.PLUGIN_OBJECT_INVALID,
                f"{_where(candidate)} is a class, whose hooks need an object{locate_class(obj)}",
                f"Write create_app(plugins=[{called}])."
                if candidate.entry_point is None
                else f"Write plugin = {called} in {obj.__module__}, and {obj.__module__}:plugin in "
                "the entry point.",
            )
    return None


def _check_members(
    manager: pluggy.PluginManager, candidate: Candidate, module: ModuleType
) -> Problem | None:
    """Return what is wrong with a module without hooks: an object or a class in it may have some.

    A module that was given to `create_app` may do without, an entry point is there for its hooks.
    """
    found = {
        name: value
        for name, value in vars(module).items()
        if not isinstance(value, ModuleType)
        and any(_hooks_of(manager, value if isinstance(value, type) else type(value)))
    }
    if not found and candidate.entry_point is not None and not _has_hook_names(manager, module):
        return candidate.problem(
            Code.PLUGIN_OBJECT_INVALID,
            f"the module {module.__name__} has no hooks{locate_class(module)}",
            "Mark its hooks with @pegboard.hookimpl, or name in the entry point the module or the "
            "object that has them.",
        )
    # An object is preferred to its class.
    for name, value in sorted(found.items(), key=lambda item: isinstance(item[1], type)):
        is_class = isinstance(value, type)
        target = "plugin" if is_class else name
        how = f"Write {target} = {name}() there, and" if is_class else "Write"
        return candidate.problem(
            Code.PLUGIN_OBJECT_INVALID,
            f"the module {module.__name__} has no hooks, but its {name} has"
            f"{locate_class(value if is_class else type(value))}",
            f"{how} {module.__name__}:{target} in the entry point."
            if candidate.entry_point is not None
            else f"Give create_app {name}{'()' if is_class else ''} in place of the module.",
        )
    return None


def _has_hook_names(manager: pluggy.PluginManager, module: ModuleType) -> bool:
    """Return whether a function is named as a hook is, or nearly, and the marker was forgotten."""
    return any(hasattr(getattr(manager.hook, name, None), "spec") for name in vars(module)) or any(
        nearly_hooks(module)
    )


def _hooks_of(manager: pluggy.PluginManager, owner: object) -> Iterator[tuple[str, Any]]:
    """Yield the hooks that an object implements, with the attributes as they are stored.

    Nothing is run: neither properties nor proxies such as `current_app`.
    """
    for name in dir(owner):
        stored = inspect.getattr_static(owner, name, None)
        function = stored.__func__ if isinstance(stored, staticmethod | classmethod) else stored
        if not isinstance(function, FunctionType):
            continue
        options = getattr(function, f"{manager.project_name}_impl", None)
        if options is not None:
            yield options.get("specname") or name, stored


def _place(candidate: Candidate) -> str:
    """Return where the module gives the name to what an entry point names."""
    entry = candidate.entry_point
    module = sys.modules.get(entry.module) if entry else None
    return locate_class(module, entry.attr) if entry and module else ""


def _where(candidate: Candidate) -> str:
    return candidate.entry_point.value if candidate.entry_point else "what create_app was given"
