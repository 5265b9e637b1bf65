"""Plugins that are combined, what may vary besides, and the combinations that are chosen."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

AXES = {
    "python": "the version of Python",
    "core": "the version of pegboard: lowest, released or newest",
    "database": "sqlite or postgresql",
    "redis": "none, or the kind of server: valkey or redis",
}
"""What varies beside the plugins."""


class MatrixError(Exception):
    """No matrix can be made, and the message says why and what to change."""


@dataclass(frozen=True)
class Plugin:
    """A distribution with plugins, as its packaging metadata describes it."""

    name: str
    """The name of the plugin; in the names of environments."""
    requirement: str
    """What installs it: a distribution's name, or a folder."""
    needs: frozenset[str] = frozenset()
    """The names of the other plugins of the matrix that it requires, also by way of others."""
    requires_python: str = ""
    """The versions of Python that it supports, as a version specifier."""
    requires_core: str = ""
    """The versions of pegboard that it requires, as a version specifier."""


@dataclass(frozen=True)
class Exclusion:
    """Plugins and values that are not combined; all of them together exclude a combination."""

    plugins: frozenset[str] = frozenset()
    values: Mapping[str, str] = field(default_factory=dict)
    """A value by the name of its axis."""

    def excludes(self, plugins: Iterable[str], values: Mapping[str, str]) -> bool:
        """Return whether a combination with these plugins and values is excluded."""
        return self.plugins <= set(plugins) and self.values.items() <= values.items()

    def __str__(self) -> str:
        parts = [*sorted(self.plugins), *(f"{axis} {one}" for axis, one in self.values.items())]
        return " with ".join(parts)


@dataclass(frozen=True)
class Space:
    """All that can be combined."""

    plugins: tuple[Plugin, ...]
    """Those that may be there or not."""
    always: tuple[Plugin, ...]
    """Those that are in every combination: the project's own."""
    axes: Mapping[str, tuple[str, ...]]
    """The values of each axis; at least one."""
    exclusions: tuple[Exclusion, ...] = ()

    def with_needs(self, names: Iterable[str]) -> frozenset[str]:
        """Return the plugins with all that they, and those that are always there, need."""
        needs = {one.name: one.needs for one in (*self.plugins, *self.always)}
        wanted = {*names, *(one.name for one in self.always)}
        closed = wanted.union(*(needs[name] for name in wanted))
        return frozenset(closed - {one.name for one in self.always})

    def allows(self, plugins: Iterable[str], values: Mapping[str, str]) -> bool:
        """Return whether nothing excludes a combination with these plugins and values."""
        present = {*plugins, *(one.name for one in self.always)}
        return not any(one.excludes(present, values) for one in self.exclusions)


@dataclass(frozen=True)
class Combination:
    """Plugins that are tested together, where nothing else is installed."""

    plugins: tuple[str, ...]
    """Their names, without those that are always there, in the order of the space."""
    python: str
    core: str
    database: str
    redis: str

    @property
    def values(self) -> dict[str, str]:
        """The value of each axis."""
        return {axis: getattr(self, axis) for axis in AXES}
