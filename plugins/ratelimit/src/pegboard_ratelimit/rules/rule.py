"""Rules: the limit for some clients at some routes, and which of several rules applies."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from pegboard.stages import Route
from pegboard_ratelimit.rules.limits import Limit, parse_limit
from pegboard_ratelimit.rules.matching import (
    METHODS,
    ClientPattern,
    Rank,
    RoutePattern,
    counted_as,
    parse_methods,
)


class OnFailure(StrEnum):
    """What to do with requests while they cannot be counted."""

    LOCAL = "local"
    """Each worker counts by itself and admits its share of the limit."""
    OPEN = "open"
    """Admit them."""
    CLOSED = "closed"
    """Answer with 503."""


class Source(IntEnum):
    """Where a rule comes from; of two equally specific rules the greater source wins."""

    DEFAULT = 0
    ANNOTATION = 1
    SETTING = 2
    ROW = 3


# Part of the keys in Redis: with another letter, the counts of that source would start afresh.
_KEY_PREFIXES = {
    Source.DEFAULT: "d",
    Source.ANNOTATION: "m",
    Source.SETTING: "s",
    Source.ROW: "r",
}


@dataclass(frozen=True)
class Rule:
    """One rule. The requests of each client are counted separately."""

    name: str
    source: Source
    limit: Limit | None
    """None for an exemption."""
    clients: ClientPattern = field(default_factory=ClientPattern)
    routes: RoutePattern = field(default_factory=RoutePattern)
    methods: frozenset[str] = frozenset()
    """Empty for any method."""
    on_failure: OnFailure | None = None
    number: int = 0
    """The id of its row; 0 for a rule that is not from the table."""

    @property
    def key(self) -> str:
        """The name that it is counted under, unique over all sources."""
        return f"{_KEY_PREFIXES[self.source]}.{self.name}"

    @property
    def rank(self) -> tuple[Rank, Rank, bool, Source, int]:
        """How specific it is: first by clients, then by routes, then by methods."""
        return (self.clients.rank, self.routes.rank, bool(self.methods), self.source, self.number)

    @property
    def in_words(self) -> str:
        """What it says, without its name."""
        parts = [str(self.limit) if self.limit else "no limit"]
        if not self.clients.is_anyone:
            parts.append(f"for {self.clients}")
        if self.methods:
            parts.append(" ".join(name for name in METHODS if name in self.methods))
        if not self.routes.is_anywhere:
            parts.append(f"at {self.routes.text}")
        if self.on_failure:
            parts.append(f"on failure {self.on_failure}")
        return ", ".join(parts)

    def covers(self, route: Route | None) -> bool:
        """Tell whether it covers a route for some client; None is a request without a route."""
        if not self.routes.covers(route.rule if route else None):
            return False
        return not self.methods or (route is not None and counted_as(route.method) in self.methods)


@dataclass(frozen=True)
class WrittenRule:
    """A rule as text, before it is read."""

    limit: str
    client: str = ""
    route: str = ""
    methods: str = ""
    on_failure: str = ""

    def read(self, name: str, source: Source, number: int = 0) -> Rule:
        """Return the rule. Raises `ValueError` with a sentence saying what is wrong."""
        if self.on_failure and self.on_failure not in set(OnFailure):
            message = f"{self.on_failure!r} is not one of {', '.join(OnFailure)}."
            raise ValueError(message)
        return Rule(
            name=name,
            source=source,
            limit=parse_limit(self.limit),
            clients=ClientPattern.parse(self.client),
            routes=RoutePattern.parse(self.route),
            methods=parse_methods(self.methods),
            on_failure=OnFailure(self.on_failure) if self.on_failure else None,
            number=number,
        )


@dataclass(frozen=True)
class RuleBook:
    """All rules except those of decorators, the most specific first."""

    rules: tuple[Rule, ...]

    @classmethod
    def of(cls, rules: Iterable[Rule]) -> "RuleBook":
        """Return a book of the rules."""
        return cls(tuple(sorted(rules, key=lambda rule: rule.rank, reverse=True)))

    def at(self, route: Route | None, annotated: Iterable[Rule] = ()) -> tuple[Rule, ...]:
        """Return the rules for a route, the most specific first.

        Those after the first rule for all clients are left out, as they never apply. `annotated`
        are the rules of the route's decorators.
        """
        found = [rule for rule in self.rules if rule.covers(route)]
        found = sorted((*found, *annotated), key=lambda rule: rule.rank, reverse=True)
        for count, rule in enumerate(found, 1):
            if rule.clients.is_anyone:
                return tuple(found[:count])
        return tuple(found)


def choose(rules: Iterable[Rule], client: str) -> Rule | None:
    """Return the first rule that covers the client, given as its key."""
    return next((rule for rule in rules if rule.clients.covers(client)), None)
