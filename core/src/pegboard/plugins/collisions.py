"""Names of plugins and of their parts: their form, and what two of them both want to have."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import pluggy
from flask import Flask
from werkzeug.routing import Rule

from pegboard.plugins.contributions import Plugin
from pegboard.plugins.discovery import LONGEST_NAME, Candidate, is_plugin_name
from pegboard.plugins.parties import Collision, titled
from pegboard.plugins.places import locate_part, locate_route, refused_blueprint
from pegboard.plugins.routes import Routes, rules_of
from pegboard.problems import Code, PluginError, Problem
from pegboard.settings import CoreSettings, declarations_of

CORE_BLUEPRINTS = ("docs", "health", "openapi", "start_page")
CORE_ROUTES = (
    "/docs",
    "/docs/assets/<name>",
    "/health",
    "/health/ready",
    "/openapi.json",
)
"""Routes of the core, also those that a setting leaves out; all are read by GET.

`/` and `/favicon.ico` are not among them: there the core gives way to a plugin.
"""

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

_BLUEPRINTS = "pegboard_blueprints"

RESERVED_NAMES = ("base", "core", "head", "heads", "site")
"""Names that mean something else in commands and settings that take a plugin's name."""

_CODES = {
    "blueprint": Code.COLLISION_BLUEPRINT,
    "class of settings": Code.COLLISION_SETTING,
    "command": Code.COLLISION_COMMAND,
    "folder of revisions": Code.COLLISION_MIGRATIONS,
    "health check": Code.COLLISION_HEALTH_CHECK,
    "plugin name": Code.COLLISION_PLUGIN_NAME,
    "setting": Code.COLLISION_SETTING,
    "single-provider strategy": Code.COLLISION_PROVIDER,
    "table": Code.COLLISION_TABLE,
}

_CHANGES = {
    Code.COLLISION_MIGRATIONS: "Return a folder of its own in {name}",
    Code.COLLISION_PROVIDER: "",
}
"""What to do about what is not renamed."""


@dataclass(frozen=True)
class UniqueName:
    """A name that only one plugin, or the core, can have."""

    kind: str
    """A key of `_CODES`."""
    name: str
    owner: Plugin | None
    """None is the core."""
    hook: str = ""
    """The hook that returns what has the name."""
    part: Any = None
    """The function, class or table that has it, if there is one."""
    member: str = ""
    """What in the class has it."""
    canonical: str = ""
    """What all spellings of the name share, if it has more than one."""

    @property
    def identity(self) -> tuple[str, str]:
        """What two of one name share."""
        return self.kind, self.canonical or self.name


def find_wrong_names(candidates: Iterable[Candidate]) -> Iterator[Problem]:
    """Yield a problem for each candidate whose name cannot be that of settings and revisions."""
    for candidate in candidates:
        name = candidate.name
        if is_plugin_name(name) or candidate.fault is not None:
            continue
        where = "attribute `name` of the plugin" if candidate.entry_point is None else "entry point"
        yield candidate.problem(
            Code.PLUGIN_NAME_INVALID,
            f"{name!r} cannot be the name of a plugin",
            f"Give it in the {where} a name of lower-case letters, digits and underscores, which "
            f"begins with a letter and has at most {LONGEST_NAME} characters.",
        )


def find_same_names(candidates: Sequence[Candidate]) -> Iterator[Problem]:
    """Yield a problem for each candidate that has the name of an earlier one."""
    first: dict[str, Candidate] = {}
    for candidate in candidates:
        other = first.setdefault(candidate.name, candidate)
        if other is not candidate:
            summary = f"{other.label or other.package} has a plugin of the same name"
            hint = "Uninstall one of the two distributions."
            if candidate.entry_point and other.entry_point and candidate.label == other.label:
                one, two = other.entry_point.value, candidate.entry_point.value
                summary = f"its distribution has two plugins of this name, {one} and {two}"
                hint = "Rename one of the two entry points."
            yield candidate.problem(Code.COLLISION_PLUGIN_NAME, summary, hint)


def find_collisions(
    plugins: Sequence[Plugin], manager: pluggy.PluginManager, config: Mapping[str, Any]
) -> tuple[list[Collision], list[Problem]]:
    """Return what two of the plugins, or one and the core, both want to have.

    Also returns a problem for each plugin whose routes cannot be compared. `config` is what the app
    will have in `app.config`, which blueprints may read when they are registered.
    """
    collisions: list[Collision] = []
    problems: list[Problem] = []
    routes = Routes()
    routes.add(None, _core_rules())
    for plugin in plugins:
        try:
            scratch = _register(plugin, config, manager)
            locate = partial(locate_route, manager, plugin, _BLUEPRINTS, scratch)
            collisions += routes.add(plugin, rules_of(scratch), locate)
        except PluginError as error:
            problems += error.problems
    schema = "public." if str(config["DATABASE_URL"]).startswith("postgres") else "main."
    names = [*_core_names(), *(name for plugin in plugins for name in _names_of(plugin, schema))]
    collisions += _same_names([*names, *_providers(plugins, manager)], manager)
    return collisions, problems


