"""Finding the installed plugins, and selecting those of an app, without importing any of them."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint
from pathlib import Path
from types import FunctionType, ModuleType
from typing import TypeVar

from packaging.utils import canonicalize_name

from pegboard.plugins.metadata import Distribution, InstalledPlugin, read_plugins
from pegboard.problems import Code, Problem, StartupError
from pegboard.settings import CoreSettings
from pegboard.start_times import timed

FIRST_PARTY = frozenset(
    {"pegboard-cache-redis", "pegboard-items", "pegboard-observe", "pegboard-ratelimit"}
)
"""The distributions of Pegboard's own plugins, which `--safe` keeps.

The package index gives each of these names to one owner; an author's name in the metadata could be
anybody's.
"""

LONGEST_NAME = 43
"""Characters of a plugin's name.

The primary key of its version table, as in `alembic_version_items_pkc`, must fit into the 63
characters of a name of PostgreSQL.
"""

_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Candidate:
    """A plugin that an app can have: an entry point, or an object given to `create_app`."""

    name: str
    """The name of the entry point, or the plugin object's own."""
    distribution: Distribution | None = None
    """The distribution that it belongs to; None for an object without one."""
    entry_point: EntryPoint | None = None
    """The entry point that is imported; None for an object that was given."""
    obj: object = None
    """The plugin object, if it was given; an entry point is imported by `load`."""
    fault: str | None = None
    """What is wrong with the metadata of its distribution; it cannot be imported then."""

    @property
    def package(self) -> str:
        """The import package that defines the plugin."""
        if self.entry_point is not None:
            return self.entry_point.module.partition(".")[0]
        obj = self.obj
        if isinstance(obj, ModuleType):
            name = obj.__name__
        else:
            name = (obj if isinstance(obj, type | FunctionType) else type(obj)).__module__
        return name.partition(".")[0]

    @property
    def label(self) -> str | None:
        """Name and version of its distribution."""
        return str(self.distribution) if self.distribution else None

    @property
    def title(self) -> str:
        """Its name, with name and version of its distribution."""
        return f"{self.name} ({self.label})" if self.label else self.name

    @property
    def is_first_party(self) -> bool:
        """Whether it is Pegboard's own, by the name of its distribution."""
        return self.distribution is not None and self.distribution.canonical_name in FIRST_PARTY

    def load(self) -> object:
        """Return the plugin object; imports an entry point."""
        return self.obj if self.entry_point is None else self.entry_point.load()

    def problem(self, code: str, summary: str, hint: str) -> Problem:
        """Return a problem that names this plugin and its distribution."""
        return Problem(code, summary, hint, self.name, self.label)

    def adopt(self, problem: Problem) -> Problem:
        """Return the problem as one of this plugin and its distribution."""
        return replace(problem, plugin=self.name, distribution=self.label)


C = TypeVar("C", bound=Candidate)


def is_plugin_name(name: str) -> bool:
    """Return whether a plugin can have this name, in settings and revisions too."""
    return _NAME.fullmatch(name) is not None and len(name) <= LONGEST_NAME


def installed_plugins(folder: Path | None = None) -> tuple[Candidate, ...]:
    """Return the plugins of all installed distributions, or of those in a folder, by name.

    Reads the entry points of every distribution, which costs milliseconds.
    """
    found = [_from_installed(plugin) for plugin in read_plugins(folder)]
    return tuple(sorted(found, key=lambda candidate: (candidate.name, str(candidate.distribution))))


def plugins_named(name: str, plugins: Iterable[C]) -> tuple[C, ...]:
    """Return the plugins of a name, or else those of the distribution with that name.

    There are several if distributions share the name of a plugin, or one has several plugins.
    """
    known = tuple(plugins)
    named = tuple(one for one in known if one.name == name)
    distribution = canonicalize_name(name)
    return named or tuple(
        one for one in known if one.distribution and one.distribution.canonical_name == distribution
    )


def plugin_name(name: str, plugins: Iterable[Candidate]) -> str:
    """Return the name of the plugin of a distribution with that name; else the name as it is.

    Raises `ValueError` for a distribution that has several plugins.
    """
    names = sorted({one.name for one in plugins_named(name, plugins)}) or [name]
    if len(names) > 1:
        message = f"{name} has several plugins, {', '.join(names)}: name one of them"
        raise ValueError(message)
    return names[0]


@timed("find the plugins")
def select_plugins(plugins: Sequence[object] | None, core: CoreSettings) -> tuple[Candidate, ...]:
    """Return the plugins that an app is to have.

    `plugins` is what `create_app` was given: names and plugin objects, which mean exactly those, or
    None for the installed ones, as far as `PEGBOARD_PLUGINS` and `PEGBOARD_PLUGINS_DISABLED` allow
    them. Raises `StartupError` for a name that is not installed.
    """
    if plugins is None:
        installed = installed_plugins()
        _require_installed(set(core.plugins or ()), installed, "PEGBOARD_PLUGINS")
        return tuple(one for one in installed if find_exclusion(one, core) is None)
    if isinstance(plugins, str):
        summary = f"create_app(plugins={plugins!r}) is given a text in place of a list"
        hint = f"Write create_app(plugins={[one.strip() for one in plugins.split(',')]!r})."
        raise StartupError([Problem(Code.PLUGIN_NOT_INSTALLED, summary, hint)])
    # An object needs no look into the metadata, unless it may be the module of an entry point.
    look_up = any(isinstance(plugin, str | ModuleType) for plugin in plugins)
    installed = installed_plugins() if look_up else ()
    wanted = {plugin for plugin in plugins if isinstance(plugin, str)}
    _require_installed(wanted, installed, "create_app(plugins=…)")
    named = [candidate for candidate in installed if candidate.name in wanted]
    objects = [_from_object(one, installed) for one in plugins if not isinstance(one, str)]
    return tuple(one for one in (*named, *objects) if one.is_first_party or not core.safe)


def find_exclusion(candidate: Candidate, core: CoreSettings) -> str | None:
    """Return the setting that keeps an installed plugin out, as a sentence; None if none does."""
    if core.safe and not candidate.is_first_party:
        return "PEGBOARD_SAFE (--safe) has no third-party plugin"
    if candidate.name in core.plugins_disabled:
        return "PEGBOARD_PLUGINS_DISABLED names it"
    if core.plugins is not None and candidate.name not in core.plugins:
        return "PEGBOARD_PLUGINS does not name it"
    return None


def _require_installed(wanted: set[str], installed: Iterable[Candidate], origin: str) -> None:
    names = {candidate.name for candidate in installed}
    hint = f"Install the distribution that has it, or name only these: {', '.join(sorted(names))}."
    if missing := sorted(wanted - names):
        summary = f"{origin} names a plugin that is not installed"
        raise StartupError(
            Problem(Code.PLUGIN_NOT_INSTALLED, summary, hint, name) for name in missing
        )


def _from_installed(plugin: InstalledPlugin) -> Candidate:
    return Candidate(plugin.name, plugin.distribution, plugin.entry_point, fault=plugin.fault)


def _from_object(obj: object, installed: Iterable[Candidate]) -> Candidate:
    """Return the candidate for a plugin object.

    Its name is that of the entry point that the module is, else its attribute `name`, else its
    import package.
    """
    for candidate in installed:
        entry = candidate.entry_point
        if isinstance(obj, ModuleType) and entry is not None and entry.value == obj.__name__:
            return replace(candidate, entry_point=None, obj=obj)
    name = getattr(obj, "name", None)
    return Candidate(name if isinstance(name, str) else Candidate("", obj=obj).package, obj=obj)
