"""What two plugins, or a plugin and the core, both want to have; and what cannot be a name."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from pegboard.plugins.unique_names import (
    BLUEPRINT,
    FORMER_SETTING,
    SECRET_FILE,
    UniqueName,
    names_of,
    names_of_core,
    provider_names,
)
from pegboard.problems import Code, PluginError, Problem

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
            locate = partial(locate_route, manager, plugin, BLUEPRINT.hook, scratch)
            collisions += routes.add(plugin, rules_of(scratch), locate)
        except PluginError as error:
            problems += error.problems
    schema = "public." if str(config["DATABASE_URL"]).startswith("postgres") else "main."
    names = [*names_of_core(), *(name for plugin in plugins for name in names_of(plugin, schema))]
    collisions += find_shared_names([*names, *provider_names(plugins, manager)], manager)
    return collisions, problems


def find_shared_names(
    names: Sequence[UniqueName], manager: pluggy.PluginManager
) -> Iterator[Collision]:
    """Yield a collision for each two owners of one name, and each name that one has twice."""
    owners: dict[tuple[str, str], list[UniqueName]] = {}
    for name in names:
        earlier = owners.setdefault(name.identity, [])
        if name.owner is not None:
            for other in earlier:
                if not name.may_stand_beside(other):
                    yield _same_name(name, name.owner, other, manager)
        earlier.append(name)


def _same_name(
    name: UniqueName, later: Plugin, other: UniqueName, manager: pluggy.PluginManager
) -> Collision:
    code, earlier = name.kind.code, other.owner
    # These have cures of their own.
    kind = other.kind if other.kind in (FORMER_SETTING, SECRET_FILE) else name.kind
    places = {"later_place": _locate(name, manager), "earlier_place": _locate(other, manager)}
    if later is earlier and name.returned is not None and name.returned is other.returned:
        summary = f"it returns {name} twice"
        return Collision(code, later, later, summary, change="Return it once", **places)
    if later is earlier:
        summary = f"it has two: {name}"
        if name.values:
            summary += f", with {_listed(name)}, and with {_listed(other)}"
        elif name.kind.label != other.kind.label:
            summary += f", and {other}"
        elif name.name != other.name:
            summary += f", and {other.name}, {_why_same(name, other)}"
        return Collision(code, later, later, summary, change=kind.change_own, **places)
    return Collision(
        code,
        later,
        earlier,
        later_summary=_claim(name, other, earlier),
        earlier_summary=_claim(other, name, later),
        change=kind.change,
        **places,
    )


def _claim(name: UniqueName, other: UniqueName, owner: Plugin | None) -> str:
    """Return what is wrong with a name that another owner has."""
    if name.values:
        return (
            f"{name} has the values {_listed(name)}, and that of {titled(owner)} {_listed(other)}"
        )
    if name.kind.label != other.kind.label:
        return f"{name} has the name of {other} of {titled(owner)}"
    if name.name != other.name:
        return f"{name} is {other} of {titled(owner)}, {_why_same(name, other)}"
    return f"{name} belongs to {titled(owner)} {'too' if owner else 'already'}"


def _listed(name: UniqueName) -> str:
    return ", ".join(name.values)


def _why_same(name: UniqueName, other: UniqueName) -> str:
    """Return why two spellings name one table."""
    if name.name.lower() == other.name.lower():
        return "where case does not count, as in SQLite"
    return "where the default schema is named or left out"


def _locate(name: UniqueName, manager: pluggy.PluginManager) -> str:
    """Return where a plugin has a name; empty for a name of the core or of metadata."""
    if name.owner is None or not name.kind.hook:
        return ""
    return locate_part(manager, name.owner, name.kind.hook, name.part, name.member)


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
