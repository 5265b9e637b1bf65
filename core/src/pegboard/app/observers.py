"""Collecting the observers of an app: the log of requests, and those of plugins."""

from flask import Flask

from pegboard.app.hook_calls import call_with_app
from pegboard.clients import get_clients
from pegboard.observation import CORE, AccessLog, Observer, Observers, SlowLog, init_observers
from pegboard.plugins import Registry
from pegboard.settings import CoreSettings
from pegboard.stages import Route
from pegboard.start_times import timed


@timed("observers")
def add_observers(app: Flask, core: CoreSettings, assembled: Registry) -> Observers:
    """Give the app its observers. Raises `PluginError` for a plugin that fails."""

    def owner(route: Route) -> str:
        module = getattr(route.function, "__module__", None) or ""
        plugin = assembled.owner_of(route.endpoint, module)
        return CORE if plugin is None else plugin.name

    observers = Observers(owner, assembled.packages)
    found: list[Observer] = [AccessLog(get_clients(app), core.access_log_share)]
    if core.slow_statement or core.slow_stage:
        limits = {"statement": core.slow_statement, "stage": core.slow_stage}
        found.append(SlowLog(owner, assembled.packages, **limits))
    for plugin in assembled.implementing("pegboard_observers"):
        for result in call_with_app(app, assembled, plugin, "pegboard_observers"):
            found += result
    observers.install(found)
    init_observers(app, observers)
    return observers
