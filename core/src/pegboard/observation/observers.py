"""Tells observers of every request of an app."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
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
Note = Callable[[float, float], object]
"""What an observer's `part` returns."""

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
        self._ends_of_others: tuple[Callable[[Any], None], ...] = ()
        """Those but for the log of requests."""
        self.is_told_of_begins = False
        """Whether `begin` does anything."""
        self._statements: tuple[Callable[..., None], ...] = ()
        self._parts: tuple[Callable[[Part], Note | None], ...] = ()
        self._notes: dict[Part, list[Note]] = {}
        self.stage_share = 0.0
        """The share of the requests whose stages any wants to have measured."""
        self._failed: set[Callable[..., object]] = set()

    def install(self, observers: Iterable[Observer]) -> None:
        """Tell these from now on, in this order."""
        found = [*observers]
        self._begins = tuple(one.begin for one in found if type(one).begin is not Observer.begin)
        self._ends = tuple(one.end for one in found)
        self._ends_of_others = tuple(one.end for one in found if not isinstance(one, AccessLog))
        self.is_told_of_begins = bool(self._begins)
        self._statements = tuple(one.statement for one in found if _has(one, "statement"))
        measuring = [one for one in found if _has(one, "part")]
        self._parts = tuple(one.part for one in measuring)
        shares = (getattr(one, "stage_share", Observer.stage_share) for one in measuring)
        self.stage_share = max(shares, default=0.0)

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
        is_logged = access_logger.isEnabledFor(logging.INFO)
        ends = self._ends if is_logged else self._ends_of_others
        if not ends:
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
            status,
            size,
            perf_counter() - started,
            environ.get(CACHED_KEY),
        )
        for end in ends:
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

    def timed(
        self, part: Part, function: Callable[..., T], *, stands_for: float = 1.0
    ) -> Callable[..., T]:
        """Return a function that also tells how long each call takes, if that is wanted.

        A call stands for so many runs of the part.
        """
        notes = self._notes_of(part)
        if not notes:
            return function

        def run(*args: Any) -> T:
            began = perf_counter()
            try:
                return function(*args)
            finally:
                self._tell(notes, perf_counter() - began, stands_for)

        return run

    def timed_async(
        self, part: Part, function: Callable[..., Awaitable[T]], *, stands_for: float = 1.0
    ) -> Callable[..., Awaitable[T]]:
        """Return what `timed` does, of an async function."""
        notes = self._notes_of(part)
        if not notes:
            return function

        async def run(*args: Any) -> T:
            began = perf_counter()
            try:
                return await function(*args)
            finally:
                self._tell(notes, perf_counter() - began, stands_for)

        return run

    def _tell(self, notes: Iterable[Note], seconds: float, stands_for: float) -> None:
        for note in notes:
            try:
                note(seconds, stands_for)
            except PLUGIN_FAULTS as error:
                self._report(note, error)

    def _notes_of(self, part: Part) -> Sequence[Note]:
        """Return what is told of the runs of a part."""
        if part not in self._notes:
            found: list[Note] = []
            for ask in self._parts:
                try:
                    note = ask(part)
                except PLUGIN_FAULTS as error:
                    self._report(ask, error)
                else:
                    found += [] if note is None else [note]
            self._notes.setdefault(part, found)
        return self._notes[part]

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
