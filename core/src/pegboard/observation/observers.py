"""Tells observers of every request of an app."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

from flask import Flask

from pegboard.extensions import get_extension
from pegboard.http import CACHED_KEY
from pegboard.logs import trace_id
from pegboard.observation.access_log import AccessLog
from pegboard.observation.access_log import logger as access_logger
from pegboard.observation.contract import CORE, Observation, Observer, Part
from pegboard.problems import PLUGIN_FAULTS
from pegboard.stages import MATCH, Match, Route

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

logger = logging.getLogger(__name__)

T = TypeVar("T")

_EXTENSION = "pegboard.observers"


class Observers:
    """The observers of one app."""

    def __init__(self, owner: Callable[[Route], str], packages: Mapping[str, str]) -> None:
        """`owner` returns the plugin of a route, and `packages` has plugins by their packages."""
        self._owner = owner
        self._packages = packages
        self._plugins: dict[int, tuple[Route, str]] = {}
        self._begins: tuple[Callable[[Any], None], ...] = ()
        self._ends: tuple[Callable[[Any], None], ...] = ()
        self.is_told_of_begins = False
        """Whether `begin` does anything."""
        self._is_log_alone = True
        self._statements: tuple[Callable[..., None], ...] = ()
        self._parts: tuple[Callable[[Part], Callable[[float], object] | None], ...] = ()
        self._failed: set[Callable[..., object]] = set()

    def install(self, observers: Iterable[Observer]) -> None:
        """Tell these from now on, in this order."""
        found = [*observers]
        self._begins = tuple(one.begin for one in found if type(one).begin is not Observer.begin)
        self._ends = tuple(one.end for one in found)
        self.is_told_of_begins = bool(self._begins)
        self._is_log_alone = all(type(one) is AccessLog for one in found)
        self._statements = tuple(one.statement for one in found if _has(one, "statement"))
        self._parts = tuple(one.part for one in found if _has(one, "part"))

    @property
    def want_statements(self) -> bool:
        """Whether any is told of statements."""
        return bool(self._statements)

    @property
    def want_parts(self) -> bool:
        """Whether any may be told of parts."""
        return bool(self._parts)

    def begin(self, environ: "WSGIEnvironment") -> None:
        """Tell of a request that begins."""
        for begin in self._begins:
            try:
                begin(environ)
            except PLUGIN_FAULTS as error:
                self._report(begin, error)

    def end(self, environ: "WSGIEnvironment", status: int, size: int, started: float) -> None:
        """Tell of an answer; `started` is the `time.perf_counter` of the request's beginning."""
        if self._is_log_alone and not access_logger.isEnabledFor(logging.INFO):
            return
        match: Match | None = environ.get(MATCH)
        route, plugin = None, CORE
        if match is not None and (route := match.route) is not None:
            known = self._plugins.get(id(route))
            plugin = self._plugin(route) if known is None else known[1]
        observation = Observation(
            environ,
            route,
            plugin,
            (status, size, perf_counter() - started),
            is_cached=environ.get(CACHED_KEY),
        )
        for end in self._ends:
            try:
                end(observation)
            except PLUGIN_FAULTS as error:
                self._report(end, error)

    def note_statement(self, text: str, seconds: float, error: BaseException | None) -> None:
        """Tell of a statement that has ended."""
        for note in self._statements:
            try:
                note(text, seconds, error)
            except PLUGIN_FAULTS as failure:
                self._report(note, failure)

    def timed(self, part: Part, function: Callable[..., T]) -> Callable[..., T]:
        """Return a function that also tells how long each call takes, if that is wanted."""
        note = self._note_of(part)
        if note is None:
            return function

        def run(*args: Any) -> T:
            began = perf_counter()
            try:
                return function(*args)
            finally:
                # Here, as one more call for each part costs a cached answer 1 % of its time.
                try:
                    note(perf_counter() - began)
                except PLUGIN_FAULTS as error:
                    self._report(note, error)

        return run

    def timed_async(
        self, part: Part, function: Callable[..., Awaitable[T]]
    ) -> Callable[..., Awaitable[T]]:
        """Return a function that also tells how long each call takes, if that is wanted."""
        note = self._note_of(part)
        if note is None:
            return function

        async def run(*args: Any) -> T:
            began = perf_counter()
            try:
                return await function(*args)
            finally:
                try:
                    note(perf_counter() - began)
                except PLUGIN_FAULTS as error:
                    self._report(note, error)

        return run

    def _note_of(self, part: Part) -> Callable[[float], object] | None:
        """Return what tells how long a run of a part took; None if nobody wants to know."""
        found: list[Callable[[float], object]] = []
        for ask in self._parts:
            try:
                note = ask(part)
            except PLUGIN_FAULTS as error:
                self._report(ask, error)
            else:
                found += [] if note is None else [note]
        if len(found) < 2:  # noqa: PLR2004 - more than one
            return found[0] if found else None

        def note_all(seconds: float) -> None:
            for note in found:
                try:
                    note(seconds)
                except PLUGIN_FAULTS as error:
                    self._report(note, error)

        return note_all

    def _plugin(self, route: Route) -> str:
        plugin = self._owner(route)
        # With the route, so that no other gets its id.
        self._plugins[id(route)] = route, plugin
        return plugin

    def _report(self, function: Callable[..., object], error: BaseException) -> None:
        if function in self._failed:
            return
        self._failed.add(function)
        module = getattr(function, "__module__", None) or ""
        logger.error(
            "the observer %s of plugin %s has failed; further errors of it are not logged",
            getattr(function, "__qualname__", function),
            self._packages.get(module.partition(".")[0], module),
            exc_info=error,
        )


def _has(observer: Observer, name: str) -> bool:
    """Return whether an observer has a method of its own; it need not inherit from `Observer`."""
    return getattr(type(observer), name, None) not in {None, getattr(Observer, name)}


def set_trace_id(identifier: str) -> None:
    """Have the log lines of the current request tell this trace id, from `begin` of an observer."""
    trace_id.set(identifier)


def init_observers(app: Flask, observers: Observers) -> None:
    """Give the app its observers."""
    app.extensions[_EXTENSION] = observers


def get_observers(app: Flask | None = None) -> Observers:
    """Return the observers of the app, by default of the current app."""
    observers: Observers = get_extension(app, _EXTENSION, "get_observers(app)")
    return observers
