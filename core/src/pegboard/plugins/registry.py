"""The registry: which plugins hang in one app, in which order, and what each of them brings."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import PackageNotFoundError, version

import pluggy
from flask import Flask, current_app
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pegboard.plugins import hooks
from pegboard.plugins.collisions import find_collisions
from pegboard.plugins.contributions import Plugin, collect
from pegboard.plugins.discovery import CORE, Candidate, core_version, handed_over, installed
from pegboard.plugins.registration import add_own_hookspecs, check_hooks, register
from pegboard.problems import Problem, StartupError
from pegboard.settings import (
    Configuration,
    CoreSettings,
    Settings,
    Value,
    declarations_of,
    load,
    prefix_of,
    unknown_settings,
)

EXTENSION = "pegboard"


@dataclass(frozen=True)
class Registry:
    """The plugins of one app; each app has its own."""

    plugins: tuple[Plugin, ...]
    """Those that hang, each after the ones its distribution requires."""
    skipped: tuple[Problem, ...]
    """What is wrong with those that were left out, as their policy is to skip."""
    settings: Mapping[type[Settings], Settings]
    """The settings in force, by the class that declares them."""
    values: tuple[Value, ...]
    """Every setting in force with its origin."""
    manager: pluggy.PluginManager = field(repr=False)

    @property
    def hook(self) -> pluggy.HookRelay:
        """The hooks, to call those that a plugin declares itself."""
        return self.manager.hook

    def dependents(self, plugin: Plugin) -> list[str]:
        """Return the names of the plugins whose distributions require this one's."""
        if plugin.distribution is None:
            return []
        name = canonicalize_name(plugin.distribution.name)
        return [
            other.name
            for other in self.plugins
            if other.distribution and other is not plugin and name in other.distribution.requires
        ]

    def owner_of(self, endpoint: str, module: str) -> Plugin | None:
        """Return the plugin that a view belongs to: by its blueprint, else by its module."""
        blueprint = endpoint.partition(".")[0]
        for plugin in self.plugins:
            if blueprint in {one.name for one in plugin.blueprints}:
                return plugin
        package = module.partition(".")[0]
        return next((plugin for plugin in self.plugins if plugin.package == package), None)

    @property
    def packages(self) -> dict[str, str]:
        """The name of the plugin that lives in each import package."""
        return {plugin.package: plugin.name for plugin in reversed(self.plugins)}


def init_registry(app: Flask, registry: Registry) -> None:
    """Give the app its registry."""
    app.extensions[EXTENSION] = registry


def get_registry(app: Flask | None = None) -> Registry:
    """Return the registry of the app, or of the current app.

    Its `plugins` are the active plugins in order, its `skipped` the problems of those that were
    left out, and its `hook` calls the hooks that plugins declare. `owner_of(endpoint, module)`
    returns the plugin that a view belongs to, or None; the plugin's `problem(summary, hint)` makes
    a `Problem` that names it. Raises `KeyError` for an app that `create_app` did not make.
    """
    registry: Registry = (app or current_app).extensions[EXTENSION]
    return registry


def choose(plugins: Sequence[object] | None, core: CoreSettings) -> tuple[Candidate, ...]:
    """Return the plugins that are to hang; imports none.

    `plugins` names them or hands them over; None means those that are installed, less what the
    allow-list and the deny-list keep out. Raises `StartupError` for a name that is not installed.
    """
    offered = installed()
    if plugins is None:
        names = {candidate.name for candidate in offered}
        wanted = names if core.plugins is None else set(core.plugins)
        _require_installed(wanted, offered, "PEGBOARD_PLUGINS")
        allowed = wanted - set(core.plugins_disabled)
        return tuple(candidate for candidate in offered if candidate.name in allowed)
    wanted = {plugin for plugin in plugins if isinstance(plugin, str)}
    _require_installed(wanted, offered, "create_app(plugins=…)")
    named = [candidate for candidate in offered if candidate.name in wanted]
    objects = [handed_over(plugin) for plugin in plugins if not isinstance(plugin, str)]
    return (*named, *objects)


def _require_installed(wanted: set[str], offered: Iterable[Candidate], origin: str) -> None:
    names = {candidate.name for candidate in offered}
    hint = (
        f"Install the distribution that ships it, or name only these: {', '.join(sorted(names))}."
    )
    if missing := sorted(wanted - names):
        raise StartupError(
            Problem(f"{origin} names a plugin that is not installed", hint, name)
            for name in missing
        )


def assemble(
    candidates: Iterable[Candidate], configuration: Configuration, skipped: Iterable[Problem] = ()
) -> Registry:
    """Check and register the candidates, and collect what they bring.

    A plugin with a problem stops the start, or is left out if its policy is to skip; so then are
    the plugins that require it. Raises `StartupError` with every problem that was found.
    """
    left_out = list(skipped)
    while True:
        failed = {problem.plugin for problem in left_out}
        remaining = [candidate for candidate in candidates if candidate.name not in failed]
        registry, problems = _attempt(remaining, configuration)
        fatal = [problem for problem in problems if not may_skip(problem, configuration.core)]
        if configuration.problems or fatal:
            raise StartupError([*configuration.problems, *fatal])
        if not problems:
            return Registry(
                registry.plugins,
                tuple(left_out),
                registry.settings,
                registry.values,
                registry.manager,
            )
        left_out += problems


