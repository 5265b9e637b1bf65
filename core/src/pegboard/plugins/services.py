"""Services that plugins provide for each other, by interfaces that name no plugin."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FunctionType
from typing import Any, Generic, Protocol, TypeVar, cast

import click
import pluggy
from flask import Flask

from pegboard.callables import deferral_of, stands_for
from pegboard.plugins.contributions import Plugin, naming_failures, place_of
from pegboard.plugins.discovery import Candidate
from pegboard.plugins.markers import PROVIDES
from pegboard.plugins.origin import locate_function
from pegboard.plugins.parties import Collision, titled
from pegboard.problems import Code, PluginError, Problem, StartupError

_T = TypeVar("_T")

_OF_CLASSES = {"__init__", "__new__", "__init_subclass__", "__subclasshook__"}
"""Methods that make an object or a class, and that nobody calls on a service."""

_PROMISES = ("Await", "Corout", "Future", "Iter", "Generator", "Any", "object")
"""Parts of the names of types whose objects may be awaited or iterated by those who call."""


def check_services(
    manager: pluggy.PluginManager, plugins: Sequence[Plugin], *, is_complete: bool
) -> Iterator[Problem | Collision]:
    """Yield what is wrong with what plugins provide for and require of each other.

    `is_complete` tells that no plugin is missing because of problems of its own, so that a service
    of none of them is a problem.
    """
    providers: dict[type, tuple[Plugin, str]] = {}
    for plugin, interface, implementation in _provided(manager, plugins):
        place = locate_function(implementation.function)
        if interface is None:
            yield plugin.problem(
                Code.SERVICE_INVALID,
                f"an implementation of {PROVIDES} has no interface{place}",
                "Put @pegboard.hookimpl.provides(Interface) above it.",
            )
        elif interface in providers:
            yield _same_service(interface, (plugin, place), providers[interface])
        else:
            providers[interface] = plugin, place
    for plugin in plugins if is_complete else ():
        for interface in plugin.interfaces:
            if interface not in providers:
                found = ", ".join(map(title_of, providers)) or "none"
                yield plugin.problem(
                    Code.SERVICE_MISSING,
                    f"it requires the service {title_of(interface)}, which no active plugin "
                    f"provides{place_of(manager, plugin.name, 'pegboard_requires')}",
                    "Install and activate a plugin that provides it, or disable "
                    f"{plugin.name} too. Services that there are: {found}.",
                )


def title_of(interface: type) -> str:
    """Return what an interface is called: its module and its name."""
    return f"{interface.__module__}.{interface.__qualname__}"


def provided_by(manager: pluggy.PluginManager, plugin: Plugin) -> list[type]:
    """Return the interfaces of the services that a plugin provides."""
    found = (interface for _, interface, _ in _provided(manager, [plugin]))
    return [interface for interface in found if interface is not None]


class NoServiceError(click.ClickException, LookupError):
    """Raised for a service that no active plugin provides; ends a command without a traceback."""

    def __init__(self, interface: type, providers: Mapping[str, str]) -> None:
        """Take the interface, and the plugins by the services that they provide."""
        super().__init__(f"no active plugin provides the service {title_of(interface)}")
        self._providers = providers

    def format_message(self) -> str:
        """Return what a command prints: the message, and what to do."""
        found = ", ".join(f"{name} ({plugin})" for name, plugin in self._providers.items())
        return (
            f"{self.message}\n"
            "    Install and activate a plugin that provides it. A plugin that asks for it by "
            "service() returns it from pegboard_requires, so that the start finds that it is "
            "missing; one that can do without it asks by find_service(). Services that there are: "
            f"{found or 'none'}."
        )


class Services:
    """The services of one app, each made once."""

    def __init__(self, manager: pluggy.PluginManager, plugins: Sequence[Plugin]) -> None:
        self._providers = {
            interface: (plugin, implementation)
            for plugin, interface, implementation in _provided(manager, plugins)
        }
        self._made: dict[type, Any] = {}
        self._begun: list[type] = []
        self._app: Flask | None = None

    def __contains__(self, interface: object) -> bool:
        """Return whether an active plugin provides the service."""
        return interface in self._providers

    def make(self, app: Flask, plugin: Plugin) -> None:
        """Make the services of a plugin that are not made yet.

        Raises `PluginError` for one that fails or does not have its interface.
        """
        self._app = app
        for interface, (provider, _) in self._providers.items():
            if provider is plugin and interface is not None:
                self.get(interface)

    def get(self, interface: Callable[..., _T]) -> _T:
        """Return a service. Raises `LookupError` if there is none, or none can be made yet."""
        wanted = cast("type", interface)
        if wanted not in self._made:
            if wanted not in self._providers:
                named = {
                    title_of(one): plugin.name
                    for one, (plugin, _) in self._providers.items()
                    if one is not None
                }
                raise NoServiceError(wanted, named)
            if self._app is None:
                message = f"the service {title_of(wanted)} is made before pegboard_setup is called"
                raise LookupError(message)
            self._made[wanted] = self._make(wanted, self._app)
        return cast("_T", self._made[wanted])

    def _make(self, interface: type, app: Flask) -> Any:
        plugin, implementation = self._providers[interface]
        place = locate_function(implementation.function)
        if interface in self._begun:
            circle = [*self._begun[self._begun.index(interface) :], interface]
            names = " → ".join(map(title_of, circle))
            summary = f"services need each other in a circle: {names}{place}"
            hint = "Get one of these services later, when it is used."
            raise StartupError([plugin.problem(Code.SERVICE_CYCLE, summary, hint)])
        self._begun.append(interface)
        try:
            with naming_failures(plugin, PROVIDES):
                service = implementation.function(*([app] if implementation.argnames else []))
                lacking = _lacks(service, interface)
        finally:
            self._begun.remove(interface)
        if lacking:
            raise PluginError(
                plugin.problem(
                    Code.SERVICE_INVALID,
                    f"{PROVIDES} returned for {title_of(interface)} an object of type "
                    f"{type(service).__qualname__}, which {lacking}{place}",
                    f"Return an object that is or has all of {title_of(interface)}.",
                )
            )
        return service


def _provided(
    manager: pluggy.PluginManager, plugins: Sequence[Plugin]
) -> Iterator[tuple[Plugin, type | None, pluggy.HookImpl]]:
    """Yield what plugins provide, in their order: the plugin, the interface, what makes it."""
    implementations = getattr(manager.hook, PROVIDES).get_hookimpls()
    for plugin in plugins:
        for one in implementations:
            if one.plugin_name == plugin.name:
                yield plugin, cast("Mapping[str, Any]", one.opts).get("interface"), one


def _same_service(
    interface: type, one: tuple[Candidate, str], other: tuple[Candidate, str]
) -> Collision:
    (later, later_place), (earlier, earlier_place) = one, other
    if later is earlier:
        return Collision(
            Code.COLLISION_SERVICE,
            later,
            later,
            f"it provides {title_of(interface)} twice",
            change="Remove one of the two",
            later_place=later_place,
            earlier_place=earlier_place,
        )
    return Collision(
        Code.COLLISION_SERVICE,
        later,
        earlier,
        later_summary=f"service {title_of(interface)} is provided by {titled(earlier)} too",
        earlier_summary=f"service {title_of(interface)} is provided by {titled(later)} too",
        change="",
        later_place=later_place,
        earlier_place=earlier_place,
    )


def _lacks(service: object, interface: type) -> str:
    """Return what keeps an object from being a service of an interface; empty if nothing does."""
    members = _members(interface)
    if not getattr(interface, "_is_protocol", False):
        if not isinstance(service, interface):
            return f"is no {interface.__qualname__}"
    elif missing := [name for name in members if not _has(service, name)]:
        return f"lacks {', '.join(missing)}"
    methods = [
        # What a function takes is not to be seen in its method.
        (name, declared, service if name == "__call__" else getattr(service, name))
        for name in members
        if (declared := _method(interface, name)) is not None
    ]
    if wrong := [name for name, declared, given in methods if not _is_like(given, declared)]:
        return f"has other arguments in {', '.join(wrong)}"
    deferred = [
        f"has in {name} {why}"
        for name, declared, given in methods
        if (why := _unexpected_deferral(given, declared))
    ]
    return " and ".join(deferred)


def _method(interface: type, name: str) -> Callable[..., Any] | None:
    """Return a method of an interface as its objects have it; None if the name is no method."""
    found = inspect.getattr_static(interface, name, None)
    if not isinstance(found, FunctionType | classmethod | staticmethod):
        return None
    return found.__get__(object(), interface)


def _is_like(given: Any, declared: Callable[..., Any]) -> bool:
    return callable(given) and stands_for(given, inspect.signature(declared))


def _unexpected_deferral(given: Any, declared: Callable[..., Any]) -> str:
    """Return why a call of a method does nothing yet, unless the interface lets one expect that."""
    deferral = deferral_of(given)
    promised = inspect.signature(declared).return_annotation
    if promised is inspect.Signature.empty:
        is_expected = "async" not in deferral
    else:
        is_expected = any(word in str(promised) for word in _PROMISES)
    return "" if is_expected or deferral == deferral_of(declared) else deferral


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
