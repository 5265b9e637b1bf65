"""Warnings of statements and stages that take long, each with its plugin, route and request."""

import logging
import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from types import FrameType
from typing import TYPE_CHECKING

from pegboard.observation.contract import CORE, Observation, Observer, Part
from pegboard.observation.statement_text import statement_text
from pegboard.stages import MATCH, Match, Route

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

logger = logging.getLogger("pegboard.slow")

_current: "ContextVar[WSGIEnvironment | None]" = ContextVar("pegboard_slow_log", default=None)


class SlowLog(Observer):
    """An observer that warns of what takes long."""

    def __init__(
        self,
        owner: Callable[[Route], str],
        packages: Mapping[str, str],
        *,
        statement: float,
        stage: float,
    ) -> None:
        """Warn from so many seconds on, for a statement and for a stage; 0 is never.

        `owner` returns the plugin of a route, and `packages` has plugins by their import packages.
        """
        self._owner = owner
        self._packages = packages
        self._statement = statement
        self._stage = stage
        self.stage_share = 1.0 if stage > 0 else 0.0

    def begin(self, environ: "WSGIEnvironment", /) -> None:
        """Know the request."""
        _current.set(environ)

    def end(self, _observation: Observation, /) -> None:
        """Forget it."""
        _current.set(None)

    def statement(self, text: str, seconds: float, error: BaseException | None, /) -> None:
        """Warn of a statement, if it has taken long."""
        if not 0 < self._statement <= seconds:
            return
        route = _route()
        plugin = self._plugin_of(sys._getframe()) or self._plugin_at(route)  # noqa: SLF001 - documented
        short = statement_text(text)
        failed = "" if error is None else f", and failed with {type(error).__name__}"
        logger.warning(
            "slow statement of %s%s: %.3f s%s: %s",
            plugin,
            _at(route),
            seconds,
            failed,
            short,
            extra={**_fields(plugin, route, seconds), "statement": short},
        )

    def part(self, part: Part, /) -> Callable[[float, float], None] | None:
        """Return what warns of a stage or a hook, if it has taken long."""
        if self._stage <= 0:
            return None

        def note(seconds: float, _stands_for: float) -> None:
            if seconds < self._stage:
                return
            route = _route()
            logger.warning(
                "slow %s %s of %s%s: %.3f s",
                part.kind,
                part.name,
                part.plugin,
                _at(route),
                seconds,
                extra={**_fields(part.plugin, route, seconds), part.kind.value: part.name},
            )

        return note

    def _plugin_of(self, frame: FrameType | None) -> str | None:
        """Return the plugin whose code executes the statement."""
        while frame is not None:
            package = str(frame.f_globals.get("__name__")).partition(".")[0]
            if package in self._packages:
                return self._packages[package]
            frame = frame.f_back
        return None

    def _plugin_at(self, route: Route | None) -> str:
        return CORE if route is None else self._owner(route)


def _route() -> Route | None:
    environ = _current.get()
    match: Match | None = None if environ is None else environ.get(MATCH)
    return None if match is None else match.route


def _at(route: Route | None) -> str:
    return "" if route is None else f" at {route.method} {route.rule.rule}"


def _fields(plugin: str, route: Route | None, seconds: float) -> dict[str, object]:
    return {
        "plugin": plugin,
        "method": None if route is None else route.method,
        "route": None if route is None else route.rule.rule,
        "seconds": round(seconds, 6),
    }
