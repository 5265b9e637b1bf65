"""The hook implementations of the observe plugin."""

import importlib
from collections.abc import Sequence

from flask import Flask, Response

import pegboard
from pegboard.observation import Observer
from pegboard_observe.folder import folder
from pegboard_observe.metrics import EXTENSION, Metrics
from pegboard_observe.problems import Code
from pegboard_observe.settings import ObserveSettings

_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@pegboard.hookimpl(pegboard.hookspec.pegboard_settings)
def pegboard_settings() -> type[ObserveSettings]:
    """Declare the settings."""
    return ObserveSettings


@pegboard.hookimpl(pegboard.hookspec.pegboard_setup)
def pegboard_setup(app: Flask) -> None:
    """Make the metrics, and serve them if the operator wants that."""
    metrics = app.extensions[EXTENSION] = Metrics(app, folder())
    if pegboard.get_settings(ObserveSettings, app).public:

        def show() -> Response:
            """Return the metrics in the text format of Prometheus."""
            return Response(metrics.render(), content_type=_TYPE)

        app.add_url_rule("/metrics", "observe_metrics", show)


@pegboard.hookimpl(pegboard.hookspec.pegboard_observers)
def pegboard_observers(app: Flask) -> Sequence[Observer]:
    """Count every request, and make traces if the operator wants that."""
    metrics: Metrics = app.extensions[EXTENSION]
    if pegboard.get_settings(ObserveSettings, app).traces:
        return [metrics.requests, _traces(app)]
    return [metrics.requests]


def _traces(app: Flask) -> Observer:
    """Return what makes traces, of packages that need not be installed."""
    try:
        module = importlib.import_module("pegboard_observe.traces")
        traces: Observer = module.Traces(app)
    except (ImportError, ValueError) as error:
        code = Code.TRACES_IMPOSSIBLE
        summary = f"there can be no traces: {error}"
        raise pegboard.StartupError([pegboard.Problem(code, summary, code.hint)]) from error
    return traces


@pegboard.hookimpl(pegboard.hookspec.pegboard_metrics)
def pegboard_metrics(app: Flask) -> bytes:
    """Return the metrics of all processes, for the management port."""
    metrics: Metrics = app.extensions[EXTENSION]
    return metrics.render()
