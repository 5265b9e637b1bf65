"""Installing what plugins contribute into the app: blueprints, commands, and their set-up."""

import warnings
from collections import Counter
from typing import TYPE_CHECKING

from flask import Flask

from pegboard.api import Api, Blueprint
from pegboard.plugins import Plugin, Registry, call_plugin, methods_and_paths
from pegboard.problems import Code, PluginError

if TYPE_CHECKING:
    from flask_smorest import Blueprint as DocumentedBlueprint


def install_plugins(app: Flask, api: Api, assembled: Registry) -> None:
    """Register what all plugins contribute, then call the `pegboard_setup` of each.

    Raises `PluginError` for the first plugin that fails.
    """
    for plugin in assembled.plugins:
        _install(plugin, app, api)
    for plugin in assembled.plugins:
        _set_up(plugin, app, assembled)


def _install(plugin: Plugin, app: Flask, api: Api) -> None:
    """Register the plugin's blueprints and commands."""
    for blueprint in plugin.blueprints:
        try:
            with warnings.catch_warnings():
                # apispec only warns when two schemas want one name in the document.
                warnings.filterwarnings("error", "Multiple schemas resolved to the name")
                _register_blueprint(blueprint, app, api)
        except (Exception, SystemExit) as error:
            summary = f"its blueprint {blueprint.name} cannot be registered: {error}"
            code, hint = Code.BLUEPRINT_INVALID, "Fix the blueprint."
            if isinstance(error, UserWarning):
                code, hint = Code.COLLISION_SCHEMA, "Rename one of the two schemas."
            raise PluginError(plugin.problem(code, summary, hint)) from error
    for command in plugin.commands:
        app.cli.add_command(command)


def _register_blueprint(blueprint: "Blueprint | DocumentedBlueprint", app: Flask, api: Api) -> None:
    if isinstance(blueprint, Blueprint):
        api.register_blueprint(blueprint)
    else:
        app.register_blueprint(blueprint)


def _set_up(plugin: Plugin, app: Flask, assembled: Registry) -> None:
    """Call the plugin's `pegboard_setup`, which must not add a route that exists."""
    routes = Counter(methods_and_paths(app))
    call_plugin(assembled.manager, plugin, "pegboard_setup", app=app)
    added = Counter(methods_and_paths(app)) - routes
    if taken := sorted(added.keys() & routes.keys()):
        summary = f"pegboard_setup adds routes that are taken: {', '.join(taken)}"
        raise PluginError(plugin.problem(Code.COLLISION_ROUTE, summary, "Rename them."))
