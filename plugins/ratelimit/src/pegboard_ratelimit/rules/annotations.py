"""The rules that a view is marked with by `pegboard.rate_limit`."""

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


class MarkError(ValueError):
    """Raised for a mark that cannot be heeded; carries the `Problem`, which names its plugin."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.summary)
        self.problem = problem


def marks_of(app: Flask, route: Route | None) -> Iterator[Rule]:
    """Yield the rules that a route is marked with: its method, its view, its blueprints.

    Raises `MarkError`.
    """
    if route is None:
        return
    view_class = getattr(route.view, "view_class", None)
    target = view_class or route.view
    place = _Place(app, route.endpoint, str(getattr(target, "__module__", "an unknown module")))
    if view_class is not None and (mark := _mark_of_method(place, view_class, route.method)):
        method = counted_as(route.method)
        rule = place.rule(mark, f"{route.endpoint}.{method.lower()}", route.endpoint)
        yield replace(rule, methods=frozenset({method}))
    # The `decorators` of a class mark the function that Flask makes of it.
    if mark := rate_limit_of(view_class) or rate_limit_of(route.view):
        yield place.rule(mark, route.endpoint, route.endpoint)
    blueprint = route.blueprint
    while blueprint:
        if mark := rate_limit_of(app.blueprints.get(blueprint)):
            place = _Place(app, blueprint, app.blueprints[blueprint].import_name)
            yield place.rule(mark, blueprint, f"{blueprint}.*")
        blueprint = blueprint.rpartition(".")[0]


@dataclass(frozen=True)
class _Place:
    """Where marks stand: a view or a blueprint, and the module that defines it."""

    app: Flask
    name: str
    module: str

    def rule(self, mark: RateLimit, name: str, where: str) -> Rule:
        """Read a mark."""
        limit = UNLIMITED if mark.limit is None else mark.limit
        text = WrittenRule(limit, route=where, on_failure=mark.on_failure or "")
        try:
            return text.read(name, Source.MARK)
        except ValueError as error:
            complaint = f"is marked with a limit that cannot be read: {error}"
            raise self.error(Code.INVALID_LIMIT, name, complaint) from error

    def error(self, code: Code, name: str, complaint: str) -> MarkError:
        """Return the error that blames the plugin whose mark it is."""
        owner = pegboard.get_registry(self.app).owner_of(self.name, self.module)
        summary = f"{name}, of {self.module}, {complaint.removesuffix('.')}"
        problem = Problem(code, summary, code.hint)
        return MarkError(owner.own(problem) if owner else problem)


def _mark_of_method(place: _Place, view_class: type, method: str) -> RateLimit | None:
    """Return the mark of a method; HEAD has that of GET, and none of its own."""
    mark = rate_limit_of(getattr(view_class, counted_as(method).lower(), None))
    if method == "HEAD":
        own = rate_limit_of(getattr(view_class, "head", None))
        if own is not None and own != mark:
            name = f"{place.name}.head"
            complaint = "is marked by itself, but HEAD counts as GET, in one budget"
            raise place.error(Code.LIMIT_OF_HEAD, name, complaint)
    return mark
