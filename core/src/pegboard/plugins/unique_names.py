"""The names that only one plugin, or the core, can have."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pluggy

from pegboard.plugins.contributions import Plugin
from pegboard.problems import Code
from pegboard.settings import CoreSettings, declarations_of

CORE_BLUEPRINTS = ("docs", "health", "openapi", "start_page")
CORE_COMMANDS = (
    "cache",
    "config",
    "db",
    "dev",
    "explain",
    "new",
    "openapi",
    "plugins",
    "routes",
    "run",
    "serve",
    "shell",
)
SINGLE_PROVIDERS = (
    "pegboard_cache_strategy",
    "pegboard_session_strategy",
)
"""Hooks of which an app can have one implementation."""

RESERVED_NAMES = ("base", "core", "head", "heads", "site")
"""Names that mean something else in commands and settings that take a plugin's name."""


@dataclass(frozen=True)
class NameKind:
    """What has a name that only one can have."""

    label: str
    code: Code
    hook: str = ""
    """The hook that returns what has the name; empty where metadata has it."""
    change: str = "Rename it in {name}"
    """What to do in one of the two plugins."""


PLUGIN = NameKind("plugin name", Code.COLLISION_PLUGIN_NAME)
BLUEPRINT = NameKind("blueprint", Code.COLLISION_BLUEPRINT, "pegboard_blueprints")
COMMAND = NameKind("command", Code.COLLISION_COMMAND, "pegboard_commands")
HEALTH_CHECK = NameKind("health check", Code.COLLISION_HEALTH_CHECK, "pegboard_health_checks")
SETTING = NameKind("setting", Code.COLLISION_SETTING, "pegboard_settings")
SETTINGS = NameKind("class of settings", Code.COLLISION_SETTING, "pegboard_settings")
TABLE = NameKind("table", Code.COLLISION_TABLE, "pegboard_models")
VERSION_TABLE = NameKind("table", Code.COLLISION_TABLE, "pegboard_migrations")
REVISIONS = NameKind(
    "folder of revisions",
    Code.COLLISION_MIGRATIONS,
    "pegboard_migrations",
    change="Return a folder of its own in {name}",
)


@dataclass(frozen=True)
class UniqueName:
    """A name that only one plugin, or the core, can have."""

    kind: NameKind
    name: str
    owner: Plugin | None
    """None is the core."""
    part: Any = None
    """The function, class or table that has it, if there is one."""
    member: str = ""
    """What in the class has it."""
    canonical: str = ""
    """What all spellings of the name share, if it has more than one."""

    @property
    def identity(self) -> tuple[str, str]:
        """What two of one name share."""
        return self.kind.label, self.canonical or self.name

    def __str__(self) -> str:
        return f"{self.kind.label} {self.name}"


def names_of_core() -> Iterator[UniqueName]:
    """Yield the names that the core has."""
    for name in CORE_BLUEPRINTS:
        yield UniqueName(BLUEPRINT, name, None)
    for name in CORE_COMMANDS:
        yield UniqueName(COMMAND, name, None)
    for name in RESERVED_NAMES:
        yield UniqueName(PLUGIN, name, None)
    for declaration in declarations_of(CoreSettings, None):
        yield UniqueName(SETTING, declaration.key, None)


def names_of(plugin: Plugin, default_schema: str) -> Iterator[UniqueName]:
    """Yield the names that a plugin has.

    `default_schema` is the prefix, with its dot, that the name of a table may be written without.
    """
    yield UniqueName(PLUGIN, plugin.name, plugin)
    settings = plugin.settings
    if settings is not None:
        name = f"{settings.__module__}.{settings.__qualname__}"
        yield UniqueName(SETTINGS, name, plugin, settings)
    for one in declarations_of(settings, plugin.name) if settings else ():
        yield UniqueName(SETTING, one.key, plugin, settings, one.field)
    for blueprint in plugin.blueprints:
        yield UniqueName(BLUEPRINT, blueprint.name, plugin)
    for command in plugin.commands:
        yield UniqueName(COMMAND, command.name or "", plugin, command.callback)
    for check in plugin.health_checks:
        yield UniqueName(HEALTH_CHECK, f"{plugin.name}.{check.name}", plugin, check.check)
    if plugin.migrations is not None:
        yield UniqueName(REVISIONS, str(plugin.migrations.resolve()), plugin)
        yield UniqueName(VERSION_TABLE, f"alembic_version_{plugin.name}", plugin)
    for name, table in plugin.metadata.tables.items() if plugin.metadata is not None else ():
        # SQLite does not tell `Items` from `items`.
        canonical = name.lower().removeprefix(default_schema)
        yield UniqueName(TABLE, name, plugin, table, canonical=canonical)


def provider_names(
    plugins: Sequence[Plugin], manager: pluggy.PluginManager
) -> Iterator[UniqueName]:
    """Yield the hooks of which an app can have one implementation, for each plugin that has one."""
    for hook in SINGLE_PROVIDERS:
        kind = NameKind("single-provider strategy", Code.COLLISION_PROVIDER, hook, change="")
        names = {one.plugin_name for one in getattr(manager.hook, hook).get_hookimpls()}
        for plugin in plugins:
            if plugin.name in names:
                yield UniqueName(kind, hook, plugin)