def may_skip(problem: Problem, core: CoreSettings) -> bool:
    """Tell whether the service may run without the plugin that has the problem."""
    policy = core.plugins_policy
    return bool(problem.plugin) and policy.get(problem.plugin or "", policy.get("*")) == "skip"


def _attempt(
    candidates: Sequence[Candidate], configuration: Configuration
) -> tuple[Registry, list[Problem]]:
    """Register the candidates in a new plugin manager; returns what came of it and its problems."""
    problems = [*_same_names(candidates), *_unmet_requirements(candidates)]
    candidates = list({candidate.name: candidate for candidate in reversed(candidates)}.values())
    manager = pluggy.PluginManager(hooks.PROJECT)
    manager.add_hookspecs(hooks)
    ordered, cycles = _in_order(candidates)
    problems += cycles
    registered = []
    for candidate in ordered:
        found = register(manager, candidate)
        problems += found
        if not found:
            registered.append(candidate)
    problems += add_own_hookspecs(manager, registered)
    for candidate in registered:
        problems += check_hooks(manager, candidate)
    plugins, broken = collect(manager, registered)
    problems += broken
    problems += find_collisions(plugins, manager)
    settings, values, misset = _load_settings(plugins, configuration)
    return Registry(tuple(plugins), (), settings, values, manager), problems + misset


def _same_names(candidates: Sequence[Candidate]) -> Iterable[Problem]:
    first: dict[str, Candidate] = {}
    for candidate in candidates:
        other = first.setdefault(candidate.name, candidate)
        if other is not candidate:
            yield _problem(
                candidate,
                f"{other.distribution or other.package} offers a plugin of the same name",
                "Uninstall one of the two distributions.",
            )


def _unmet_requirements(candidates: Sequence[Candidate]) -> Iterable[Problem]:
    hanging: set[str] = {
        canonicalize_name(c.distribution.name) for c in candidates if c.distribution
    }
    shipping: dict[str, str] = {
        canonicalize_name(offered.distribution.name): offered.name
        for offered in installed()
        if offered.distribution
    }
    for candidate in candidates:
        if candidate.distribution is None:
            continue
        requires = candidate.distribution.requires
        core = requires.get(CORE)
        if core and not core.specifier.contains(core_version(), prereleases=True):
            yield _problem(
                candidate,
                f"it requires {core}, but the running core is {core_version()}",
                f"Install a version of {candidate.distribution.name} made for this core, "
                "or the core it was made for.",
            )
        for name, requirement in sorted(requires.items()):
            if name != CORE and not _is_installed(requirement):
                summary = f"it requires {requirement}, which is not installed"
                yield _problem(candidate, summary, f"Run pip install '{requirement}'.")
        for name in requires.keys() & shipping.keys() - hanging:
            yield _problem(
                candidate,
                f"it requires {name}, whose plugin {shipping[name]} does not hang here",
                f"Let {shipping[name]} hang (PEGBOARD_PLUGINS, PEGBOARD_PLUGINS_DISABLED), "
                f"or disable {candidate.name} too.",
            )


def _is_installed(requirement: Requirement) -> bool:
    try:
        found = version(requirement.name)
    except PackageNotFoundError:
        return False
    return requirement.specifier.contains(found, prereleases=True)


def _in_order(candidates: Sequence[Candidate]) -> tuple[list[Candidate], list[Problem]]:
    """Put each candidate after those that its distribution requires, else by name."""
    by_distribution: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        if candidate.distribution:
            key = canonicalize_name(candidate.distribution.name)
            by_distribution.setdefault(key, []).append(candidate)
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for candidate in sorted(candidates, key=lambda candidate: candidate.name):
        requires = candidate.distribution.requires if candidate.distribution else {}
        needed = [other.name for name in requires for other in by_distribution.get(name, ())]
        sorter.add(candidate.name, *(name for name in needed if name != candidate.name))
    try:
        rank = {name: position for position, name in enumerate(sorter.static_order())}
    except CycleError as error:
        circle = error.args[1]
        by_name = {candidate.name: candidate for candidate in candidates}
        summary = f"plugins require each other in a circle: {' → '.join(circle)}"
        hint = "Drop one of these requirements from a distribution's metadata."
        return list(candidates), [_problem(by_name[circle[0]], summary, hint)]
    return sorted(candidates, key=lambda candidate: rank[candidate.name]), []


def _load_settings(
    plugins: Sequence[Plugin], configuration: Configuration
) -> tuple[dict[type[Settings], Settings], tuple[Value, ...], list[Problem]]:
    loaded: dict[type[Settings], Settings] = {CoreSettings: configuration.core}
    values = list(configuration.values)
    problems: list[Problem] = []
    declared = [*declarations_of(CoreSettings, None)]
    for plugin in plugins:
        if plugin.settings is None:
            continue
        declared += declarations_of(plugin.settings, plugin.name)
        settings, found, wrong = load(
            plugin.settings, plugin.name, configuration.sources, plugin.label
        )
        values += found
        problems += wrong
        if settings is not None:
            loaded[plugin.settings] = settings
    prefixes = {prefix_of(plugin.name): plugin.name for plugin in plugins}
    problems += unknown_settings(declared, prefixes, configuration.sources)
    return loaded, tuple(values), problems


def _problem(candidate: Candidate, summary: str, hint: str) -> Problem:
    return Problem(summary, hint, candidate.name, str(candidate.distribution or "") or None)
