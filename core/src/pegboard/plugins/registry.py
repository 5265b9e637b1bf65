"""The registry of an app: its active plugins, and the settings in force."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import ParamSpec, TypeVar

import pluggy
from flask import Flask

from pegboard.extensions import get_extension
from pegboard.plugins.contributions import Plugin
from pegboard.plugins.isolation import Outcome, call_isolated
from pegboard.plugins.ordering import plugins_in_order
from pegboard.plugins.services import Services
from pegboard.problems import Problem
from pegboard.settings import Settings, Unused, Value

EXTENSION = "pegboard"

_P = ParamSpec("_P")
_R = TypeVar("_R")
_T = TypeVar("_T")


@dataclass(frozen=True)
class Skipped:
    """Why a plugin is not active though its distribution is installed, for the log."""

    problem: Problem

    def __str__(self) -> str:
        one = self.problem
        return (
            f"{one.plugin} is skipped, as its policy says: {one.summary} [{one.code}]. {one.hint}"
        )


@dataclass(frozen=True)
class Registry:
    """The plugins of one app; each app has its own registry."""

    plugins: tuple[Plugin, ...]
    """The active plugins, each after those that its distribution requires."""
    skipped: tuple[Problem, ...]
    """The problems of the plugins that were skipped, as their policy allows."""
    skippable: frozenset[str]
    """The names of the active plugins without which the service may start."""
    settings: Mapping[type[Settings], Settings]
    """The settings in force, by the class that declares them."""
    values: tuple[Value, ...]
    """Every setting in force with its origin."""
    manager: pluggy.PluginManager = field(repr=False)
    """The plugin manager of pluggy, with all active plugins registered."""
    unused: tuple[Unused, ...] = ()
    """The names of settings, and of plugins in them, that have no effect."""

    @property
    def hook(self) -> pluggy.HookRelay:
        """The hooks, to call those that a plugin declares."""
        return self.manager.hook

    def call_each(
        self, hook: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> list[Outcome[_R]]:
        """Call each implementation of a hook by itself, so that one that raises stops no other.

        `hook` is the declaration, whose arguments follow. An error is logged with the plugin and
        the hook, and is in the outcome. In an app context each is called in one of its own, with
        another database session: what one leaves undone is not the next one's. The order is that
        of `hook`; wrappers are not called. Raises `LookupError` for a hook that no active plugin
        declares, and `RuntimeError` inside a transaction that has changed or locked rows, or in a
        `transactional` function: another session would wait for it.
        """
        return call_isolated(self.manager, hook, *args, **kwargs)

    @cached_property
    def services(self) -> Services:
        """What plugins provide for each other; an app has each once."""
        return Services(self.manager, self.plugins)

    def service(self, interface: Callable[..., _T]) -> _T:
        """Return the service with an interface, a class, from whichever plugin provides it.

        Raises `LookupError` if no active plugin does, which cannot be in a plugin that requires it
        by `pegboard_requires`, and which a command ends with; and before the services of the app
        are made.
        """
        return self.services.get(interface)

    def find_service(self, interface: Callable[..., _T]) -> _T | None:
        """Return the service with an interface, as `service` does; None if no plugin has it."""
        return self.services.get(interface) if interface in self.services else None

    def implementing(self, hook: str) -> list[Plugin]:
        """Return the active plugins that implement a hook of the core, in the order of the calls.

        That is the order of the plugins, but for what `before` and `after` say.
        """
        return plugins_in_order(self.manager, hook, self.plugins)

    def dependents(self, plugin: Plugin) -> list[str]:
        """Return the names of the active plugins whose distributions require this one's.

        Also those that do so by way of others; each comes before those that it requires, which is
        the order in which their data can be removed.
        """
        if plugin.distribution is None:
            return []
        needed = {plugin.distribution.canonical_name}
        found = []
        for other in self.plugins:  # each after those that it requires
            one = other.distribution
            if one and other is not plugin and needed & one.requires.keys():
                needed.add(one.canonical_name)
                found.append(other.name)
        return found[::-1]

    @cached_property
    def _owners(self) -> dict[str, Plugin | None]:
        """Whose hook has added each endpoint of the app; None is the core."""
        return {}

    def is_core(self, endpoint: str) -> bool:
        """Return whether the core itself has added an endpoint: neither a plugin nor other code."""
        return endpoint in self._owners and self._owners[endpoint] is None

    def owner_of(self, endpoint: str, module: str) -> Plugin | None:
        """Return the plugin that a view belongs to.

        That is the one whose hook has added its route, whatever module the view is from. For what
        no hook has added, it is found by the blueprint, else by the module.
        """
        if endpoint in self._owners:
            return self._owners[endpoint]
        blueprint = endpoint.partition(".")[0]
        for plugin in self.plugins:
            if blueprint in {one.name for one in plugin.blueprints}:
                return plugin
        package = module.partition(".")[0]
        return next((plugin for plugin in self.plugins if plugin.package == package), None)

    @property
    def packages(self) -> dict[str, str]:
        """The names of the plugins, by their import packages."""
        return {plugin.package: plugin.name for plugin in reversed(self.plugins)}


def note_endpoints(registry: Registry, owner: Plugin | None, endpoints: Iterable[str]) -> None:
    """Keep whose the endpoints of new routes are, the core's if `owner` is None."""
    for endpoint in endpoints:
        registry._owners.setdefault(endpoint, owner)  # noqa: SLF001 - not for plugins


def init_registry(app: Flask, registry: Registry) -> None:
    """Give the app its registry."""
    app.extensions[EXTENSION] = registry


def get_registry(app: Flask | None = None) -> Registry:
    """Return the registry of the app, by default of the current app.

    Its `plugins` are the active plugins in order, its `skipped` the problems of those that were
    skipped, and its `hook` calls the hooks that plugins declare. `owner_of(endpoint, module)`
    returns the plugin that a view belongs to, or None, and `is_core(endpoint)` whether it is one of
    the core; the plugin's `problem(code, summary, hint)` returns a `Problem` that names it. Raises
    `KeyError` for an app that `create_app` did not make.
    """
    registry: Registry = get_extension(app, EXTENSION, "get_registry(app)")
    return registry
