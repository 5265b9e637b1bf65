"""Finds the route that a request matches and the handlers bound to it, and remembers them."""

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from flask import Flask
from werkzeug.exceptions import HTTPException
from werkzeug.routing import BaseConverter, RequestRedirect, Rule, UUIDConverter
from werkzeug.routing.converters import NumberConverter

from pegboard.annotations import cache_control_of
from pegboard.http import METHODS
from pegboard.problems import PLUGIN_FAULTS
from pegboard.stages.contract import (
    Call,
    FastPath,
    Handler,
    Route,
    Stage,
    fast_path_of,
    route_of,
)
from pegboard.stages.guards import has_after_hooks, scopes
from pegboard.stages.waiting import Exchange

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_IMMUTABLE = frozenset({str, int, float, uuid.UUID})
_BUILTIN_CONVERTERS = frozenset(
    {BaseConverter.to_python, NumberConverter.to_python, UUIDConverter.to_python, int, float}
)
"""Converter functions that are no plugin's: they always convert a text to the same value."""

_REMEMBERED_PATHS = 16_384
_REMEMBERED_LENGTH = 200

EXEMPT_BLUEPRINTS = frozenset({"docs", "health", "openapi", "start_page"})
"""Names of the blueprints that no stage sees: health, the OpenAPI document and its page, and `/`.

An orchestrator's health check and the documentation are never refused or delayed by a stage.
"""


@dataclass(frozen=True, slots=True)
class Match:
    """What requests of one method and path have in common."""

    route: Route | None
    arguments: Mapping[str, Any]
    handlers: tuple[Handler, ...]
    measured: tuple[Handler, ...]
    """The same, but they tell how long they take where somebody wants to know."""
    stages: tuple[str, ...]
    """The names of the handlers' stages."""
    non_blocking: tuple[Callable[[], bool] | None, ...]
    """What says of each handler whether it would not wait now; None where a thread runs it."""
    passes_flask: bool
    """Whether `after_request` functions of plugins have to see a stage's answer."""
    propagates: bool
    """Whether an exception of a stage is raised to the caller, as in tests, and not answered."""
    cache_control: str | None = None
    """The `Cache-Control` that the view's author has set for its answers."""
    fast_path: FastPath | None = None
    """What answers usual requests in place of the view."""
    why_ordinary: str | None = None
    """Why nothing does; None if there is a fast path."""
    route_cache: dict[str, Any] = field(default_factory=dict)
    """See `Call.route_cache`."""


