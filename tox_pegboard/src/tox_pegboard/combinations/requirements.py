"""What plugins require of each other and of the core, on each version of Python."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tox_pegboard.combinations.metadata import CORE, Described, describe_installed
from tox_pegboard.combinations.settings import Settings
from tox_pegboard.combinations.values import MatrixError, Plugin
from tox_pegboard.combinations.versions import merged


def read_plugins(
    found: list[Described], settings: Settings, pythons: Iterable[str]
) -> dict[str, Plugin]:
    """Return the plugins by the names of their distributions.

    A marker is read for each Python of the matrix, and not for that which runs tox.
    """
    reading = _Reading(
        {described.distribution: described for described in found},
        {described.name: described for described in found},
        settings,
    )
    versions = tuple(pythons)
    return {described.distribution: reading.plugin(described, versions) for described in found}


@dataclass(frozen=True)
class _Reading:
    by_distribution: dict[str, Described]
    by_name: dict[str, Described]
    settings: Settings

    def plugin(self, described: Described, pythons: tuple[str, ...]) -> Plugin:
        """Return the plugin with all that it needs, also by way of others."""
        needs_on = {python: self._reached(described, python) for python in pythons}
        needs = frozenset.intersection(*needs_on.values())
        cores = {python: _core(described, python) for python in pythons}
        return Plugin(
            described.name,
            described.requirement,
            needs,
            {python: names - needs for python, names in needs_on.items() if names - needs},
            described.requires_python,
            cores[pythons[0]],
            {python: core for python, core in cores.items() if core != cores[pythons[0]]},
            described.distribution,
            {python: merged(self._versions(described, python)) for python in pythons},
        )

    def _reached(self, start: Described, python: str) -> frozenset[str]:
        found = {described.distribution for described, _ in self._walk(start, python)}
        names = {self.by_distribution[key].name for key in found if key in self.by_distribution}
        return frozenset(names - {start.name})

    def _versions(self, start: Described, python: str) -> Iterator[tuple[str, SpecifierSet]]:
        """Yield which versions a plugin requires of others, and which one itself has."""
        if start.version:
            yield start.distribution, SpecifierSet(f"=={start.version}")
        for described, extras in self._walk(start, python):
            for requirement in described.requires(python, extras):
                # Of the core there may be several versions, each with its reason to be chosen.
                if (name := canonicalize_name(requirement.name)) != CORE:
                    yield name, requirement.specifier

    def _walk(self, start: Described, python: str) -> Iterator[tuple[Described, frozenset[str]]]:
        """Yield a plugin and what it requires, also by way of others, each with its extras."""
        known = {(start.distribution, frozenset[str]())}
        left = [(start, frozenset[str]())]
        while left:
            described, extras = left.pop()
            yield described, extras
            for other, others in self._direct(described, python, extras):
                if (other.distribution, others) not in known:
                    known.add((other.distribution, others))
                    left.append((other, others))

    def _direct(
        self, described: Described, python: str, extras: frozenset[str]
    ) -> Iterator[tuple[Described, frozenset[str]]]:
        """Yield what a distribution with extras requires, each with the extras that it asks for."""
        for name in self.settings.needs.get(described.name, ()):
            yield self.by_name[name], frozenset()
        for requirement in described.requires(python, extras):
            name = canonicalize_name(requirement.name)
            # What is no plugin of the matrix may require one.
            other = self.by_distribution.get(name) or _installed_or_none(name)
            if name != CORE and other is not None:
                yield other, frozenset(requirement.extras)


def _core(described: Described, python: str) -> str:
    requirements = described.requires(python)
    cores = (
        requirement.specifier
        for requirement in requirements
        if canonicalize_name(requirement.name) == CORE
    )
    return ",".join(filter(None, map(str, cores)))


def _installed_or_none(name: str) -> Described | None:
    try:
        return describe_installed(name)
    except MatrixError:
        return None
