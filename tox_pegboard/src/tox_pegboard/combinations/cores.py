"""Versions of the core: which all plugins of a combination accept."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations_with_replacement

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from tox_pegboard.combinations.values import Combination, Exclusion, MatrixError, Plugin, Space
from tox_pegboard.combinations.versions import has_version


def lowest_core(combination: Combination, space: Space) -> str:
    """Return the lowest core that all plugins accept. Raises `MatrixError` if it is not known."""
    wanted = {*combination.plugins, *(plugin.name for plugin in space.own)}
    plugins = [plugin for plugin in (*space.plugins, *space.own) if plugin.name in wanted]
    accepted = SpecifierSet(
        ",".join(filter(None, (plugin.core_with(combination.python) for plugin in plugins)))
    )
    bounds = [
        Version(specifier.version)
        for specifier in accepted
        if specifier.operator in (">=", "==", "~=") and "*" not in specifier.version
    ]
    if not bounds or not accepted.contains(max(bounds), prereleases=True):
        message = (
            f"the lowest core of {', '.join(sorted(wanted)) or 'no plugin'} is not known: none "
            "requires pegboard>=… of a version that all accept. Leave 'lowest' out of core, or "
            "exclude { core = 'lowest' } for these"
        )
        raise MatrixError(message)
    return str(max(bounds))


def incompatible(
    plugins: Iterable[Plugin], axes: Mapping[str, tuple[str, ...]], newest: str
) -> Iterator[Exclusion]:
    """Yield the plugins of which no core, or not the newest one, satisfies both, or one alone."""
    ranges = {"newest": _specifier(newest)} if "newest" in axes["core"] else {}
    for pair in combinations_with_replacement(plugins, 2):
        names = frozenset(plugin.name for plugin in pair)
        for python in axes["python"]:
            accepted = SpecifierSet(
                ",".join(filter(None, (plugin.core_with(python) for plugin in pair)))
            )
            if not has_version(accepted):
                wanted = dict.fromkeys(
                    f"{plugin.name} requires {plugin.core_with(python)}" for plugin in pair
                )
                reason = f"of pegboard, {' and '.join(wanted)}"
                yield Exclusion(names, {"python": python}, reason)
                continue
            for core, specifier in ranges.items():
                if not has_version(accepted & specifier):
                    yield Exclusion(names, {"python": python, "core": core})


def _specifier(requirement: str) -> SpecifierSet:
    """Return the versions of a requirement; any for a folder or an address."""
    try:
        return Requirement(requirement).specifier
    except InvalidRequirement:
        return SpecifierSet()
