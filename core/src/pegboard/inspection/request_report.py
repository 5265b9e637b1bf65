"""What happens to a request of a method and a path, and what its client may expect."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from flask import Flask
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.routing import RequestRedirect

from pegboard.annotations import RateLimit, rate_limit_of
from pegboard.cache import CacheStage, declared_of, get_cache
from pegboard.inspection.expected_answers import (
    ExpectedAnswer,
    answers_of,
    answers_of_stages,
    answers_unmatched,
    operation_of,
)
from pegboard.inspection.guards import GuardReport, guards_of, handler_of
from pegboard.inspection.list_totals import explain_totals
from pegboard.inspection.owners import Owner, Wrapper, describe, owner_of, wrappers_of
from pegboard.redaction import reason_of
from pegboard.stages import EXEMPT_BLUEPRINTS, Match, Route, StageOrder, get_stages

_TRANSACTION = "pegboard.transactional"


@dataclass(frozen=True)
class StageReport:
    """A stage at one route."""

    name: str
    order: int
    owner: Owner
    is_bound: bool
    """Whether it does anything there."""
    explanation: tuple[str, ...]
    """What it does, if it says so."""


@dataclass(frozen=True)
class RequestReport:
    """What happens to a request."""

    method: str
    path: str
    outcome: str
    """The route, or what the client gets where none matches."""
    route: str | None
    endpoint: str | None
    view: str | None
    """Module and name of the function."""
    owner: Owner | None
    arguments: Mapping[str, Any]
    stages: tuple[StageReport, ...]
    limit: str
    is_cached: bool
    cache: str
    """For how long an answer is cached, or why it is not."""
    totals: str | None
    """How a list tells how many rows there are; None for what is no list."""
    guards: tuple[GuardReport, ...]
    transaction: str
    has_fast_path: bool
    path_taken: str
    """Which fast path answers, or why the ordinary view does."""
    answers: tuple[ExpectedAnswer, ...]
    is_documented: bool
    """Whether the answers are those of the OpenAPI document."""

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "method": self.method,
            "path": self.path,
            "outcome": self.outcome,
            "route": self.route,
            "endpoint": self.endpoint,
            "view": self.view,
            "plugin": self.owner and self.owner.name,
            "arguments": {name: str(value) for name, value in self.arguments.items()},
            "stages": [
                {
                    "name": one.name,
                    "order": one.order,
                    "plugin": one.owner.name,
                    "acts": one.is_bound,
                    "explanation": list(one.explanation),
                }
                for one in self.stages
            ],
            "limit": self.limit,
            "cache": {"cached": self.is_cached, "explanation": self.cache},
            "totals": self.totals,
            "guards": [
                {"kind": one.kind, "what": one.what, "plugin": one.owner.name}
                for one in self.guards
            ],
            "transaction": self.transaction,
            "fast_path": {"has": self.has_fast_path, "explanation": self.path_taken},
            "answers": [
                {"status": one.status, "description": one.description, "headers": [*one.headers]}
                for one in self.answers
            ],
            "documented": self.is_documented,
        }


def explain_request(app: Flask, method: str, path: str) -> RequestReport:
    """Return what happens to a request; the path may have a query, which is left out."""
    path = path.partition("?")[0]
    sent = unquote_to_bytes(path)
    stages = get_stages(app)
    with app.app_context():
        match = stages.match(method, sent.decode("latin1"))  # as WSGI has it
        route = match.route
        wrappers = tuple(wrappers_of(app, route.function)) if route else ()
        is_cached, cache = _cache(app, route)
        view = route and app.view_functions[route.endpoint]
        outcome, error = _outcome(app, method, sent.decode(errors="replace"), route)
        guards = tuple(guards_of(app, route, wrappers))
        if route is not None:
            answers = [*answers_of(app, route, match)]
        elif error is not None and (handler := handler_of(app, error)) is not None:
            outcome = f"{outcome}; {handler.what} ({handler.owner}) answers"
            answers = [*answers_of_stages(match)]
        else:
            answers = [*answers_unmatched(outcome), *answers_of_stages(match)]
        return RequestReport(
            method=method,
            path=path,
            outcome=outcome,
            route=route.rule.rule if route else None,
            endpoint=route.endpoint if route else None,
            view=describe(route.function) if route else None,
            owner=owner_of(app, view, route.endpoint) if route and view else None,
            arguments=match.arguments,
            stages=tuple(_stages(app, match)),
            limit=_limit(app, route),
            is_cached=is_cached,
            cache=cache,
            totals=explain_totals(app, route),
            guards=guards,
            transaction=_transaction(route, wrappers),
            has_fast_path=match.fast_path is not None,
            path_taken=(
                match.why_ordinary
                or f"usual requests are answered by {type(match.fast_path).__name__}, without Flask"
            ),
            answers=(*answers, *_answers_of_guards(guards)),
            is_documented=bool(route and operation_of(app, route)),
        )


def _outcome(
    app: Flask, method: str, path: str, route: Route | None
) -> tuple[str, HTTPException | None]:
    """Return the route, or what the client gets, with the error that a handler may answer."""
    if route is not None:
        return f"{route.method} {route.rule.rule}", None
    try:
        app.url_map.bind("").match(path, method)
    except RequestRedirect as redirect:
        target = urlsplit(redirect.new_url).path
        return f"{redirect.code} Permanent Redirect to {target}", None
    except MethodNotAllowed as error:
        allowed = ", ".join(sorted(error.valid_methods or ()))
        return f"405 Method Not Allowed: this path has {allowed}", error
    except HTTPException:
        pass
    return "404 Not Found: no route matches", NotFound()


def _stages(app: Flask, match: Match) -> Iterator[StageReport]:
    bound = dict(zip(match.stages, match.handlers, strict=True))
    stages = get_stages(app)
    for stage in stages.stages:
        lines: tuple[str, ...] = ()
        explain = getattr(bound.get(stage.name), "explain", None)
        if explain is not None:
            try:
                lines = tuple(map(str, explain()))
            except Exception as error:  # noqa: BLE001 - code of a plugin may fail in any way
                lines = (f"it cannot say what it does: {type(error).__name__}: {reason_of(error)}",)
        plugin = stages.owners.get(stage.name)
        owner = Owner(plugin or "core", is_plugin=plugin is not None)
        yield StageReport(stage.name, int(stage.order), owner, stage.name in bound, lines)


def _limit(app: Flask, route: Route | None) -> str:
    """Return the limit that is noted at the view; what is enforced the stage says."""
    if route is None:
        return "none is noted, as no route matches"
    if route.blueprint in EXEMPT_BLUEPRINTS:
        return "never limited: no stage sees health and documentation"
    for place, target in (
        ("the view", route.function),
        ("the view", route.view),
        ("the class", getattr(route.view, "view_class", None)),
        ("the blueprint", app.blueprints.get(route.blueprint or "")),
    ):
        found: RateLimit | None = rate_limit_of(target)
        if found is not None:
            is_enforced = any(one.order == StageOrder.LIMIT for one in get_stages(app).stages)
            idle = "; no active plugin enforces it" * bool(found.limit and not is_enforced)
            return f"{found.limit or 'exempt'}, noted at {place}{idle}"
    return "none is noted at the view or its blueprint"


def _cache(app: Flask, route: Route | None) -> tuple[bool, str]:
    cache = get_cache(app)
    reason = CacheStage(cache).why_not(route)
    lookup = declared_of(route.function) if route else None
    if lookup is None or route is None:
        return False, reason or ""
    what = f"{lookup.ttl} s by {cache.strategy.name}, of {lookup.group}"
    if reason is None:
        return True, f"{what}: answered before Flask"
    if reason.startswith(("code of a plugin", "a decorator")):
        return True, f"{what}: looked up by the view, as {reason}"
    return False, f"it declares {lookup.ttl} s, but {reason}"


def _transaction(route: Route | None, wrappers: tuple[Wrapper, ...]) -> str:
    if route is None:
        return "none, as no view runs"
    found = [one for one in wrappers if one.name == _TRANSACTION]
    if found:
        below = ", if the decorator without functools.wraps calls it"
        return (
            f"one{below * all(one.is_hidden for one in found)}: committed when the view returns, "
            "rolled back when it raises, and run again up to three times after a deadlock"
        )
    return "none of the platform: what the view does not commit itself is rolled back at the end"


def _answers_of_guards(guards: Iterable[GuardReport]) -> Iterator[ExpectedAnswer]:
    """Yield what the document of a view does not say: what is answered in its place."""
    if names := ", ".join(dict.fromkeys(guard.what for guard in guards if guard.may_answer)):
        yield ExpectedAnswer("any", f"what may be answered in place of it, by {names}", ())
