"""The rules that plugins declare on their views with the decorator `pegboard.rate_limit`."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from flask import Flask

import pegboard
from pegboard import Problem
from pegboard.annotations import RateLimit, rate_limit_of
from pegboard.stages import Route
from pegboard_ratelimit.problems import Code
from pegboard_ratelimit.rules.limits import UNLIMITED
from pegboard_ratelimit.rules.matching import counted_as
from pegboard_ratelimit.rules.rule import Rule, Source, WrittenRule


class AnnotationError(ValueError):
    """Raised for a `rate_limit` decorator that cannot be read; `problem` names its plugin."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.summary)
        self.problem = problem


def annotated_rules(app: Flask, route: Route | None) -> Iterator[Rule]:
    """Yield the rules of a route's decorators: on its method, its view and its blueprints.

    Raises `AnnotationError`.
    """
    if route is None:
        return
    view_class = getattr(route.view, "view_class", None)
    target = view_class or route.view
    owner = _Owner(app, route.endpoint, str(getattr(target, "__module__", "an unknown module")))
    if view_class is not None and (limit := _limit_of_method(owner, view_class, route.method)):
        method = counted_as(route.method)
        rule = owner.rule(limit, f"{route.endpoint}.{method.lower()}", route.endpoint)
        yield replace(rule, methods=frozenset({method}))
    # Flask applies the `decorators` of a class to the view function that it makes of the class.
    if limit := rate_limit_of(view_class) or rate_limit_of(route.view):
        yield owner.rule(limit, route.endpoint, route.endpoint)
    blueprint = route.blueprint
    while blueprint:
        if limit := rate_limit_of(app.blueprints.get(blueprint)):
            owner = _Owner(app, blueprint, app.blueprints[blueprint].import_name)
            yield owner.rule(limit, blueprint, f"{blueprint}.*")
        blueprint = blueprint.rpartition(".")[0]


@dataclass(frozen=True)
class _Owner:
    """A decorated view or blueprint, and the module that defines it."""

    app: Flask
    name: str
    module: str

    def rule(self, limit: RateLimit, name: str, route: str) -> Rule:
        """Return the rule of a decorator. Raises `AnnotationError`."""
        text = UNLIMITED if limit.limit is None else limit.limit
        written = WrittenRule(text, route=route, on_failure=limit.on_failure or "")
        try:
            return written.read(name, Source.ANNOTATION)
        except ValueError as error:
            complaint = f"has a rate limit that cannot be read: {error}"
            raise self.error(Code.INVALID_LIMIT, name, complaint) from error

    def error(self, code: Code, name: str, complaint: str) -> AnnotationError:
        """Return an error that names the plugin of the decorator."""
        plugin = pegboard.get_registry(self.app).owner_of(self.name, self.module)
        summary = f"{name}, of {self.module}, {complaint.removesuffix('.')}"
        problem = Problem(code, summary, code.hint)
        return AnnotationError(plugin.adopt(problem) if plugin else problem)


def _limit_of_method(owner: _Owner, view_class: type, method: str) -> RateLimit | None:
    """Return the limit on a method of the class; HEAD has that of GET and none of its own."""
    limit = rate_limit_of(getattr(view_class, counted_as(method).lower(), None))
    if method == "HEAD":
        own = rate_limit_of(getattr(view_class, "head", None))
        if own is not None and own != limit:
            name = f"{owner.name}.head"
            complaint = "has a rate limit of its own, but HEAD counts as GET"
            raise owner.error(Code.LIMIT_OF_HEAD, name, complaint)
    return limit
