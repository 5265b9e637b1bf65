"""The order of the implementations of one hook: before and after those of named plugins."""

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import cast

import pluggy

from pegboard.plugins.contributions import Plugin
from pegboard.plugins.discovery import Candidate, is_plugin_name, plugins_named
from pegboard.plugins.origin import join_places, locate_function
from pegboard.problems import Code, Problem
from pegboard.settings import Unused


def order_hooks(
    manager: pluggy.PluginManager, candidates: Sequence[Candidate], skippable: Collection[str]
) -> tuple[list[Problem], list[Unused]]:
    """Put the implementations of every hook into the order that their plugins ask for.

    Returns a problem for each circle of a hook: that of a plugin in the circle that may be
    skipped, if there is one; and the plugins that are named and not active.
    """
    by_name = {candidate.name: candidate for candidate in candidates}
    problems: list[Problem] = []
    unused: list[Unused] = []
    for hook, caller in vars(manager.hook).items():
        if not isinstance(caller, pluggy.HookCaller):
            continue
        implementations = caller.get_hookimpls()[::-1]  # as pluggy calls them
        unused += _unknown(hook, implementations, by_name)
        wrappers = [one for one in implementations if one.wrapper or one.hookwrapper]
        others = [one for one in implementations if one not in wrappers]
        try:
            ordered = [*_sort(wrappers), *_sort(others)]
        except CycleError as error:
            places = {
                str(one.plugin_name): locate_function(one.function) for one in implementations
            }
            problems.append(_circle(hook, error.args[1][:-1], by_name, skippable, places))
        else:
            # Pluggy has no other way to change the order of what is registered.
            caller._hookimpls[:] = ordered[::-1]  # noqa: SLF001 - as above
    return problems, unused


def plugins_in_order(
    manager: pluggy.PluginManager, hook: str, plugins: Sequence[Plugin]
) -> list[Plugin]:
    """Return the plugins that implement a hook of the core, as the core calls them.

    That is the order of the plugins, but for what their implementations ask for.
    """
    by_name = {plugin.name: plugin for plugin in plugins}
    found = {str(one.plugin_name): one for one in getattr(manager.hook, hook).get_hookimpls()}
    implementations = [found[name] for name in by_name if name in found]
    implementations.sort(key=lambda one: one.trylast - one.tryfirst)
    return [by_name[str(one.plugin_name)] for one in _sort(implementations)]


def _sort(implementations: Sequence[pluggy.HookImpl]) -> list[pluggy.HookImpl]:
    """Return implementations with those first that have to be. Raises `CycleError`."""
    earlier = _earlier(implementations)
    if not any(earlier.values()):
        return list(implementations)
    TopologicalSorter({name: sorted(others) for name, others in earlier.items()}).prepare()
    waiting = list(implementations)
    ordered: list[pluggy.HookImpl] = []
    while waiting:
        left = {str(one.plugin_name) for one in waiting}
        following = next(one for one in waiting if not earlier[str(one.plugin_name)] & left)
        waiting.remove(following)
        ordered.append(following)
    return ordered


def _earlier(implementations: Sequence[pluggy.HookImpl]) -> dict[str, set[str]]:
    """Return the plugins whose implementations must be called before that of each plugin."""
    earlier: dict[str, set[str]] = {str(one.plugin_name): set() for one in implementations}
    for one in implementations:
        name = str(one.plugin_name)
        for other in _named(one, "after"):
            earlier[name].add(other)
        for other in _named(one, "before"):
            if other in earlier:
                earlier[other].add(name)
    return {name: others & earlier.keys() for name, others in earlier.items()}


def _named(implementation: pluggy.HookImpl, key: str) -> Sequence[str]:
    """Return the plugins that an implementation names, of which any may be absent."""
    options = cast("Mapping[str, Sequence[str]]", implementation.opts)
    return options.get(key, ())


def _unknown(
    hook: str, implementations: Sequence[pluggy.HookImpl], known: Mapping[str, Candidate]
) -> Iterator[Unused]:
    for one in implementations:
        for key in ("before", "after"):
            for name in _named(one, key):
                if name not in known:
                    # Any plugin may be absent; what no plugin can be called is a mistake.
                    is_possible = is_plugin_name(name)
                    yield Unused(
                        f"{key}={name!r} of {hook} in plugin {one.plugin_name}"
                        f"{locate_function(one.function)}",
                        "no plugin of this name is active"
                        if is_possible
                        else "no plugin has such a name",
                        _meant(name, [known[each] for each in known if each != one.plugin_name]),
                        is_warned=not is_possible,
                    )


def _meant(name: str, others: Sequence[Candidate]) -> str | None:
    """Return the plugins of the distribution of this name; or one whose own name is like it."""
    of_distribution = [one.name for one in plugins_named(name, others)]
    # Who extends orders is called orders_…, and no misspelling of it.
    names = [one.name for one in others if not _is_extended(one.name, name)]
    near = difflib.get_close_matches(name, names, n=1)
    return " or ".join(of_distribution or near) or None


def _is_extended(one: str, other: str) -> bool:
    return one.startswith(f"{other}_") or other.startswith(f"{one}_")


def _circle(
    hook: str,
    names: list[str],
    by_name: Mapping[str, Candidate],
    skippable: Collection[str],
    places: Mapping[str, str],
) -> Problem:
    start = names.index(min(names))
    circle = [*names[start:], *names[: start + 1]]
    name = next((one for one in circle if one in skippable), circle[0])
    return by_name[name].problem(
        Code.HOOK_ORDER_CYCLE,
        f"implementations of {hook} are each to be called before the next: {' → '.join(circle)}"
        f"{join_places(places[one] for one in (name, *circle))}",
        f"Remove a plugin from before= or after= of {hook} in one of the plugins.",
    )
