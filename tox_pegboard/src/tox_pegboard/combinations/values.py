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


def is_folder(requirement: str) -> bool:
    """Return whether what installs a plugin is a folder, and not the name of a distribution."""
    return "/" in requirement or requirement.startswith(".")


@dataclass(frozen=True)
class Plugin:
    """A distribution with plugins, as its packaging metadata describes it."""

    name: str
    """The name of the plugin; in the names of environments."""
    requirement: str
    """What installs it: a distribution's name, or a folder."""
    needs: frozenset[str] = frozenset()
    """The names of the other plugins of the matrix that it requires, also by way of others."""
    needs_on: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """What it requires besides on some versions of Python."""
    requires_python: str = ""
    """The versions of Python that it supports, as a version specifier."""
    requires_core: str = ""
    """The versions of pegboard that it requires, as a version specifier."""
    requires_core_on: Mapping[str, str] = field(default_factory=dict)
    """The same for some versions of Python, where it is another."""
    distribution: str = ""
    """The canonical name of the distribution."""
    versions_on: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By version of Python, which versions of other distributions it requires, by their names.

    Of itself that is the one that its folder has.
    """

    def core_with(self, python: str) -> str:
        """Return the versions of pegboard that it requires on a version of Python."""
        return self.requires_core_on.get(python, self.requires_core)

    def needs_with(self, python: str | None) -> frozenset[str]:
        """Return what it requires on a version of Python; None means on every one."""
        return self.needs if python is None else self.needs | self.needs_on.get(python, frozenset())


@dataclass(frozen=True)
class Exclusion:
    """Plugins and values that are not combined; all of them together exclude a combination."""

    plugins: frozenset[str] = frozenset()
    values: Mapping[str, str] = field(default_factory=dict)
    """A value by the name of its axis."""
    reason: str = field(default="", compare=False)
    """Why they cannot be combined, where nobody said that they should not."""
    is_unsupported: bool = field(default=False, compare=False)
    """Whether the plugin itself says that it does not run on that Python."""

    def excludes(self, plugins: Iterable[str], values: Mapping[str, str]) -> bool:
        """Return whether a combination with these plugins and values is excluded."""
        return self.plugins <= set(plugins) and self.values.items() <= values.items()

    def __str__(self) -> str:
        parts = [*sorted(self.plugins), *(f"{axis} {value}" for axis, value in self.values.items())]
        return " with ".join(parts)


@dataclass(frozen=True)
class Space:
    """All that can be combined."""

    plugins: tuple[Plugin, ...]
    """Those that may be there or not."""
    own: tuple[Plugin, ...]
    """The project's own plugin, which is in every combination; none, or one."""
    axes: Mapping[str, tuple[str, ...]]
    """The values of each axis; at least one."""
    exclusions: tuple[Exclusion, ...] = ()

    def with_needs(self, names: Iterable[str], python: str | None = None) -> frozenset[str]:
        """Return the plugins with all that they, and the project's own, need on a Python.

        Without one, that is what they need on every Python.
        """
        needs = {plugin.name: plugin for plugin in (*self.plugins, *self.own)}
        own = frozenset(plugin.name for plugin in self.own)
        wanted = own.union(names)
        return wanted.union(*(needs[name].needs_with(python) for name in wanted)) - own

    def allows(self, plugins: Iterable[str], values: Mapping[str, str]) -> bool:
        """Return whether nothing excludes these plugins and values, and nothing is missing."""
        chosen = frozenset(plugins) - {plugin.name for plugin in self.own}
        present = {*chosen, *(plugin.name for plugin in self.own)}
        return self.with_needs(chosen, values["python"]) == chosen and not any(
            exclusion.excludes(present, values) for exclusion in self.exclusions
        )


@dataclass(frozen=True)
class Combination:
    """Plugins that are tested together, where nothing else is installed."""

    plugins: tuple[str, ...]
    """Their names, without the project's own, in the order of the space."""
    python: str
    core: str
    database: str
    redis: str

    @property
    def values(self) -> dict[str, str]:
        """The value of each axis."""
        return {axis: getattr(self, axis) for axis in AXES}
