"""Collisions: names that two plugins, or a plugin and the core, both want to have."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pluggy
from flask import Flask

from pegboard.plugins.contributions import Plugin
from pegboard.plugins.discovery import Candidate
from pegboard.problems import Code, Problem
from pegboard.settings import CoreSettings, declarations_of, prefix_of

CORE_BLUEPRINTS = ("docs", "health", "openapi", "start_page")
CORE_ROUTES = ("/docs", "/docs/assets/<>", "/health", "/health/ready", "/openapi.json")
CORE_COMMANDS = (
    "cache",
    "config",
    "db",
    "dev",
    "openapi",
    "plugins",
    "routes",
    "run",
    "serve",
    "shell",
)
SINGLE_PROVIDERS = (
    "pegboard_cache_strategy",
    "pegboard_client_identity",
    "pegboard_session_strategy",
)
"""Hooks of which an app can have one implementation."""

RESERVED_NAMES = ("base", "core", "head", "heads", "site")
"""Names that mean something else in commands and settings that take a plugin's name."""

_CODES = {
    "blueprint": Code.COLLISION_BLUEPRINT,
    "command": Code.COLLISION_COMMAND,
    "plugin name": Code.COLLISION_PLUGIN_NAME,
    "route": Code.COLLISION_ROUTE,
    "setting": Code.COLLISION_SETTING,
    "setting prefix": Code.COLLISION_SETTING,
    "single-provider strategy": Code.COLLISION_PROVIDER,
    "table": Code.COLLISION_TABLE,
}
_VARIABLE = re.compile(r"<(?:(?P<converter>\w+)(?:\([^)]*\))?:)?\w+>")


@dataclass(frozen=True)
class UniqueName:
    """A name that only one plugin, or the core, can have."""

    kind: str
    """A key of `_CODES`."""
    name: str
    owner: Plugin | None
    """None is the core."""


def find_same_names(candidates: Sequence[Candidate]) -> Iterator[Problem]:
    """Yield a problem for each candidate that has the name of an earlier one."""
    first: dict[str, Candidate] = {}
    for candidate in candidates:
        other = first.setdefault(candidate.name, candidate)
        if other is not candidate:
            yield candidate.problem(
                Code.COLLISION_PLUGIN_NAME,
                f"{other.label or other.package} has a plugin of the same name",
                "Uninstall one of the two distributions.",
            )


def find_collisions(plugins: Sequence[Plugin], manager: pluggy.PluginManager) -> list[Problem]:
    """Return a problem of the later plugin for each name that two want to have."""
    problems = []
    first: dict[tuple[str, str], UniqueName] = {}
    names = list(_core_names())
    for plugin in plugins:
        try:
            names += _names_of(plugin)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - registering a blueprint runs code of the plugin
            summary, hint = f"a blueprint cannot be registered: {error}", "Fix its blueprints."
            problems.append(plugin.problem(Code.BLUEPRINT_INVALID, summary, hint))
    names += _providers(plugins, manager)
    for name in names:
        other = first.setdefault((name.kind, name.name), name)
        if name.owner is None or other.owner is name.owner:
            continue
        owner = f"plugin {other.owner.title}" if other.owner else "the core"
        code = _CODES[name.kind]
        problems.append(
            name.owner.problem(
                code,
                f"{name.kind} {name.name} belongs to {owner} already",
                "Disable one of the two plugins."
                if code is Code.COLLISION_PROVIDER
                else f"Rename it in {name.owner.name}, or disable one of the two plugins.",
            )
        )
    return problems


def _providers(plugins: Sequence[Plugin], manager: pluggy.PluginManager) -> Iterator[UniqueName]:
    for hook in SINGLE_PROVIDERS:
        names = {one.plugin_name for one in getattr(manager.hook, hook).get_hookimpls()}
        for plugin in plugins:
            if plugin.name in names:
                yield UniqueName("single-provider strategy", hook, plugin)


def _core_names() -> Iterator[UniqueName]:
    for name in CORE_BLUEPRINTS:
        yield UniqueName("blueprint", name, None)
    for path in CORE_ROUTES:
        yield UniqueName("route", f"GET {path}", None)
    for name in CORE_COMMANDS:
        yield UniqueName("command", name, None)
    for name in RESERVED_NAMES:
        yield UniqueName("plugin name", name, None)
    for declaration in declarations_of(CoreSettings, None):
        yield UniqueName("setting", declaration.key, None)


def _names_of(plugin: Plugin) -> Iterator[UniqueName]:
    yield UniqueName("plugin name", plugin.name, plugin)
    yield UniqueName("setting prefix", prefix_of(plugin.name), plugin)
    for declaration in declarations_of(plugin.settings, plugin.name) if plugin.settings else ():
        yield UniqueName("setting", declaration.key, plugin)
    for blueprint in plugin.blueprints:
        yield UniqueName("blueprint", blueprint.name, plugin)
    for route in sorted(_routes(plugin)):
        yield UniqueName("route", route, plugin)
    for command in plugin.commands:
        yield UniqueName("command", command.name or "", plugin)
    for table in plugin.metadata.tables if plugin.metadata is not None else ():
        yield UniqueName("table", table, plugin)


def _routes(plugin: Plugin) -> set[str]:
    scratch = Flask("pegboard", static_folder=None)
    for blueprint in {blueprint.name: blueprint for blueprint in plugin.blueprints}.values():
        scratch.register_blueprint(blueprint)
    return set(methods_and_paths(scratch))


def methods_and_paths(app: Flask) -> Iterator[str]:
    """Yield each route as in `GET /path/<int>`: variables by their converters, without names."""
    for rule in app.url_map.iter_rules():
        path = _VARIABLE.sub(_kind, rule.rule).rstrip("/") or "/"
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield f"{method} {path}"


def _kind(variable: re.Match[str]) -> str:
    converter = variable["converter"] or "string"
    return "<>" if converter in {"default", "string"} else f"<{converter}>"