def _same_names(names: Sequence[UniqueName], manager: pluggy.PluginManager) -> Iterator[Collision]:
    """Yield a collision for each two owners of one name, and each name that one has twice."""
    owners: dict[tuple[str, str], list[UniqueName]] = {}
    for name in names:
        earlier = owners.setdefault(name.identity, [])
        if name.owner is not None:
            for other in earlier:
                yield _same_name(name, name.owner, other, manager)
        earlier.append(name)


def _same_name(
    name: UniqueName, later: Plugin, other: UniqueName, manager: pluggy.PluginManager
) -> Collision:
    code, earlier = _CODES[name.kind], other.owner
    places = {"later_place": _locate(name, manager), "earlier_place": _locate(other, manager)}
    if later is earlier:
        summary = f"it has two: {name.kind} {name.name}"
        if name.name != other.name:
            summary += f", and {other.name}, {_why_same(name, other)}"
        return Collision(code, later, later, summary, change="Rename one of the two", **places)
    return Collision(
        code,
        later,
        earlier,
        later_summary=_claim(name, other, earlier),
        earlier_summary=_claim(other, name, later),
        change=_CHANGES.get(code, "Rename it in {name}"),
        **places,
    )


def _claim(name: UniqueName, other: UniqueName, owner: Plugin | None) -> str:
    """Return what is wrong with a name that another owner has."""
    what = f"{name.kind} {name.name}"
    if name.name != other.name:
        return f"{what} is {other.kind} {other.name} of {titled(owner)}, {_why_same(name, other)}"
    return f"{what} belongs to {titled(owner)} {'too' if owner else 'already'}"


def _why_same(name: UniqueName, other: UniqueName) -> str:
    """Return why two spellings name one table."""
    if name.name.lower() == other.name.lower():
        return "where case does not count, as in SQLite"
    return "where the default schema is named or left out"


def _locate(name: UniqueName, manager: pluggy.PluginManager) -> str:
    """Return where a plugin has a name; empty for a name of the core or of metadata."""
    if name.owner is None or not name.hook:
        return ""
    return locate_part(manager, name.owner, name.hook, name.part, name.member)


def _providers(plugins: Sequence[Plugin], manager: pluggy.PluginManager) -> Iterator[UniqueName]:
    for hook in SINGLE_PROVIDERS:
        names = {one.plugin_name for one in getattr(manager.hook, hook).get_hookimpls()}
        for plugin in plugins:
            if plugin.name in names:
                yield UniqueName("single-provider strategy", hook, plugin, hook)


def _core_names() -> Iterator[UniqueName]:
    for name in CORE_BLUEPRINTS:
        yield UniqueName("blueprint", name, None)
    for name in CORE_COMMANDS:
        yield UniqueName("command", name, None)
    for name in RESERVED_NAMES:
        yield UniqueName("plugin name", name, None)
    for declaration in declarations_of(CoreSettings, None):
        yield UniqueName("setting", declaration.key, None)


def _names_of(plugin: Plugin, default_schema: str) -> Iterator[UniqueName]:
    """Yield the names; the default schema is the prefix of a table that may be left out."""
    yield UniqueName("plugin name", plugin.name, plugin)
    settings = plugin.settings
    if settings is not None:
        name = f"{settings.__module__}.{settings.__qualname__}"
        yield UniqueName("class of settings", name, plugin, "pegboard_settings", settings)
    for one in declarations_of(settings, plugin.name) if settings else ():
        yield UniqueName("setting", one.key, plugin, "pegboard_settings", settings, one.field)
    for blueprint in plugin.blueprints:
        yield UniqueName("blueprint", blueprint.name, plugin, _BLUEPRINTS)
    for command in plugin.commands:
        name = command.name or ""
        yield UniqueName("command", name, plugin, "pegboard_commands", command.callback)
    for check in plugin.health_checks:
        name = f"{plugin.name}.{check.name}"
        yield UniqueName("health check", name, plugin, "pegboard_health_checks", check.check)
    if plugin.migrations is not None:
        name = str(plugin.migrations.resolve())
        yield UniqueName("folder of revisions", name, plugin, "pegboard_migrations")
    if plugin.migrations is not None:
        yield UniqueName("table", f"alembic_version_{plugin.name}", plugin, "pegboard_migrations")
    for name, table in plugin.metadata.tables.items() if plugin.metadata is not None else ():
        # SQLite does not tell `Items` from `items`.
        canonical = name.lower().removeprefix(default_schema)
        yield UniqueName("table", name, plugin, "pegboard_models", table, canonical=canonical)


@cache
def _core_rules() -> tuple[Rule, ...]:
    """Return the routes of the core, which Werkzeug compiles once for all apps of a process."""
    scratch = Flask("pegboard", static_folder=None)
    for path in CORE_ROUTES:
        scratch.add_url_rule(path, path)
    return tuple(rules_of(scratch))


def _register(plugin: Plugin, config: Mapping[str, Any], manager: pluggy.PluginManager) -> Flask:
    """Return an app with a plugin's blueprints. Raises `PluginError` for those Flask refuses."""
    scratch = Flask("pegboard", static_folder=None)
    scratch.config.from_mapping(config)
    problems: list[Problem] = []
    for blueprint in {blueprint.name: blueprint for blueprint in plugin.blueprints}.values():
        try:
            scratch.register_blueprint(blueprint)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - registering a blueprint runs code of the plugin
            problems.append(refused_blueprint(manager, plugin, blueprint.name, error))
    if problems:
        raise PluginError(*problems)
    return scratch
