"""Rules: which limit a client meets at a route, and which of several rules that is."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from pegboard.stages import Route
from pegboard_ratelimit.rules.limits import Limit, parse_limit
from pegboard_ratelimit.rules.matching import Rank, Where, Who, counted_as, parse_methods


class OnFailure(StrEnum):
    """What becomes of requests while nobody can count them."""

    LOCAL = "local"
    """Each process counts for itself, by its share of the limit."""
    OPEN = "open"
    """They are admitted."""
    CLOSED = "closed"
    """They are answered with 503."""


class Source(IntEnum):
    """Where a rule comes from; of two that are equally special the greater wins."""

    DEFAULT = 0
    MARK = 1
    SETTING = 2
    ROW = 3


@dataclass(frozen=True)
class Rule:
    """One rule; it counts the requests of each client by itself."""

    name: str
    source: Source
    limit: Limit | None
    """None: no limit."""
    who: Who = field(default_factory=Who)
    where: Where = field(default_factory=Where)
    methods: frozenset[str] = frozenset()
    """Empty: any."""
    on_failure: OnFailure | None = None
    number: int = 0
    """Its row's id."""

    @property
    def key(self) -> str:
        """What it is counted under; no rule of another source has the same."""
        return f"{self.source.name[0].lower()}.{self.name}"

    @property
    def rank(self) -> tuple[Rank, Rank, bool, Source, int]:
        """How special it is: first for whom, then where, then for which methods."""
        return (self.who.rank, self.where.rank, bool(self.methods), self.source, self.number)

    def covers(self, route: Route | None) -> bool:
        """Tell whether it is about a route, for some client; None is no route."""
        if not self.where.covers(route.rule if route else None):
            return False
        return not self.methods or (route is not None and counted_as(route.method) in self.methods)


@dataclass(frozen=True)
class WrittenRule:
    """A rule as somebody wrote it."""

    limit: str
    client: str = ""
    route: str = ""
    methods: str = ""
    on_failure: str = ""

    def read(self, name: str, source: Source, number: int = 0) -> Rule:
        """Make the rule. Raises `ValueError` with a sentence for whoever wrote it."""
        if self.on_failure and self.on_failure not in set(OnFailure):
            message = f"{self.on_failure!r} is none of {', '.join(OnFailure)}."
            raise ValueError(message)
        return Rule(
            name=name,
            source=source,
            limit=parse_limit(self.limit),
            who=Who.parse(self.client),
            where=Where.parse(self.route),
            methods=parse_methods(self.methods),
            on_failure=OnFailure(self.on_failure) if self.on_failure else None,
            number=number,
        )


@dataclass(frozen=True)
class RuleBook:
    """All rules but those that views are marked with, the most special first."""

    rules: tuple[Rule, ...]

    @classmethod
    def of(cls, rules: Iterable[Rule]) -> "RuleBook":
        """Put rules in order."""
        return cls(tuple(sorted(rules, key=lambda rule: rule.rank, reverse=True)))

    def at(self, route: Route | None, marks: Iterable[Rule] = ()) -> tuple[Rule, ...]:
        """Return the rules for a route, up to the first that is for all clients."""
        found = [rule for rule in self.rules if rule.covers(route)]
        found = sorted((*found, *marks), key=lambda rule: rule.rank, reverse=True)
        for count, rule in enumerate(found, 1):
            if rule.who.is_anyone:
                return tuple(found[:count])
        return tuple(found)


def choose(rules: Iterable[Rule], client: str) -> Rule | None:
    """Return the first rule that is for the client."""
    return next((rule for rule in rules if rule.who.covers(client)), None)
