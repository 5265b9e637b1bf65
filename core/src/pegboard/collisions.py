"""What two plugins, or a plugin and the core, both lay claim to."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from flask import Flask

from pegboard.config import CoreSettings
from pegboard.contributions import Plugin
from pegboard.problems import Problem
from pegboard.settings import declarations_of, prefix_of

CORE_BLUEPRINTS = ("docs", "health", "openapi")
CORE_ROUTES = ("/docs", "/docs/assets/<>", "/health", "/health/ready", "/openapi.json")
CORE_COMMANDS = ("config", "db", "dev", "openapi", "plugins", "routes", "run", "serve", "shell")
RESERVED_NAMES = ("base", "core", "head", "heads", "site")
"""Names that mean something else where a plugin's name can stand."""


_VARIABLE = re.compile(r"<(?P<converter>[^:<>]+:)?[^<>]+>")


@dataclass(frozen=True)
class Claim:
    """Something that only one owner can have."""

    kind: str
    what: str
    plugin: Plugin | None


def find_collisions(plugins: Sequence[Plugin]) -> list[Problem]:
    """Return a problem for each thing that is claimed twice; the later plugin is blamed."""
    problems = []
    first: dict[tuple[str, str], Claim] = {}
    for claim in (*_core_claims(), *(claim for plugin in plugins for claim in _claims(plugin))):
        other = first.setdefault((claim.kind, claim.what), claim)
        if claim.plugin is None or other.plugin is claim.plugin:
            continue
        owner = f"plugin {other.plugin.name}" if other.plugin else "the core"
        problems.append(
            claim.plugin.problem(
                f"{claim.kind} {claim.what} belongs to {owner} already",
                f"Rename it in {claim.plugin.name}, or disable one of the two plugins.",
            )
        )
    return problems + list(_prefix_collisions(plugins))


def _core_claims() -> Iterator[Claim]:
    for name in CORE_BLUEPRINTS:
        yield Claim("blueprint", name, None)
    for path in CORE_ROUTES:
        yield Claim("route", f"GET {path}", None)
    for name in CORE_COMMANDS:
        yield Claim("command", name, None)
    for name in RESERVED_NAMES:
        yield Claim("plugin name", name, None)


def _claims(plugin: Plugin) -> Iterator[Claim]:
    yield Claim("plugin name", plugin.name, plugin)
    for blueprint in plugin.blueprints:
        yield Claim("blueprint", blueprint.name, plugin)
    for route in _routes(plugin):
        yield Claim("route", route, plugin)
    for command in plugin.commands:
        yield Claim("command", command.name or "", plugin)
    for table in plugin.metadata.tables if plugin.metadata is not None else ():
        yield Claim("table", table, plugin)


def _routes(plugin: Plugin) -> Iterable[str]:
    """Return the routes of a plugin, with the names of their variables left out."""
    scratch = Flask("pegboard", static_folder=None)
    for blueprint in {blueprint.name: blueprint for blueprint in plugin.blueprints}.values():
        scratch.register_blueprint(blueprint)
    return {
        f"{method} {_VARIABLE.sub(_nameless, rule.rule)}"
        for rule in scratch.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def _nameless(variable: re.Match[str]) -> str:
    return f"<{variable['converter'] or ''}>"


def _prefix_collisions(plugins: Sequence[Plugin]) -> Iterator[Problem]:
    core = [declaration.key for declaration in declarations_of(CoreSettings, None)]
    for plugin in plugins:
        prefix = prefix_of(plugin.name)
        taken = [key for key in core if key.startswith(prefix)]
        taken += [
            f"{prefix_of(other.name)}*"
            for other in plugins
            if other is not plugin and prefix_of(other.name).startswith(prefix)
        ]
        if taken:
            yield plugin.problem(
                f"the setting prefix {prefix} covers settings of others: {', '.join(taken)}",
                "Give the plugin another name.",
            )
