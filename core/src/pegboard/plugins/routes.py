"""Routes of which a request could match two: those of two plugins, or of a plugin and the core."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from flask import Flask
from werkzeug.routing import Rule

from pegboard.plugins.discovery import Candidate
from pegboard.plugins.parties import Collision, titled
from pegboard.plugins.rule_overlap import find_common_path
from pegboard.problems import Code, PluginError

_CHANGE = "Change the path in {name}"


def _nowhere(_rule: Rule) -> str:
    return ""


@dataclass(frozen=True)
class OwnedRule:
    """A URL rule, and whose it is."""

    rule: Rule
    owner: Candidate | None
    """None is the core."""
    locate: Callable[[Rule], str] = _nowhere
    """Returns where its view is, as `locate_function` says it."""

    @property
    def place(self) -> str:
        """Where its view is; empty for one of the core."""
        return self.locate(self.rule) if self.owner else ""


class Routes:
    """The routes of an app, in the order in which they were added."""

    def __init__(self) -> None:
        self._routes: list[OwnedRule] = []

    def add(
        self,
        owner: Candidate | None,
        rules: Iterable[Rule],
        locate: Callable[[Rule], str] = _nowhere,
    ) -> list[Collision]:
        """Add the rules of a plugin, or of the core; return how they collide with the others.

        Of one plugin any number of routes may match a request, if each view can be reached.
        `locate` returns where the view of a rule is, as `locate_function` says it. Raises
        `PluginError` for a rule that no request can be compared with.
        """
        collisions: list[Collision] = []
        for rule in rules:
            if rule.build_only:
                continue
            route = OwnedRule(rule, owner, locate)
            _check_expressions(route)
            if owner is not None:
                collisions += self._collisions(route, owner)
            self._routes.append(route)
        return collisions

    def adopt(self, owner: Candidate, rules: Iterable[Rule], locate: Callable[[Rule], str]) -> None:
        """Add rules of a plugin that have been compared before; `locate` is that of `add`."""
        self._routes += (OwnedRule(rule, owner, locate) for rule in rules if not rule.build_only)

    def _collisions(self, route: OwnedRule, owner: Candidate) -> Iterator[Collision]:
        """Yield how a rule collides: at most once with each other plugin."""
        seen: set[str | None] = set()
        for other in self._routes:
            name = other.owner.name if other.owner else None
            if name in seen:
                continue
            if name == owner.name:
                collision = _hidden(route, other, owner)
            else:
                collision = _overlap(route, other, owner)
            if collision is not None:
                seen.add(name)
                yield collision


def rules_of(app: Flask) -> list[Rule]:
    """Return the URL rules of an app, in the order in which they were added."""
    return list(app.url_map.iter_rules())


def _check_expressions(route: OwnedRule) -> None:
    rule, owner = route.rule, route.owner
    try:
        for part in rule._parts:  # noqa: SLF001 - Werkzeug compiles it at the first request only
            re.compile("" if part.static else part.content)
    except re.error as error:
        if owner is None:
            raise
        summary = f"its route {rule.rule} can match no request: {error}{route.place}"
        hint = "Fix the regular expression of the converter."
        raise PluginError(owner.problem(Code.BLUEPRINT_INVALID, summary, hint)) from error


def _overlap(route: OwnedRule, other: OwnedRule, owner: Candidate) -> Collision | None:
    methods = _common_methods(route.rule, other.rule)
    if not methods or route.rule.websocket != other.rule.websocket:
        return None
    path = find_common_path(route.rule, other.rule)
    if path is None:
        return None
    mine, others = (f"{methods} {one.rule.rule}" for one in (route, other))
    both = f"both match {path}"
    return Collision(
        Code.COLLISION_ROUTE,
        later=owner,
        earlier=other.owner,
        later_summary=f"its route {mine} and the route {others} of {titled(other.owner)} {both}",
        earlier_summary=f"its route {others} and the route {mine} of {titled(owner)} {both}",
        change=_CHANGE,
        later_place=route.place,
        earlier_place=other.place,
    )


def _common_methods(one: Rule, other: Rule) -> str:
    """Return the methods that two rules share, as in `GET, PUT`; an empty text if there are none.

    Flask answers OPTIONS for all rules of a path at once, unless a view does it.
    """
    methods, others = _methods(one), _methods(other)
    some = methods or others or {"GET"}
    common = some if methods is None or others is None else methods & others
    if _answers_options(one) and _answers_options(other):
        common = common - {"OPTIONS"}
    return ", ".join(sorted(common - {"HEAD"} if "GET" in common else common))


def _hidden(route: OwnedRule, other: OwnedRule, owner: Candidate) -> Collision | None:
    """Return what is wrong if an earlier rule takes every request of another view's methods."""
    rule, first = route.rule, other.rule
    if (
        rule.endpoint == first.endpoint
        or rule.websocket != first.websocket
        or _pattern(rule) != _pattern(first)
    ):
        return None
    methods, taken = _methods(rule) or {"GET"}, _methods(first)
    if _answers_options(rule):
        methods = methods - {"OPTIONS"}
    if "GET" in methods:
        methods = methods - {"HEAD"}  # Flask adds it
    if not (common := methods if taken is None else methods & taken):
        return None
    summary = (
        f"its route {', '.join(sorted(common))} {rule.rule} has two views: {first.endpoint} "
        f"answers, and {rule.endpoint} is never called"
    )
    return Collision(
        Code.COLLISION_ROUTE,
        owner,
        owner,
        summary,
        change=_CHANGE,
        later_place=route.place,
        earlier_place=other.place,
    )


def _methods(rule: Rule) -> set[str] | None:
    """Return the methods of a rule; None for any method."""
    return None if rule.methods is None else set(rule.methods)


def _answers_options(rule: Rule) -> bool:
    return getattr(rule, "provide_automatic_options", False) is True


def _pattern(rule: Rule) -> list[tuple[str, bool]]:
    return [(part.content, part.static) for part in rule._parts]  # noqa: SLF001 - as above
