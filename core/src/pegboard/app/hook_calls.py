"""Calling the hooks that are given the app, to which any of them may add routes."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from flask import Flask
from werkzeug.routing import Rule

from pegboard.plugins import (
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

_EXTENSION = "pegboard.routes"


def note_owner(app: Flask, assembled: Registry, plugin: Plugin | None, known: int) -> list[Rule]:
    """Note whose the rules of the app are that come after `known` others, and return them."""
    rules = rules_of(app)[known:]
    note_endpoints(assembled, plugin, (rule.endpoint for rule in rules))
    return rules


def init_routes(app: Flask, routes: Routes) -> None:
    """Keep the routes of the app, with which those that hooks add are compared."""
    app.extensions[_EXTENSION] = routes


def call_with_app(
    app: Flask, assembled: Registry, plugin: Plugin, hook: str, **arguments: Any
) -> list[Any]:
    """Call a hook of one plugin with the app; return its result as `call_plugin` does.

    Raises `PluginError` as that does, and for routes that the hook has added if they collide with
    others.
    """
    with comparing_routes(app, assembled, plugin, hook):
        return call_plugin(assembled.manager, plugin, hook, app=app, **arguments)


@contextmanager
def comparing_routes(app: Flask, assembled: Registry, plugin: Plugin, hook: str) -> Iterator[None]:
    """Note whose the routes are that the block adds; raise `PluginError` if they collide.

    The block calls the hook.
    """
    routes: Routes = app.extensions[_EXTENSION]
    known = len(rules_of(app))
    yield
    added = note_owner(app, assembled, plugin, known)
    locate = partial(locate_route, assembled.manager, plugin, hook, app)
    if collisions := routes.add(plugin, added, locate):
        raise PluginError(*settle(collisions, assembled.skippable))
