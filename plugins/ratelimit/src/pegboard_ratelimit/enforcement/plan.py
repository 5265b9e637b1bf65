"""Plans: what to do with the requests under one rule, prepared before the first of them comes."""

from dataclasses import dataclass, field

from pegboard_ratelimit.counting import (
    CheckedCounter,
    Counter,
    MemoryCounter,
    MemoryStorage,
    RedisStorage,
    Storage,
    Verdict,
    microseconds,
)
from pegboard_ratelimit.enforcement.last_known import LastKnownCounts
from pegboard_ratelimit.enforcement.refusal_cache import RefusalCache
from pegboard_ratelimit.enforcement.responses import Responses
from pegboard_ratelimit.enforcement.tally import Tallies, Tally
from pegboard_ratelimit.rules import Limit, OnFailure, Rule, share


class LocalFallback:
    """Counting in the worker while the shared storage fails.

    A worker admits its share of the limit, or of what the client had left when it was last counted
    by the shared storage.
    """

    __slots__ = ("_counter", "_last_known", "_workers", "responses")

    def __init__(self, counter: MemoryCounter, responses: Responses, workers: int) -> None:
        self.responses = responses
        self._counter = counter
        self._workers = workers
        self._last_known = LastKnownCounts()

    def note(self, client: str, verdict: Verdict) -> None:
        """Remember what the shared storage said about a client."""
        self._last_known.note(client, verdict.numbers, microseconds())

    def count(self, client: str) -> Verdict:
        """Admit a request of the client and count it, or refuse it."""
        last_known = self._last_known.recall(client)
        if last_known is not None:
            at, left = last_known
            # As with the limit itself, each worker admits at least one request of what is left.
            shares = [share(rest, self._workers) if rest > 0 else 0 for rest in left]
            self._counter.raise_to(client, shares, at)
            # Not before: a request counted in between would find neither.
            self._last_known.forget(client)
        return self._counter.prepare(client)


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """How the requests under a rule with a limit are counted and answered."""

    limit: Limit
    counter: Counter
    responses: Responses
    local: LocalFallback | None
    """Counts while `counter` fails; None where `counter` is the worker's own."""
    on_failure: OnFailure
    tally: Tally
    refusals: RefusalCache = field(default_factory=RefusalCache)


@dataclass(frozen=True)
class Planner:
    """Makes the plans of one app."""

    storage: Storage
    memory: MemoryStorage
    workers: int
    on_failure: OnFailure
    legacy: bool
    tallies: Tallies

    def plan(self, rule: Rule) -> Plan | None:
        """Return the plan for a rule; None where the rule exempts from limits."""
        if rule.limit is None:
            return None
        on_failure = rule.on_failure or self.on_failure
        part = rule.limit.shared_by(self.workers)
        own = self.memory.counter(rule.key, part)
        tally = self.tallies.of(rule.name)
        own_responses = Responses(rule.name, part, legacy=self.legacy)
        if self.storage is self.memory:
            return Plan(part, own, own_responses, None, on_failure, tally)
        counter = self._counter(rule.key, rule.limit)
        responses = Responses(rule.name, rule.limit, legacy=self.legacy)
        local = LocalFallback(own, own_responses, self.workers)
        return Plan(rule.limit, counter, responses, local, on_failure, tally)

    def _counter(self, rule: str, limit: Limit) -> Counter:
        if isinstance(self.storage, RedisStorage):
            return self.storage.counter(rule, limit)
        return CheckedCounter(self.storage, rule, limit)
