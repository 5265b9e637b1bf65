"""The stages of an app: the core's own, and those that plugins hang, each checked."""

from collections.abc import Iterable, Sequence
from typing import Any

from flask import Flask

from pegboard.plugins import Registry, call_plugin
from pegboard.problems import PluginError
from pegboard.stages import Stage


def collect_stages(app: Flask, assembled: Registry, *own: Stage) -> list[Stage]:
    """Return the core's own stages and those of all plugins.

    Raises `PluginError` for one that is not as it should be, or has the place or name of another.
    """
    stages = list(own)
    for plugin in assembled.plugins:
        for result in call_plugin(assembled.manager, plugin, "pegboard_stages", app=app):
            if not isinstance(result, Iterable):
                summary = f"pegboard_stages returned {type(result).__name__}"
                raise PluginError(plugin.problem(summary, "Return a list of stages."))
            for stage in result:
                if problem := _stage_problem(stage, stages):
                    raise PluginError(plugin.problem(*problem))
                stages.append(stage)
    return stages


def _stage_problem(stage: Any, others: Sequence[Stage]) -> tuple[str, str] | None:
    """Return what is wrong with a stage, and the hint."""
    name, order = getattr(stage, "name", None), getattr(stage, "order", None)
    if not isinstance(name, str) or not name:
        kind = type(stage).__name__
        return f"its stage {kind} has no name", "Give it a `name`, a text that is not empty."
    if not isinstance(order, int) or isinstance(order, bool):
        return (
            f"its stage {name} has no place: its order is {order!r}",
            "Give it an `order`, a number.",
        )
    if not callable(getattr(stage, "bind", None)):
        hint = "Give it `bind(route)`, which returns a handler or None."
        return f"its stage {name} cannot be bound to routes", hint
    for other in others:
        if other.order == order:
            summary = f"its stage {name} has the place {order} of {other.name}"
            return summary, "Give its `order` another number."
        if other.name == name:
            return f"it has a second stage of the name {name}", "Give it another `name`."
    return None
