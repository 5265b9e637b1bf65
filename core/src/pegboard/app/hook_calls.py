"""Calling the hooks that are given the app, to which any may add routes and commands."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from flask import Flask
from werkzeug.routing import Rule

from pegboard.plugins import (
    Commands,
    Plugin,
    Registry,
    Routes,
    call_plugin,
    locate_route,
    note_endpoints,
    rules_of,
    settle,
)
from pegboard.problems import PluginError

_EXTENSION = "pegboard.added"


def note_owner(app: Flask, assembled: Registry, plugin: Plugin | None, known: int) -> list[Rule]:
    """Note whose the rules of the app are that come after `known` others, and return them."""
    rules = rules_of(app)[known:]
    note_endpoints(assembled, plugin, (rule.endpoint for rule in rules))
    return rules


def init_added(app: Flask, routes: Routes, commands: Commands) -> None:
    """Keep what the app has, with which the routes and commands that hooks add are compared."""
    app.extensions[_EXTENSION] = routes, commands


def call_with_app(
    app: Flask, assembled: Registry, plugin: Plugin, hook: str, **arguments: Any
) -> list[Any]:
    """Call a hook of one plugin with the app; return its result as `call_plugin` does.

    Raises `PluginError` as that does, and for routes and commands that the hook has added if they
    collide with others.
    """
    with comparing_added(app, assembled, plugin, hook):
        return call_plugin(assembled.manager, plugin, hook, app=app, **arguments)


@contextmanager
def comparing_added(app: Flask, assembled: Registry, plugin: Plugin, hook: str) -> Iterator[None]:
    """Note whose the routes and commands are that the block adds; `PluginError` if they collide.

    The block calls the hook.
    """
    routes: Routes
    commands: Commands
    routes, commands = app.extensions[_EXTENSION]
    known = len(rules_of(app))
    yield
    added = note_owner(app, assembled, plugin, known)
    locate = partial(locate_route, assembled.manager, plugin, hook, app)
    collisions = [*routes.add(plugin, added, locate), *commands.add(plugin, hook)]
    if collisions:
        raise PluginError(*settle(collisions, assembled.skippable))
