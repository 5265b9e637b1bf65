"""Building the registry: check and register the plugins, collect what each contributes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pluggy

from pegboard.plugins.collisions import find_collisions, find_same_names, find_wrong_names
from pegboard.plugins.contributions import Plugin, collect
from pegboard.plugins.deprecations import warn_of_deprecated_hooks
from pegboard.plugins.discovery import Candidate
from pegboard.plugins.foreign_keys import find_undeclared_references
from pegboard.plugins.hooks import CoreHooks
from pegboard.plugins.implementations import check_hooks
from pegboard.plugins.listed_names import check_listed_names
from pegboard.plugins.markers import PROJECT
from pegboard.plugins.ordering import order_hooks
from pegboard.plugins.origin import locate_class
from pegboard.plugins.parties import Collision, settle
from pegboard.plugins.registration import add_hookspecs, register
from pegboard.plugins.registry import Registry
from pegboard.plugins.requirements import check_requirements, find_skippable, in_order
from pegboard.plugins.services import check_services
from pegboard.plugins.settings_classes import find_wrong_formers, find_wrong_types
from pegboard.problems import Problem, StartupError
from pegboard.settings import (
    Configuration,
    CoreSettings,
    Settings,
    Unused,
    Value,
    declarations_of,
    prefix_of,
    resolve_settings,
    unknown_settings,
)
from pegboard.start_times import timed


def build_registry(
    candidates: Iterable[Candidate], configuration: Configuration, skipped: Iterable[Problem] = ()
) -> Registry:
    """Check and register the candidates, and collect what they contribute.

    A plugin with a problem stops the start, or is skipped if its policy allows, and with it the
    plugins that require it. `skipped` holds the problems of plugins that are to be skipped from the
    outset. Of two plugins that collide the one is left out that may be. Raises `StartupError` with
    every problem that was found.
    """
    left_out = list(skipped)
    while True:
        failed = {problem.plugin for problem in left_out}
        remaining = [candidate for candidate in candidates if candidate.name not in failed]
        registry, problems = examine(remaining, configuration, left_out)
        fatal = [problem for problem in problems if not may_skip(problem, configuration.core)]
        if configuration.problems or fatal:
            raise StartupError([*configuration.problems, *fatal])
        if not problems:
            return replace(registry, skipped=tuple(left_out))
        left_out += problems


def may_skip(problem: Problem, core: CoreSettings) -> bool:
    """Return whether the service may start without the plugin that has the problem."""
    return problem.plugin is not None and _is_skippable(problem.plugin, core)


def _is_skippable(plugin: str, core: CoreSettings) -> bool:
    return core.plugins_policy.get(plugin, core.plugins_policy.get("*")) == "skip"


@timed("check the plugins")
def examine(
    candidates: Sequence[Candidate], configuration: Configuration, skipped: Iterable[Problem] = ()
) -> tuple[Registry, list[Problem]]:
    """Register the candidates in a new plugin manager; return the registry and all problems.

    With problems the registry holds what could be read nevertheless: it is for looking at, and no
    app can be built from it. `skipped` are the problems of plugins that were left out.
    """
    reasons = {problem.plugin or "": problem for problem in skipped}
    read = _read(candidates, reasons)
    collected = _collect(read, configuration, wanted=len(candidates))
    judged = _judge(read, collected, configuration)
    mislisted, absent = check_listed_names(
        configuration.core, [one.name for one in candidates], reasons
    )
    problems = [*read.problems, *collected.problems, *mislisted, *judged.problems]
    registry = Registry(
        collected.plugins,
        (),
        judged.skippable,
        collected.settings,
        collected.values,
        read.manager,
        (*collected.unused, *absent, *judged.unused),
    )
    # A plugin that pluggy refuses is checked twice, and a name may be taken three times.
    return registry, [*dict.fromkeys(problems)]


@dataclass(frozen=True)
class _Read:
    """The plugins that were imported, and which hooks they have."""

    manager: pluggy.PluginManager
    ordered: Sequence[Candidate]
    """All, each after those that its distribution requires."""
    registered: Sequence[Candidate]
    """Those that the manager has."""
    problems: Sequence[Problem]
    collisions: Sequence[Collision]


def _read(candidates: Sequence[Candidate], skipped: Mapping[str, Problem]) -> _Read:
    """Import and register the candidates; check what they are, and which hooks they have."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(CoreHooks)
    ordered, cycles = in_order(reversed(candidates))  # of one name the first stays
    registered: list[Candidate] = []
    objects: dict[str, Any] = {}
    found: list[Problem | Collision] = []
    for candidate in ordered:
        objects[candidate.name], mistakes = register(manager, candidate, registered)
        found += mistakes
        if not mistakes:
            registered.append(candidate)
    declared: list[tuple[str, Any]] = []
    found += add_hookspecs(manager, registered, declared)
    sound = {one.name for one in registered} - {one.plugin for one in _problems_in(found)}
    unread = [one for one in ordered if one.name not in sound]
    for candidate in ordered:
        if (obj := objects[candidate.name]) is not None:
            found += check_hooks(manager, candidate, obj, unread, declared)
            warn_of_deprecated_hooks(manager, candidate, obj)
    problems = [
        *find_wrong_names(candidates),
        *find_same_names(candidates),
        *check_requirements(candidates, skipped),
        *cycles,
        *_problems_in(found),
    ]
    return _Read(manager, ordered, registered, problems, _collisions_in(found))


