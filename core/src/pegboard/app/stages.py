"""Collecting the stages of an app: the core's own and those of plugins, each checked."""

from collections.abc import Iterable, Sequence
from typing import Any

from flask import Flask

from pegboard.cache import CacheStage, get_cache
from pegboard.plugins import Registry, call_plugin
from pegboard.problems import Code, PluginError
from pegboard.redis import get_channel
from pegboard.stages import Stage, Stages


def add_stages(app: Flask) -> Stages:
    """Put the middleware that runs stages around Flask; it has no stages yet.

    It comes before the middleware of plugins, which is thus around it, and may refuse a request
    that a stage would answer.
    """
    stages = Stages(app, app.wsgi_app, get_channel(app))
    app.wsgi_app = stages  # type: ignore[method-assign]  # Flask's way to add middleware
    return stages


def install_stages(stages: Stages, app: Flask, assembled: Registry) -> None:
    """Let the middleware run the stages of the core and of all plugins.

    Raises `PluginError` for an invalid stage, or for the order or name of another.
    """
    stages.install(_collect(app, assembled, CacheStage(get_cache(app))))


def _collect(app: Flask, assembled: Registry, *own: Stage) -> list[Stage]:
    stages = list(own)
    for plugin in assembled.plugins:
        for result in call_plugin(assembled.manager, plugin, "pegboard_stages", app=app):
            if not isinstance(result, Iterable):
                summary = f"pegboard_stages returned {type(result).__name__}"
                hint = "Return a list of stages."
                raise PluginError(plugin.problem(Code.HOOK_RESULT_INVALID, summary, hint))
            for stage in result:
                if problem := _stage_problem(stage, stages):
                    raise PluginError(plugin.problem(*problem))
                stages.append(stage)
    return stages


def _stage_problem(stage: Any, others: Sequence[Stage]) -> tuple[Code, str, str] | None:
    """Return the code of what is wrong with a stage, the summary and the hint."""
    name, order = getattr(stage, "name", None), getattr(stage, "order", None)
    if not isinstance(name, str) or not name:
        kind = type(stage).__name__
        hint = "Give it a `name`, a text that is not empty."
        return Code.STAGE_INVALID, f"its stage {kind} has no name", hint
    if not isinstance(order, int) or isinstance(order, bool):
        summary = f"its stage {name} has no place: its order is {order!r}"
        return Code.STAGE_INVALID, summary, "Give it an `order`, a number."
    if not callable(getattr(stage, "bind", None)):
        hint = "Give it `bind(route)`, which returns a handler or None."
        return Code.STAGE_INVALID, f"its stage {name} cannot be bound to routes", hint
    for other in others:
        if other.order == order:
            summary = f"its stage {name} has the place {order} of {other.name}"
            return Code.COLLISION_STAGE, summary, "Give its `order` another number."
        if other.name == name:
            summary = f"it has a second stage of the name {name}"
            return Code.COLLISION_STAGE, summary, "Give it another `name`."
    return None
