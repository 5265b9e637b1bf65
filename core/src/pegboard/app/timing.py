"""Measuring what requests pass: statements, stages, and functions of plugins.

Nothing is put between where no observer wants to know.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any

from flask import Flask

from pegboard.changes import time_listeners
from pegboard.clients import time_identity
from pegboard.database import db, time_statements
from pegboard.observation import CORE, Observers, Part, PartKind
from pegboard.plugins import Registry
from pegboard.redis import ChannelError, Command, Reply
from pegboard.stages import Answer, Call, Handler, Measuring, Stage, Stages

_EXCHANGE = Part(PartKind.REDIS, "exchange", CORE)


def measure(app: Flask, observers: Observers, assembled: Registry, stages: Stages) -> None:
    """Have the observers told what they want to know."""
    if observers.want_statements:
        with app.app_context():
            time_statements(db.engine, observers.note_statement)
    if not observers.want_parts:
        return

    def time_hook(plugin: str, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        return observers.timed(Part(PartKind.HOOK, name, plugin), function)

    if observers.stage_share:
        stages.measure(_measuring(observers, stages.owners))
    time_identity(app, time_hook)
    time_listeners(app, time_hook)
    _time_flask(app, assembled, time_hook)


def _measuring(observers: Observers, owners: Mapping[str, str]) -> Measuring:
    share = observers.stage_share
    timed = partial(observers.timed, stands_for=1 / share)

    def handler(stage: Stage, handler: Handler) -> Handler:
        of, plugin = stage.name, owners.get(stage.name, CORE)
        return _TimedHandler(
            timed(Part(PartKind.STAGE, f"{of}.prepare", plugin), handler.prepare),
            timed(Part(PartKind.STAGE, f"{of}.complete", plugin), handler.complete),
        )

    exchange = partial(observers.timed_async, _EXCHANGE, stands_for=1 / share)
    return Measuring(share, handler, exchange)


@dataclass(frozen=True)
class _TimedHandler:
    """The steps of a stage's handler, each of which tells how long it takes."""

    prepare: Callable[[Call], Sequence[Command] | Answer | None]
    complete: Callable[[Call, Sequence[Reply] | ChannelError], Answer | None]


TimeHook = Callable[[str, str, Callable[..., Any]], Callable[..., Any]]


def _time_flask(app: Flask, assembled: Registry, time_hook: TimeHook) -> None:
    """Time what Flask calls before and after views, as far as it is code of plugins."""
    kinds: Mapping[str, Mapping[Any, list[Any]]] = {
        "before_request": app.before_request_funcs,
        "after_request": app.after_request_funcs,
        "teardown_request": app.teardown_request_funcs,
        "url_value_preprocessor": app.url_value_preprocessors,
    }
    for kind, scopes in kinds.items():
        for functions in scopes.values():
            functions[:] = [
                _timed(app, assembled, time_hook, kind, function) for function in functions
            ]


def _timed(
    app: Flask,
    assembled: Registry,
    time_hook: TimeHook,
    kind: str,
    function: Callable[..., Any],
) -> Callable[..., Any]:
    package = (getattr(function, "__module__", None) or "").partition(".")[0]
    plugin = assembled.packages.get(package)
    if plugin is None:
        return function
    name = getattr(function, "__name__", type(function).__name__)

    def call(*args: Any) -> Any:
        return app.ensure_sync(function)(*args)

    timed = time_hook(plugin, f"{kind} {name}", call)
    # Without its attributes, one of which may say that it is async.
    return wraps(function, updated=())(timed)