@dataclass(frozen=True)
class _Collected:
    """What the registered plugins contribute, and the settings in force."""

    plugins: tuple[Plugin, ...]
    settings: Mapping[type[Settings], Settings]
    values: tuple[Value, ...]
    unused: tuple[Unused, ...]
    problems: Sequence[Problem]
    collisions: Sequence[Collision]


def _collect(read: _Read, configuration: Configuration, *, wanted: int) -> _Collected:
    """Ask each plugin what it has, and resolve its settings; `wanted` is how many there are."""
    plugins: list[Plugin] = []
    problems: list[Problem] = []
    for candidate in read.registered:
        plugin, mistakes = collect(read.manager, candidate)
        plugins += [plugin] if plugin is not None else []
        problems += mistakes
    settings, values, unused, misset = _resolve_settings(plugins, configuration)
    is_complete = len(plugins) == wanted and not problems
    services = [*check_services(read.manager, plugins, is_complete=is_complete)]
    problems += [
        *find_undeclared_references(read.manager, plugins, is_complete=is_complete),
        *_problems_in(services),
        *misset,
    ]
    return _Collected(tuple(plugins), settings, values, unused, problems, _collisions_in(services))


@dataclass(frozen=True)
class _Judged:
    """What follows for the plugins as a whole."""

    skippable: frozenset[str]
    unused: Sequence[Unused]
    problems: Sequence[Problem]


def _judge(read: _Read, collected: _Collected, configuration: Configuration) -> _Judged:
    """Order the hooks, compare the plugins, and lay each collision on one of its plugins."""
    allowed = (one.name for one in read.ordered if _is_skippable(one.name, configuration.core))
    skippable = find_skippable(read.ordered, allowed)
    circles, misnamed = order_hooks(read.manager, read.registered, skippable)
    config = {**configuration.flask, **{one.declaration.key: one.value for one in collected.values}}
    collisions, incomparable = find_collisions(collected.plugins, read.manager, config)
    problems = [*circles, *incomparable]
    told = (*read.problems, *collected.problems, *problems)
    failed = {problem.plugin for problem in told if problem.plugin is not None}
    collisions += [*read.collisions, *collected.collisions]
    return _Judged(skippable, misnamed, [*problems, *settle(collisions, skippable, failed)])


def _problems_in(found: Iterable[Problem | Collision]) -> list[Problem]:
    return [one for one in found if isinstance(one, Problem)]


def _collisions_in(found: Iterable[Problem | Collision]) -> list[Collision]:
    return [one for one in found if isinstance(one, Collision)]


def _resolve_settings(
    plugins: Sequence[Plugin], configuration: Configuration
) -> tuple[dict[type[Settings], Settings], tuple[Value, ...], tuple[Unused, ...], list[Problem]]:
    resolved: dict[type[Settings], Settings] = {CoreSettings: configuration.core}
    values = list(configuration.values)
    problems: list[Problem] = []
    declared = [*declarations_of(CoreSettings, None)]
    for plugin in plugins:
        if plugin.settings is None:
            continue
        declared += declarations_of(plugin.settings, plugin.name)
        settings, found, wrong = resolve_settings(
            plugin.settings,
            plugin.name,
            configuration.sources,
            partial(locate_class, plugin.settings),
        )
        values += found
        problems += find_wrong_types(plugin, plugin.settings)
        problems += find_wrong_formers(plugin, plugin.settings)
        problems += map(plugin.adopt, wrong)
        if settings is not None:
            resolved[plugin.settings] = settings
    by_name = {plugin.name: plugin for plugin in plugins}
    prefixes = {prefix_of(name): name for name in by_name}
    unknown, unused = unknown_settings(declared, prefixes, configuration.sources)
    for problem in unknown:
        problems.append(by_name[problem.plugin].adopt(problem) if problem.plugin else problem)
    return resolved, tuple(values), unused, problems
