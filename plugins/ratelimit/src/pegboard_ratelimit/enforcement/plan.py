"""What a rule comes to, made ready as far as that goes before there is a request."""

from dataclasses import dataclass, field

from pegboard_ratelimit.counting import (
    Counter,
    MemoryCounter,
    MemoryStorage,
    ProvidedCounter,
    SharedStorage,
    Storage,
    Verdict,
    microseconds,
)
from pegboard_ratelimit.enforcement.last_known import Standings
from pegboard_ratelimit.enforcement.refusal_cache import Refusals
from pegboard_ratelimit.enforcement.responses import Answers
from pegboard_ratelimit.rules import Limit, OnFailure, Rule, share


class Share:
    """How a worker counts by itself: its share of the limit, or of what was left of it."""

    __slots__ = ("_counter", "_standings", "_workers", "answers")

    def __init__(self, counter: MemoryCounter, answers: Answers, workers: int) -> None:
        self.answers = answers
        self._counter = counter
        self._workers = workers
        self._standings = Standings()

    def note(self, client: str, verdict: Verdict) -> None:
        """Take note of how a client stands where all workers count."""
        self._standings.note(client, verdict.numbers, microseconds())

    def prepare(self, client: str) -> Verdict:
        """Admit a request of the client and count it."""
        standing = self._standings.recall(client)
        if standing is not None:
            at, left = standing
            # As with the limit itself, each worker has at least one of what is left.
            shares = [share(rest, self._workers) if rest > 0 else 0 for rest in left]
            self._counter.reach(client, shares, at)
            # Only now: nobody may be counted in between without it.
            self._standings.forget(client)
        return self._counter.prepare(client)


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What becomes of a request that meets a rule with a limit."""

    limit: Limit
    counter: Counter
    answers: Answers
    local: Share | None
    """What is done when nobody counts for all workers; None where nobody does anyway."""
    on_failure: OnFailure
    refusals: Refusals = field(default_factory=Refusals)


@dataclass(frozen=True)
class Planner:
    """Makes plans for one app."""

    storage: Storage
    memory: MemoryStorage
    workers: int
    on_failure: OnFailure
    legacy: bool

    def plan(self, rule: Rule) -> Plan | None:
        """Return what a rule comes to; None for an exemption."""
        if rule.limit is None:
            return None
        on_failure = rule.on_failure or self.on_failure
        part = rule.limit.shared_by(self.workers)
        own = self.memory.counter(rule.key, part)
        own_answers = Answers(rule.name, part, legacy=self.legacy)
        if self.storage is self.memory:
            return Plan(part, own, own_answers, None, on_failure)
        counter = self._counter(rule.key, rule.limit)
        answers = Answers(rule.name, rule.limit, legacy=self.legacy)
        local = Share(own, own_answers, self.workers)
        return Plan(rule.limit, counter, answers, local, on_failure)

    def _counter(self, rule: str, limit: Limit) -> Counter:
        if isinstance(self.storage, SharedStorage):
            return self.storage.counter(rule, limit)
        return ProvidedCounter(self.storage, rule, limit)
