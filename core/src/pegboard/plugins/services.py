"""Services that plugins provide for each other, by interfaces that name no plugin."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

import click
import pluggy
from flask import Flask

from pegboard.plugins.contributions import Plugin, naming_failures, place_of
from pegboard.plugins.discovery import Candidate
from pegboard.plugins.interfaces import Mismatch, mismatches, title_of
from pegboard.plugins.markers import PROVIDES
from pegboard.plugins.origin import locate_function
from pegboard.plugins.parties import Collision, titled
from pegboard.plugins.results import shown
from pegboard.problems import Code, PluginError, Problem, StartupError

_T = TypeVar("_T")


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
        self._failed: dict[type, PluginError | StartupError] = {}
        self._begun: list[type] = []
        self._app: Flask | None = None

    def __contains__(self, interface: object) -> bool:
        """Return whether an active plugin provides the service."""
        return interface in self._providers

    def make(self, app: Flask, plugin: Plugin) -> None:
        """Make the services of a plugin that are not made yet.

        Raises `PluginError` for those that fail or do not have their interfaces.
        """
        self._app = app
        problems: list[Problem] = []
        for interface, (provider, _) in self._providers.items():
            if provider is plugin and interface is not None:
                try:
                    self.get(interface)
                except PluginError as error:
                    problems += error.problems
        if problems:
            raise PluginError(*dict.fromkeys(problems))

    def get(self, interface: Callable[..., _T]) -> _T:
        """Return a service. Raises `LookupError` if there is none, or none can be made yet."""
        wanted = cast("type", interface)
        if wanted in self._failed:
            raise self._failed[wanted]
        if wanted not in self._made:
            if self._app is None and wanted in self._providers:
                message = f"the service {title_of(wanted)} is made before pegboard_setup is called"
                raise LookupError(message)
            try:
                self._made[wanted] = self._make(wanted)
            except (PluginError, StartupError) as error:
                if not self._begun:  # else it may be another that needs this one too early
                    self._failed[wanted] = error
                raise
        return cast("_T", self._made[wanted])

    def _make(self, interface: type) -> Any:
        if interface not in self._providers:
            named = {
                title_of(one): plugin.name
                for one, (plugin, _) in self._providers.items()
                if one is not None
            }
            raise NoServiceError(interface, named)
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
                given = [self._app] if implementation.argnames else []
                service = implementation.function(*given)
                found = [*mismatches(service, interface)]
        finally:
            self._begun.remove(interface)
        if found:
            raise PluginError(*(_unfit(plugin, service, interface, one, place) for one in found))
        return service


def _unfit(
    plugin: Plugin, service: object, interface: type, mismatch: Mismatch, place: str
) -> Problem:
    """Return the problem of a service that is not what its interface says; `place` made it."""
    return plugin.problem(
        Code.SERVICE_INVALID,
        f"{PROVIDES} returned for {title_of(interface)} {shown(service)}, {mismatch.text}"
        f"{mismatch.place or place}",
        "Return an object of the class." if isinstance(service, type) else mismatch.hint,
    )


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