class _Failed:
    """Stands for the handler of a stage that could not be bound: raises why, at one request."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def prepare(self, _call: Call) -> NoReturn:
        raise self._error

    def complete(self, _call: Call, _replies: object) -> None: ...


@dataclass(frozen=True)
class Measuring:
    """How it is told how long stages take, where that is wanted."""

    share: float
    """The share of the requests whose stages are measured."""
    handler: Callable[[Stage, Handler], Handler]
    """Returns a handler that tells how long its steps take."""
    exchange: Callable[[Exchange], Exchange]
    """Returns an exchange that tells how long it takes."""


class Matches:
    """The matches of one app."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._adapter = app.url_map.bind("")
        self.stages: list[Stage] = []
        """The stages in their order."""
        self.measuring: Measuring | None = None
        self._routes: dict[tuple[int, str] | None, Match] = {}
        self._matches: dict[str, dict[str, Match]] = {method: {} for method in METHODS}

    def install(self, stages: Iterable[Stage]) -> None:
        """Bind these stages from now on, in place of any earlier ones."""
        self.stages = sorted(stages, key=lambda stage: stage.order)
        self._routes.clear()
        for remembered in self._matches.values():
            remembered.clear()

    def find(self, environ: "WSGIEnvironment") -> Match:
        """Return what a request matches."""
        method = environ["REQUEST_METHOD"]
        path = environ.get("PATH_INFO", "")
        if (match := self._matches.get(method, {}).get(path)) is not None:
            return match
        rule, arguments = self._search(method, path)
        bound = self._routes.get(_key(rule, method)) or self._bind(rule, method)
        return self._remember(method, path, bound, arguments)

    def recall(self, environ: "WSGIEnvironment") -> Match | None:
        """Return what a request matches; None if code of a plugin would have to be run."""
        method = environ["REQUEST_METHOD"]
        path = environ["PATH_INFO"]
        remembered = self._matches.get(method)
        if remembered is None:
            return None
        match = remembered.get(path)
        if match is not None or not self._is_builtin:
            return match
        rule, arguments = self._search(method, path)
        bound = self._routes.get(_key(rule, method))
        return bound and self._remember(method, path, bound, arguments)

    @cached_property
    def _is_builtin(self) -> bool:
        """Whether the search for a route runs no converter of a plugin."""
        return all(_is_builtin(rule) for rule in self._app.url_map.iter_rules())

    def _search(self, method: str, path: str) -> tuple[Rule | None, Mapping[str, Any]]:
        text = path if path.isascii() else path.encode("latin1").decode(errors="replace")
        try:
            return self._adapter.match(text, method, return_rule=True)
        except (HTTPException, RequestRedirect):
            return None, {}

    def _bind(self, rule: Rule | None, method: str) -> Match:
        """Return what requests of one method that match a rule have in common."""
        route = None if rule is None else route_of(self._app, rule, method)
        bound: dict[str, Handler] = {}
        measured: list[Handler] = []
        has_failed, measuring = False, self.measuring
        if route is None or route.blueprint not in EXEMPT_BLUEPRINTS:
            for stage in self.stages:
                try:
                    handler = stage.bind(route)
                    if handler is None:
                        continue
                    timed = None if measuring is None else measuring.handler(stage, handler)
                except PLUGIN_FAULTS as error:  # the run of the stages reports it
                    handler = timed = _Failed(error)
                    has_failed = True
                bound[stage.name] = handler
                measured.append(timed or handler)
        endpoint = None if route is None else route.endpoint
        passes_flask = has_after_hooks(self._app, endpoint)
        fast_path = "no route matches" if route is None else self._fast_path(route)
        match = Match(
            route,
            {},
            handlers=tuple(bound.values()),
            measured=tuple(measured),
            stages=tuple(bound),
            non_blocking=tuple(getattr(one, "is_non_blocking", None) for one in bound.values()),
            passes_flask=passes_flask,
            propagates=bool(self._app.config["PROPAGATE_EXCEPTIONS"]),
            cache_control=None if route is None else self._cache_control(route),
            fast_path=None if isinstance(fast_path, str) else fast_path,
            why_ordinary=fast_path if isinstance(fast_path, str) else None,
        )
        # The next request binds again what has failed.
        return match if has_failed else self._routes.setdefault(_key(rule, method), match)

    def _fast_path(self, route: Route) -> FastPath | str:
        """Return what may answer in place of the view; else why only the view does."""
        bind = fast_path_of(route.function)
        if bind is None:
            return "the view is not that of a resource's operation, or is decorated"
        # Flask itself answers OPTIONS, which Werkzeug matches with the view of another method.
        if route.method == "OPTIONS":
            return "Flask answers OPTIONS"
        if route.has_before_hooks:
            return "code of a plugin runs before or around the view"
        if has_after_hooks(self._app, route.endpoint):
            return "code of a plugin runs after the view"
        return bind(self._app, route)

    def _cache_control(self, route: Route) -> str | None:
        """Return what `cache_control` says of a method, its class, or the nearest blueprint."""
        names = reversed(scopes(route.endpoint)[1:])
        blueprints = [self._app.blueprints.get(name or "") for name in names]
        view_class = getattr(route.view, "view_class", None)
        said = map(cache_control_of, (route.function, route.view, view_class, *blueprints))
        return next((control for control in said if control is not None), None)

    def _remember(
        self, method: str, path: str, bound: Match, arguments: Mapping[str, Any]
    ) -> Match:
        if bound.route is None:
            return bound
        match = replace(bound, arguments=arguments, route_cache={})
        if (
            method in self._matches
            and bound is self._routes.get(_key(bound.route.rule, method))
            and len(path) <= _REMEMBERED_LENGTH
            and _is_repeatable(bound.route.rule, arguments)
        ):
            remembered = self._matches[method]
            if len(remembered) >= _REMEMBERED_PATHS:
                remembered.clear()
            remembered[path] = match
        return match


def _key(rule: Rule | None, method: str) -> tuple[int, str] | None:
    return None if rule is None else (id(rule), method)


def _is_repeatable(rule: Rule, arguments: Mapping[str, Any]) -> bool:
    """Return whether other requests of the same path can share the arguments: all immutable."""
    return all(type(value) in _IMMUTABLE for value in arguments.values()) and _is_builtin(rule)


def _is_builtin(rule: Rule) -> bool:
    """Return whether none of a rule's converters is a plugin's.

    Such a converter may look something up, or return something mutable.
    """
    return all(
        getattr(converter.to_python, "__func__", None) in _BUILTIN_CONVERTERS
        and getattr(converter, "num_convert", int) in _BUILTIN_CONVERTERS
        for converter in rule._converters.values()  # noqa: SLF001 - nothing public tells them
    )
