"""Finding the plugins that are installed, without importing any of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import Distribution as MetadataDistribution
from importlib.metadata import EntryPoint, entry_points, version
from types import ModuleType

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

GROUP = "pegboard.plugins"
CORE = "pegboard"


@dataclass(frozen=True)
class Distribution:
    """What packaging metadata says of the distribution that ships a plugin."""

    name: str
    version: str
    requires: Mapping[str, Requirement] = field(default_factory=dict)
    """What it requires in this environment, by canonical name; extras left out."""

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True)
class Candidate:
    """A plugin that could hang: an entry point, or an object that was handed over."""

    name: str
    distribution: Distribution | None = None
    entry_point: EntryPoint | None = None
    obj: object = None

    @property
    def package(self) -> str:
        """The import package that the plugin lives in."""
        if self.entry_point is not None:
            return self.entry_point.module.partition(".")[0]
        module = self.obj if isinstance(self.obj, ModuleType) else type(self.obj)
        name = module.__name__ if isinstance(module, ModuleType) else module.__module__
        return name.partition(".")[0]

    def load(self) -> object:
        """Return the plugin object, importing it if need be."""
        return self.obj if self.entry_point is None else self.entry_point.load()


def installed() -> tuple[Candidate, ...]:
    """Return every plugin that an installed distribution offers, by name; imports nothing."""
    found = [
        Candidate(entry.name, describe(entry.dist) if entry.dist else None, entry)
        for entry in entry_points(group=GROUP)
    ]
    return tuple(sorted(found, key=lambda candidate: (candidate.name, str(candidate.distribution))))


def handed_over(obj: object) -> Candidate:
    """Return the candidate for a plugin object that a caller passes to `create_app`.

    Its name is its attribute `name`, else that of its entry point, else its module's package.
    """
    candidate = Candidate("", obj=obj)
    for entry in entry_points(group=GROUP):
        if isinstance(obj, ModuleType) and entry.value == obj.__name__:
            return Candidate(entry.name, describe(entry.dist) if entry.dist else None, obj=obj)
    name = getattr(obj, "name", None)
    return Candidate(name if isinstance(name, str) else candidate.package, obj=obj)


def describe(distribution: MetadataDistribution) -> Distribution:
    """Read the name, version and requirements of a distribution from its metadata."""
    requires: dict[str, Requirement] = {}
    for line in distribution.requires or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            requires[canonicalize_name(requirement.name)] = requirement
    return Distribution(distribution.name, distribution.version, requires)


def core_version() -> str:
    """Return the version of the running core."""
    return version(CORE)
