"""Where in a plugin's files what it contributes is defined.

All are as `locate_function` says it: `, at shop/plugin.py:12`.
"""

import inspect
from types import FunctionType
from typing import Any

import pluggy
from flask import Flask
from sqlalchemy import Table
from werkzeug.routing import Rule

from pegboard.plugins.contributions import call_hook, place_of
from pegboard.plugins.discovery import Candidate
from pegboard.plugins.origin import (
    is_place_in,
    join_places,
    locate_class,
    locate_error,
    locate_function,
    locate_model,
)
from pegboard.problems import Code, Problem


def locate_part(
    manager: pluggy.PluginManager, plugin: Candidate, hook: str, part: Any = None, member: str = ""
) -> str:
    """Return where a part of a plugin, or a member of its class, is defined.

    The part is a function, a class or a table, which has a model. Where it is not the plugin's own
    code, it is where the plugin implements the hook that returns it.
    """
    if isinstance(part, Table):
        bases = call_hook(manager, plugin.name, "pegboard_models")
        place = "".join(locate_model(base, part, member) for base in bases)
    else:
        place = _locate(part, member)
    is_own = is_place_in(place, plugin.package)
    return place if is_own else place_of(manager, plugin.name, hook)


def _locate(part: Any, member: str = "") -> str:
    """Return where a function or a class is defined; of the view that a class makes, the class."""
    if isinstance(part, FunctionType):
        view = inspect.unwrap(part)
        part = getattr(view, "view_class", view)
    return locate_class(part, member) if isinstance(part, type) else locate_function(part)


def locate_views(
    manager: pluggy.PluginManager, plugin: Candidate | None, *functions: object
) -> str:
    """Return where views and their decorators are defined, as far as they are the plugin's code.

    Without one that is, it is where the plugin implements the hook that adds its views. What
    belongs to no plugin is found wherever it is.
    """
    places = [_locate(one) for one in functions]
    if plugin is None:
        return join_places(places)
    return join_places(place for place in places if is_place_in(place, plugin.package)) or (
        place_of(manager, plugin.name, "pegboard_blueprints")
        or place_of(manager, plugin.name, "pegboard_setup")
    )


def locate_route(
    manager: pluggy.PluginManager, plugin: Candidate, hook: str, app: Flask, rule: Rule
) -> str:
    """Return where the view of a plugin's route is defined, or the hook that has added it."""
    return locate_part(manager, plugin, hook, app.view_functions.get(rule.endpoint))


def refused_blueprint(
    manager: pluggy.PluginManager, plugin: Candidate, name: str, error: BaseException
) -> Problem:
    """Return the problem of a blueprint that cannot be registered."""
    place = locate_error(error, plugin.package) or place_of(
        manager, plugin.name, "pegboard_blueprints"
    )
    summary = f"its blueprint {name} cannot be registered: {error}{place}"
    return plugin.problem(Code.BLUEPRINT_INVALID, summary, "Fix the blueprint.")
