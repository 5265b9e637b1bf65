"""Installing what plugins contribute into the app: blueprints, commands, set-up, listeners."""

import warnings
from functools import partial
from typing import TYPE_CHECKING

from flask import Flask

from pegboard.api import Api, Blueprint
from pegboard.app.hook_calls import call_with_app, comparing_added, init_added, note_owner
from pegboard.changes import Registered, init_listeners
from pegboard.plugins import (
    Collision,
    Commands,
    Plugin,
    Registry,
    Routes,
    locate_route,
    refused_blueprint,
    rules_of,
    settle,
    titled,
)
from pegboard.problems import Code, PluginError, Problem
from pegboard.start_times import step, timed

if TYPE_CHECKING:
    from flask_smorest import Blueprint as DocumentedBlueprint

_SAME_SCHEMA = "Multiple schemas resolved to the name"
"""How apispec's warning begins when two schemas want one name in the document."""


@timed("install the plugins")
def install_plugins(app: Flask, api: Api, assembled: Registry) -> None:
    """Register what all plugins contribute, make their services, then let each set itself up.

    Raises `PluginError` for the first plugin that fails.
    """
    schemas: dict[str, Plugin] = {}
    routes = Routes()
    routes.add(None, note_owner(app, assembled, None, 0))
    commands = Commands(app, assembled.manager)
    for plugin in assembled.plugins:
        known = len(rules_of(app))
        with step("register blueprints", plugin.name):
            _install(plugin, app, api, assembled, schemas, commands)
        added = note_owner(app, assembled, plugin, known)
        locate = partial(locate_route, assembled.manager, plugin, "pegboard_blueprints", app)
        routes.adopt(plugin, added, locate)  # the registry has compared them already
        for name in api.spec.components.schemas:
            schemas.setdefault(name, plugin)
    init_added(app, routes, commands)
    for plugin in assembled.implementing("pegboard_provides"):
        with comparing_added(app, assembled, plugin, "pegboard_provides"):
            assembled.services.make(app, plugin)
    for plugin in assembled.implementing("pegboard_setup"):
        call_with_app(app, assembled, plugin, "pegboard_setup")


@timed("listeners")
def install_listeners(app: Flask, assembled: Registry) -> None:
    """Give the app the listeners of all plugins. Raises `PluginError` for a plugin that fails."""
    listeners = [
        Registered(plugin.name, listener)
        for plugin in assembled.implementing("pegboard_listeners")
        for result in call_with_app(app, assembled, plugin, "pegboard_listeners")
        for listener in result
    ]
    init_listeners(app, listeners)


def _install(
    plugin: Plugin,
    app: Flask,
    api: Api,
    assembled: Registry,
    schemas: dict[str, Plugin],
    commands: Commands,
) -> None:
    """Register the plugin's blueprints and commands; `schemas` tells whose each schema is."""
    problems: list[Problem] = []
    collisions: list[Collision] = []
    for blueprint in plugin.blueprints:
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("error", _SAME_SCHEMA)
                _register_blueprint(blueprint, app, api)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - it runs code of the plugin
            problem = refused_blueprint(assembled.manager, plugin, blueprint.name, error)
            if isinstance(error, UserWarning) and str(error).startswith(_SAME_SCHEMA):
                collisions.append(_same_schema(plugin, str(error), problem.summary, schemas))
            else:
                problems.append(problem)
        collisions += commands.add(plugin, "pegboard_blueprints")
    for command in plugin.commands:
        app.cli.add_command(command)
    # The registry has compared these with each other already, but not with those of blueprints.
    collisions += commands.add(plugin, "pegboard_commands")
    if problems := [*problems, *settle(collisions, assembled.skippable)]:
        raise PluginError(*problems)


def _same_schema(
    plugin: Plugin, warning: str, summary: str, schemas: dict[str, Plugin]
) -> Collision:
    name, _, _ = warning.removeprefix(_SAME_SCHEMA).strip().partition(". ")
    earlier_summary = f"{titled(plugin)} has a schema of the name {name} too"
    return Collision(
        Code.COLLISION_SCHEMA,
        later=plugin,
        earlier=schemas.get(name, plugin),
        later_summary=summary,
        earlier_summary=earlier_summary,
        change="Rename one of the two schemas; for that of a resource use its output or input",
    )


def _register_blueprint(blueprint: "Blueprint | DocumentedBlueprint", app: Flask, api: Api) -> None:
    if isinstance(blueprint, Blueprint):
        api.register_blueprint(blueprint)
    else:
        app.register_blueprint(blueprint)
