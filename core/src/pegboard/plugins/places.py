"""Where in a plugin's files what it contributes is defined.

All are as `locate_function` says it: `, at shop/plugin.py:12`.
"""

import inspect
from typing import Any

import pluggy
from flask import Flask
from sqlalchemy import Table
from werkzeug.routing import Rule

from pegboard.plugins.contributions import call_hook, place_of
from pegboard.plugins.discovery import Candidate
from pegboard.plugins.origin import (
    is_place_in,
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
    elif isinstance(part, type):
        place = locate_class(part, member)
    else:
        place = locate_function(part)
    is_own = is_place_in(place, plugin.package)
    return place if is_own else place_of(manager, plugin.name, hook)


def locate_route(
    manager: pluggy.PluginManager, plugin: Candidate, hook: str, app: Flask, rule: Rule
) -> str:
    """Return where the view of a plugin's route is defined, or the hook that has added it."""
    view = app.view_functions.get(rule.endpoint)
    whole = inspect.unwrap(view) if view is not None else None
    return locate_part(manager, plugin, hook, getattr(whole, "view_class", whole))


def refused_blueprint(
    manager: pluggy.PluginManager, plugin: Candidate, name: str, error: BaseException
) -> Problem:
    """Return the problem of a blueprint that cannot be registered."""
    place = locate_error(error, plugin.package) or place_of(
        manager, plugin.name, "pegboard_blueprints"
    )
    summary = f"its blueprint {name} cannot be registered: {error}{place}"
    return plugin.problem(Code.BLUEPRINT_INVALID, summary, "Fix the blueprint.")
