"""Collecting the stages of an app: the core's own and those of plugins, each checked."""

from typing import Any

from flask import Flask

from pegboard.app.hook_calls import call_with_app
from pegboard.cache import CacheStage, get_cache
from pegboard.callables import answers_at_once
from pegboard.plugins import (
    Collision,
    Plugin,
    Registry,
    locate_part,
    settle,
    titled,
)
from pegboard.problems import Code, PluginError, Problem
from pegboard.redis import get_channel
from pegboard.settings import CoreSettings, get_settings
from pegboard.stages import Stage, Stages, init_stages
from pegboard.start_times import timed


def add_stages(app: Flask) -> Stages:
    """Put the middleware that runs stages around Flask; it has no stages yet.

    It comes before the middleware of plugins, which is thus around it, and may refuse a request
    that a stage would answer.
    """
    threads = get_settings(CoreSettings, app).threads
    stages = Stages(app, app.wsgi_app, get_channel(app), at_once=threads)
    init_stages(app, stages)
    app.wsgi_app = stages  # type: ignore[method-assign]  # Flask's way to add middleware
    return stages


@timed("stages")
def install_stages(stages: Stages, app: Flask, assembled: Registry) -> None:
    """Let the middleware run the stages of the core and of all plugins.

    Raises `PluginError` for invalid stages, and for those with the order or name of another.
    """
    found = _collect(app, assembled, CacheStage(get_cache(app)))
    owners = {stage.name: plugin.name for stage, plugin in found if plugin is not None}
    stages.install((stage for stage, _ in found), owners)


def _collect(app: Flask, assembled: Registry, *own: Stage) -> list[tuple[Stage, Plugin | None]]:
    stages: list[tuple[Stage, Plugin | None]] = [(stage, None) for stage in own]
    problems: list[Problem] = []
    collisions: list[Collision] = []
    for plugin in assembled.implementing("pegboard_stages"):
        for result in call_with_app(app, assembled, plugin, "pegboard_stages"):
            for stage in result:
                if problem := _stage_problem(stage):
                    summary, hint = problem
                    summary += _place(assembled, stage, plugin)
                    problems.append(plugin.problem(Code.STAGE_INVALID, summary, hint))
                    continue
                found = (
                    _collision(assembled, stage, plugin, other, owner) for other, owner in stages
                )
                collisions += filter(None, found)
                stages.append((stage, plugin))
    failed = {problem.plugin or "" for problem in problems}
    if problems := [*problems, *settle(collisions, assembled.skippable, failed)]:
        raise PluginError(*dict.fromkeys(problems))  # a stage may be returned three times
    return stages


def _stage_problem(stage: Any) -> tuple[str, str] | None:
    """Return what is wrong with a stage, and the hint."""
    if isinstance(stage, type):
        return f"its stage {stage.__name__} is a class", f"Return {stage.__name__}(), an object."
    name, order = getattr(stage, "name", None), getattr(stage, "order", None)
    if not isinstance(name, str) or not name:
        kind = type(stage).__name__
        return f"its stage {kind} has no name", "Give it a `name`, a text that is not empty."
    if not isinstance(order, int) or isinstance(order, bool):
        summary = f"its stage {name} has no place: its order is {order!r}"
        return summary, "Give it an `order`, a number."
    if not answers_at_once(getattr(stage, "bind", None), lambda _route: None):
        hint = "Give it a plain method `bind(route)`, which returns a handler or None."
        return f"its stage {name} cannot be bound to routes", hint
    return None


def _place(assembled: Registry, stage: Any, plugin: Plugin | None) -> str:
    """Return where a plugin has a stage; empty for one of the core."""
    if plugin is None:
        return ""
    kind = stage if isinstance(stage, type) else type(stage)
    return locate_part(assembled.manager, plugin, "pegboard_stages", kind)


def _collision(
    assembled: Registry, stage: Stage, plugin: Plugin, other: Stage, owner: Plugin | None
) -> Collision | None:
    """Return the collision of a plugin's stage with another, of the core or a plugin."""
    earlier_summary: str | None = None
    if other is stage and owner is plugin:
        later_summary = f"it returns its stage {stage.name} twice"
        change = "Return it once"
    elif other.order == stage.order:
        later_summary = f"its stage {stage.name} has the place {stage.order} of {other.name}"
        earlier_summary = f"its stage {other.name} has the place {stage.order} of {stage.name}"
        change = "Give its `order` another number in {name}"
    elif other.name == stage.name:
        later_summary = f"its stage {stage.name} has the name of a stage of {titled(owner)}"
        earlier_summary = f"its stage {stage.name} has the name of a stage of {titled(plugin)}"
        change = "Give it another `name` in {name}"
    else:
        return None
    return Collision(
        Code.COLLISION_STAGE,
        plugin,
        owner,
        later_summary,
        earlier_summary,
        change=change,
        later_place=_place(assembled, stage, plugin),
        earlier_place=_place(assembled, other, owner),
    )
