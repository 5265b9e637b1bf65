"""The names that only one plugin, or the core, can have."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pluggy
from sqlalchemy import (
    CheckConstraint,
    Enum,
    ForeignKeyConstraint,
    Index,
    Table,
    TypeDecorator,
)
from sqlalchemy.schema import ColumnCollectionConstraint, conv

from pegboard.plugins.contributions import Plugin
from pegboard.problems import Code
from pegboard.settings import CoreSettings, Settings, declarations_of

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
    change_own: str = "Rename one of the two"
    """What to do where one plugin has both."""
    space: str = ""
    """What kinds have in common whose names must differ; empty where it is one kind alone."""


PLUGIN = NameKind("plugin name", Code.COLLISION_PLUGIN_NAME)
BLUEPRINT = NameKind("blueprint", Code.COLLISION_BLUEPRINT, "pegboard_blueprints")
COMMAND = NameKind("command", Code.COLLISION_COMMAND, "pegboard_commands")
HEALTH_CHECK = NameKind("health check", Code.COLLISION_HEALTH_CHECK, "pegboard_health_checks")
SETTING = NameKind("setting", Code.COLLISION_SETTING, "pegboard_settings")
FORMER_SETTING = NameKind(
    "former setting",
    Code.COLLISION_SETTING,
    "pegboard_settings",
    change="Rename the setting, or correct formerly=, in {name}",
    change_own="Correct formerly=, or rename the setting",
    space=SETTING.label,
)
SECRET_FILE = NameKind(
    "variable of a secret's file",
    Code.COLLISION_SETTING,
    "pegboard_settings",
    change="Rename the setting in {name}, and leave formerly= out",
    change_own="Rename one of the two settings, and leave formerly= out",
    space=SETTING.label,
)
SETTINGS = NameKind("class of settings", Code.COLLISION_SETTING, "pegboard_settings")
_RELATION = "relation"
"""What a database calls all that has a name in one schema; PostgreSQL makes indexes of keys."""

TABLE = NameKind("table", Code.COLLISION_TABLE, "pegboard_models", space=_RELATION)
VERSION_TABLE = NameKind("table", Code.COLLISION_TABLE, "pegboard_migrations", space=_RELATION)
INDEX = NameKind("index", Code.COLLISION_TABLE, "pegboard_models", space=_RELATION)
KEY = NameKind("constraint", Code.COLLISION_TABLE, "pegboard_models", space=_RELATION)
ENUMERATION = NameKind(
    "enumerated type",
    Code.COLLISION_TABLE,
    "pegboard_models",
    change="Give the Enum another name= in {name}",
)
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
    returned: object = None
    """What the hook returned that has it, if there is one."""
    canonical: str = ""
    """What all spellings of the name share, if it has more than one."""
    within: str = ""
    """What it belongs to, if that has a name which only one can have: it alone is told."""
    values: tuple[str, ...] = ()
    """Those of an enumerated type, which may be shared by columns of the same values."""

    @property
    def identity(self) -> tuple[str, str]:
        """What two of one name share."""
        return self.kind.space or self.kind.label, self.canonical or self.name

    def may_stand_beside(self, other: "UniqueName") -> bool:
        """Return whether another of this name is no problem, or a part of one that is told."""
        if self.values and {*self.values} == {*other.values}:
            return True
        if self.kind is other.kind is FORMER_SETTING and self.owner is other.owner:
            return True  # a setting that is now several
        return bool(self.within) and self.within == other.within

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
    yield from _names_of_settings(CoreSettings, None)


def names_of(plugin: Plugin, default_schema: str) -> Iterator[UniqueName]:
    """Yield the names that a plugin has.

    `default_schema` is the prefix, with its dot, that the name of a table may be written without.
    """
    yield UniqueName(PLUGIN, plugin.name, plugin)
    settings = plugin.settings
    if settings is not None:
        name = f"{settings.__module__}.{settings.__qualname__}"
        yield UniqueName(SETTINGS, name, plugin, settings)
        yield from _names_of_settings(settings, plugin)
    for blueprint in plugin.blueprints:
        yield UniqueName(BLUEPRINT, blueprint.name, plugin, returned=blueprint)
    for command in plugin.commands:
        yield UniqueName(COMMAND, command.name or "", plugin, command.callback, returned=command)
    for check in plugin.health_checks:
        name = f"{plugin.name}.{check.name}"
        yield UniqueName(HEALTH_CHECK, name, plugin, check.check, returned=check)
    if plugin.migrations is not None:
        yield UniqueName(REVISIONS, str(plugin.migrations.resolve()), plugin)
        yield UniqueName(VERSION_TABLE, f"alembic_version_{plugin.name}", plugin)
    for table in plugin.metadata.tables.values() if plugin.metadata is not None else ():
        yield from _names_of_table(plugin, table, default_schema)


def _names_of_settings(settings: type[Settings], owner: Plugin | None) -> Iterator[UniqueName]:
    """Yield the names by which the settings of a class are set."""
    for one in declarations_of(settings, owner.name if owner else None):
        yield UniqueName(SETTING, one.key, owner, settings, one.field)
        # A setting that is its own former one is told where settings are checked.
        if one.former is not None and one.former.key != one.key:
            yield UniqueName(FORMER_SETTING, one.former.key, owner, settings, one.field)
        for named in (one, one.former):
            # No key has the variable of a file whose name has no prefix.
            if named is not None and named.secret and named.variable != named.key:
                yield UniqueName(
                    SECRET_FILE,
                    f"{named.variable}_FILE",
                    owner,
                    settings,
                    one.field,
                    canonical=f"{named.key}_FILE",
                    within=named.key,
                )


def _names_of_table(plugin: Plugin, table: Table, default_schema: str) -> Iterator[UniqueName]:
    """Yield the names of a table, its indexes and keys, and the types of its columns."""
    # SQLite does not tell `Items` from `items`.
    canonical = table.key.lower().removeprefix(default_schema)
    yield UniqueName(TABLE, table.key, plugin, table, canonical=canonical)
    bind = table.metadata.info.get("bind_key")
    database = f"{bind}:" if bind else ""
    for part in _parts_of(table):
        name = _qualified(table.schema, str(part.name))
        # What the naming convention has named may be declared in its column.
        column = next((one.key for one in part.columns), "") if isinstance(part.name, conv) else ""
        yield UniqueName(
            INDEX if isinstance(part, Index) else KEY,
            name,
            plugin,
            table,
            column or "__table_args__",
            canonical=database + name.lower().removeprefix(default_schema),
            within=canonical,
        )
    for one in table.columns:
        enum = _enum_of(one.type)
        if enum is not None and enum.name:
            name = _qualified(enum.schema, enum.name)
            canonical = database + name.removeprefix(default_schema)
            values = tuple(enum.enums)
            yield UniqueName(
                ENUMERATION, name, plugin, table, one.key, canonical=canonical, values=values
            )


def _parts_of(table: Table) -> list[Index | ColumnCollectionConstraint]:
    """Return what has a name beside those of tables: indexes, and keys, which PostgreSQL indexes.

    The names of checks and of foreign keys are those of one table.
    """
    found: list[Index | ColumnCollectionConstraint] = [*table.indexes]
    for one in table.constraints:
        is_of_table = isinstance(one, CheckConstraint | ForeignKeyConstraint)
        if isinstance(one, ColumnCollectionConstraint) and not is_of_table:
            found.append(one)
    return sorted(
        (one for one in found if isinstance(one.name, str)), key=lambda one: str(one.name)
    )


def _enum_of(kind: Any) -> Enum | None:
    """Return the enumerated type that PostgreSQL makes for a column, or for a list in it."""
    while not isinstance(kind := kind._variant_mapping.get("postgresql", kind), Enum):  # noqa: SLF001 - without the dialect, which takes long to import, there is no other way
        inner = None
        # Which type another `load_dialect_impl` chooses, only the database's dialect knows.
        if isinstance(kind, TypeDecorator) and _has_one_type(kind):
            inner = kind.impl_instance
        kind = getattr(kind, "item_type", inner)
        if kind is None:
            return None
    return kind if kind.native_enum and getattr(kind, "create_type", True) else None


def _has_one_type(kind: TypeDecorator[Any]) -> bool:
    return type(kind).load_dialect_impl is TypeDecorator.load_dialect_impl


def _qualified(schema: str | None, name: str) -> str:
    return f"{schema}.{name}" if schema else name


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
