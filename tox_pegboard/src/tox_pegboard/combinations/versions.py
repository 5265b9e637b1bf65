"""Versions of distributions: which plugins require them so that no installer finds one."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import combinations_with_replacement

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from tox_pegboard.combinations.values import Exclusion, Plugin


def contradicting(plugins: Iterable[Plugin], pythons: Iterable[str]) -> Iterator[Exclusion]:
    """Yield the plugins, two or one alone, of which no version of some distribution satisfies all.

    That may be another plugin, which as a folder has one version only, or any library. Ranges that
    overlap by pairs have a version in common, so that pairs are enough.
    """
    for pair in combinations_with_replacement(plugins, 2):
        names = frozenset(plugin.name for plugin in pair)
        for python in pythons:
            first, second = (plugin.versions_on.get(python, {}) for plugin in pair)
            for name in sorted(first.keys() & second.keys()):
                if not _agree(first[name], second[name]):
                    wanted = dict.fromkeys(
                        f"{plugin.name} has or requires {text}"
                        for plugin, text in zip(pair, (first[name], second[name]), strict=True)
                    )
                    reason = f"of {name}, {' and '.join(wanted)}"
                    yield Exclusion(names, {"python": python}, reason)
                    break


def merged(specifiers: Iterable[tuple[str, SpecifierSet]]) -> Mapping[str, str]:
    """Return what is required of each distribution, as one specifier; without those of any."""
    found: dict[str, SpecifierSet] = {}
    for name, specifier in specifiers:
        found[name] = found.get(name, SpecifierSet()) & specifier
    return {name: text for name, specifier in found.items() if (text := str(specifier))}


@cache
def _agree(first: str, second: str) -> bool:
    return has_version(SpecifierSet(first) & SpecifierSet(second))


def has_version(accepted: SpecifierSet) -> bool:
    """Return whether a version can be: one of those that are named, or beside one of these."""
    named = [specifier.version.removesuffix(".*") for specifier in accepted]
    try:
        bases = [Version(text).base_version for text in named]
    except InvalidVersion:
        return True  # what `===` compares need be no version
    beside = [f"{base}{end}" for base in bases for end in (".1", ".0.0.1")]
    return any(accepted.contains(text, prereleases=True) for text in ("0", *named, *beside))
