"""What a rule comes to, made ready as far as that goes before there is a request."""

from dataclasses import dataclass
from http import HTTPStatus

from pegboard import Answer, Command
from pegboard_ratelimit.headers import Headers
from pegboard_ratelimit.limits import SECOND, Limit, share
from pegboard_ratelimit.memory import MemoryCounter, MemoryStorage, microseconds
from pegboard_ratelimit.refusals import Refusals
from pegboard_ratelimit.rules import OnFailure, Rule
from pegboard_ratelimit.standings import Standings
from pegboard_ratelimit.storage import Counter, Storage, StorageError, Verdict

RETRY_AFTER = 1
"""Seconds after which a client may try again when nobody can count."""

UNCOUNTED = Answer.error(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "Requests cannot be counted at the moment. Try again.",
    [("Retry-After", str(RETRY_AFTER))],
)


class Counting:
    """A limit in one storage."""

    __slots__ = ("_refusal", "counter", "headers", "limit")

    def __init__(self, rule: Rule, limit: Limit, counter: Counter, *, legacy: bool) -> None:
        self.limit = limit
        self.counter = counter
        self.headers = Headers(rule.name, limit, legacy=legacy)
        self._refusal = Answer.error(
            HTTPStatus.TOO_MANY_REQUESTS, f"Too many requests: at most {limit} are allowed."
        )

    def refuse(self, wait: int) -> Answer:
        """Return the answer to a client that has to wait so many microseconds."""
        refusal = self._refusal
        retry_after = ("Retry-After", str(-(-wait // SECOND)))
        return Answer(refusal.status, [*refusal.headers, retry_after], refusal.body)


class Share:
    """How a worker counts by itself: its share of the limit, or of what was left of it."""

    __slots__ = ("_counter", "_standings", "_workers", "counting")

    def __init__(self, counting: Counting, counter: MemoryCounter, workers: int) -> None:
        self.counting = counting
        self._counter = counter
        self._workers = workers
        self._standings = Standings()

    def note(self, client: str, verdict: Verdict) -> None:
        """Take note of how a client stands where all workers count."""
        self._standings.note(client, verdict.numbers, microseconds())

    def ask(self, client: str) -> Verdict:
        """Admit a request of the client and count it."""
        standing = self._standings.recall(client)
        if standing is not None:
            at, left = standing
            # As with the limit itself, each worker has at least one of what is left.
            shares = [share(rest, self._workers) if rest > 0 else 0 for rest in left]
            self._counter.reach(client, shares, at)
            # Only now: nobody may be counted in between without it.
            self._standings.forget(client)
        return self._counter.ask(client)


class Plan:
    """A rule with a limit: how it is counted, and what is done when it cannot be."""

    __slots__ = ("counting", "local", "on_failure", "refusals", "rule")

    def __init__(
        self, rule: Rule, counting: Counting, local: Share | None, default: OnFailure
    ) -> None:
        self.rule = rule
        self.counting = counting
        self.local = local
        """What is done when nobody counts for all workers; None where nobody does anyway."""
        self.on_failure = rule.on_failure or default
        self.refusals = Refusals()


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
        part = rule.limit.shared_by(self.workers)
        own = self.memory.counter(rule.key, part)
        local = Counting(rule, part, own, legacy=self.legacy)
        if self.storage is self.memory:
            return Plan(rule, local, None, self.on_failure)
        counter = self._counter(rule, rule.limit)
        counting = Counting(rule, rule.limit, counter, legacy=self.legacy)
        return Plan(rule, counting, Share(local, own, self.workers), self.on_failure)

    def _counter(self, rule: Rule, limit: Limit) -> Counter:
        try:
            return self.storage.counter(rule.key, limit)
        except Exception:  # noqa: BLE001 - it is raised again, and told, for each request
            return _LateCounter(self.storage, rule.key, limit)


class _LateCounter:
    """Stands in for a counter that a storage could not give at first."""

    def __init__(self, storage: Storage, rule: str, limit: Limit) -> None:
        self._storage = storage
        self._rule = rule
        self._limit = limit
        self._counter: Counter | None = None

    def ask(self, client: str, *, charge: bool = True) -> Verdict | Command:
        if self._counter is None:
            self._counter = self._storage.counter(self._rule, self._limit)
        return self._counter.ask(client, charge=charge)

    def hear(self, value: object) -> Verdict:
        if self._counter is None:
            message = "nothing was asked"
            raise StorageError(message)
        return self._counter.hear(value)
