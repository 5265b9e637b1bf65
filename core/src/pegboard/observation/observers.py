"""Tells observers of every request of an app."""

import logging
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from flask import Flask

from pegboard.extensions import get_extension
from pegboard.http import CACHED_KEY
from pegboard.observation.contract import CORE, Observation, Observer
from pegboard.stages import MATCH, Match, Route

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

logger = logging.getLogger(__name__)

_EXTENSION = "pegboard.observers"


class Observers:
    """The observers of one app."""

    def __init__(self, owner: Callable[[Route], str]) -> None:
        """`owner` returns the name of the plugin whose route it is."""
        self._owner = owner
        self._plugins: dict[int, tuple[Route, str]] = {}
        self._begins: tuple[Callable[[Any], None], ...] = ()
        self._ends: tuple[Callable[[Any], None], ...] = ()
        self._failed: set[Callable[[Any], None]] = set()

    def install(self, observers: Iterable[Observer]) -> None:
        """Tell these from now on, in this order."""
        found = [*observers]
        self._begins = tuple(one.begin for one in found if type(one).begin is not Observer.begin)
        self._ends = tuple(one.end for one in found)

    def begin(self, environ: "WSGIEnvironment") -> None:
        """Tell of a request that begins."""
        for begin in self._begins:
            try:
                begin(environ)
            except Exception as error:  # noqa: BLE001 - an observer is a plugin's
                self._report(begin, error)

    def end(self, environ: "WSGIEnvironment", status: int, size: int, started: float) -> None:
        """Tell of an answer; `started` is the `time.perf_counter` of the request's beginning."""
        match: Match | None = environ.get(MATCH)
        route, plugin = None, CORE
        if match is not None and (route := match.route) is not None:
            known = self._plugins.get(id(route))
            plugin = self._plugin(route) if known is None else known[1]
        observation = Observation(
            environ,
            route,
            plugin,
            (status, size, time.perf_counter() - started),
            is_cached=environ.get(CACHED_KEY),
        )
        for end in self._ends:
            try:
                end(observation)
            except Exception as error:  # noqa: BLE001 - an observer is a plugin's
                self._report(end, error)

    def _plugin(self, route: Route) -> str:
        plugin = self._owner(route)
        # With the route, so that no other gets its id.
        self._plugins[id(route)] = route, plugin
        return plugin

    def _report(self, function: Callable[[Any], None], error: Exception) -> None:
        if function not in self._failed:
            self._failed.add(function)
            logger.error(
                "an observer has failed; further errors of it are not logged", exc_info=error
            )


def init_observers(app: Flask, observers: Observers) -> None:
    """Give the app its observers."""
    app.extensions[_EXTENSION] = observers


def get_observers(app: Flask | None = None) -> Observers:
    """Return the observers of the app, by default of the current app."""
    observers: Observers = get_extension(app, _EXTENSION, "get_observers(app)")
    return observers
