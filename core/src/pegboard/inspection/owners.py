"""Whose code a function is, and what decorates a view."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from flask import Flask

import pegboard
from pegboard.api import held_functions
from pegboard.plugins import get_registry

_CORE = "pegboard"


@dataclass(frozen=True)
class Owner:
    """Whose something is."""

    name: str
    """The plugin's name, `core`, or the import package of a library."""
    is_plugin: bool

    def __str__(self) -> str:
        return f"plugin {self.name}" if self.is_plugin else self.name


@dataclass(frozen=True)
class Wrapper:
    """A decorator of a view."""

    name: str
    """As it is imported, as far as that can be told: `pegboard.transactional`."""
    owner: Owner
    is_hidden: bool = False
    """Whether it is below one without `functools.wraps`, which may call what it decorates."""


def owner_of(app: Flask, obj: object, endpoint: str = "") -> Owner:
    """Return whose a function, a class or an object is; a view's also by its endpoint."""
    module = module_of(obj)
    registry = get_registry(app)
    if endpoint and (plugin := registry.owner_of(endpoint, module)) is not None:
        return Owner(plugin.name, is_plugin=True)
    package = module.partition(".")[0]
    if package in registry.packages:
        return Owner(registry.packages[package], is_plugin=True)
    return Owner("core" if package == _CORE else package, is_plugin=False)


def module_of(obj: object) -> str:
    """Return the module that defines a function, a class, or the class of an object."""
    while isinstance(obj, partial):
        obj = obj.func
    function = inspect.unwrap(obj) if callable(obj) else obj
    module = getattr(function, "__module__", None)
    return module if isinstance(module, str) else type(obj).__module__


def describe(obj: object) -> str:
    """Return module and name of a function, or of the class of an object."""
    while isinstance(obj, partial):
        obj = obj.func
    name = getattr(obj, "__qualname__", None) or type(obj).__qualname__
    return f"{module_of(obj)}.{name}"


def wrappers_of(app: Flask, view: Callable[..., Any]) -> Iterator[Wrapper]:
    """Yield the decorators of a view, the outermost first.

    Below one that does not use `functools.wraps` these are the ones that what it keeps has: which
    function it decorates nothing tells.
    """
    yield from _wrapping(app, view)
    for function, holder in held_functions(view):
        inner = [*_wrapping(app, function)]
        if inner:
            yield Wrapper(f"{describe(holder)}, without functools.wraps", owner_of(app, holder))
        yield from (replace(one, is_hidden=True) for one in inner)


def _wrapping(app: Flask, view: Callable[..., Any]) -> Iterator[Wrapper]:
    """Yield the decorators that wrap a function by `functools.wraps`, the outermost first."""
    function: Any = view
    public = {id(getattr(pegboard, name)): name for name in pegboard.__all__}
    while (inner := getattr(function, "__wrapped__", None)) is not None:
        code = getattr(function, "__code__", None)
        if code is not None:
            module = function.__globals__.get("__name__", "")
            name = code.co_qualname.partition(".<locals>")[0]
            decorator = function.__globals__.get(name)
            told = f"{_CORE}.{public[id(decorator)]}" if id(decorator) in public else None
            owner = _owner_of_module(app, module)
            yield Wrapper(told or f"{module}.{name}", owner)
        function = inner


def _owner_of_module(app: Flask, module: str) -> Owner:
    package = module.partition(".")[0]
    packages = get_registry(app).packages
    if package in packages:
        return Owner(packages[package], is_plugin=True)
    return Owner("core" if package == _CORE else package, is_plugin=False)
