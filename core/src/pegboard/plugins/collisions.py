"""What two plugins, or a plugin and the core, both lay claim to."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pluggy
from flask import Flask

from pegboard.plugins.contributions import Plugin
from pegboard.problems import Problem
from pegboard.settings import CoreSettings, declarations_of, prefix_of

CORE_BLUEPRINTS = ("docs", "health", "openapi")
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
"""Hooks of which there can be one implementation: two would not know what the other does."""

RESERVED_NAMES = ("base", "core", "head", "heads", "site")
"""Names that mean something else where a plugin's name can stand."""


_PROVIDER = "single-provider strategy"
_VARIABLE = re.compile(r"<(?:(?P<converter>\w+)(?:\([^)]*\))?:)?\w+>")


@dataclass(frozen=True)
class Claim:
    """Something that only one owner can have."""

    kind: str
    what: str
    plugin: Plugin | None


def find_collisions(plugins: Sequence[Plugin], manager: pluggy.PluginManager) -> list[Problem]:
    """Return a problem for each thing that is claimed twice; the later plugin is blamed."""
    problems = []
    first: dict[tuple[str, str], Claim] = {}
    claims = list(_core_claims())
    for plugin in plugins:
        try:
            claims += _claims(plugin)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a blueprint runs a plugin's code
            hint = "Mend the plugin's blueprints."
            problems.append(plugin.problem(f"a blueprint cannot be registered: {error}", hint))
    claims += _provided(plugins, manager)
    for claim in claims:
        other = first.setdefault((claim.kind, claim.what), claim)
        if claim.plugin is None or other.plugin is claim.plugin:
            continue
        owner = f"plugin {other.plugin.title}" if other.plugin else "the core"
        problems.append(
            claim.plugin.problem(
                f"{claim.kind} {claim.what} belongs to {owner} already",
                "Disable one of the two plugins."
                if claim.kind == _PROVIDER
                else f"Rename it in {claim.plugin.name}, or disable one of the two plugins.",
            )
        )
    return problems


def _provided(plugins: Sequence[Plugin], manager: pluggy.PluginManager) -> Iterator[Claim]:
    for hook in SINGLE_PROVIDERS:
        names = {one.plugin_name for one in getattr(manager.hook, hook).get_hookimpls()}
        for plugin in plugins:
            if plugin.name in names:
                yield Claim(_PROVIDER, hook, plugin)


def _core_claims() -> Iterator[Claim]:
    for name in CORE_BLUEPRINTS:
        yield Claim("blueprint", name, None)
    for path in CORE_ROUTES:
        yield Claim("route", f"GET {path}", None)
    for name in CORE_COMMANDS:
        yield Claim("command", name, None)
    for name in RESERVED_NAMES:
        yield Claim("plugin name", name, None)
    for declaration in declarations_of(CoreSettings, None):
        yield Claim("setting", declaration.key, None)


def _claims(plugin: Plugin) -> Iterator[Claim]:
    yield Claim("plugin name", plugin.name, plugin)
    yield Claim("setting prefix", prefix_of(plugin.name), plugin)
    for declaration in declarations_of(plugin.settings, plugin.name) if plugin.settings else ():
        yield Claim("setting", declaration.key, plugin)
    for blueprint in plugin.blueprints:
        yield Claim("blueprint", blueprint.name, plugin)
    for route in sorted(_routes(plugin)):
        yield Claim("route", route, plugin)
    for command in plugin.commands:
        yield Claim("command", command.name or "", plugin)
    for table in plugin.metadata.tables if plugin.metadata is not None else ():
        yield Claim("table", table, plugin)


def _routes(plugin: Plugin) -> set[str]:
    """Return the routes of a plugin's blueprints."""
    scratch = Flask("pegboard", static_folder=None)
    for blueprint in {blueprint.name: blueprint for blueprint in plugin.blueprints}.values():
        scratch.register_blueprint(blueprint)
    return set(claimed_routes(scratch))


def claimed_routes(app: Flask) -> Iterator[str]:
    """Yield method and path of each rule, its variables by their kind and not by their name."""
    for rule in app.url_map.iter_rules():
        path = _VARIABLE.sub(_kind, rule.rule).rstrip("/") or "/"
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield f"{method} {path}"


def _kind(variable: re.Match[str]) -> str:
    converter = variable["converter"] or "string"
    return "<>" if converter in {"default", "string"} else f"<{converter}>"
