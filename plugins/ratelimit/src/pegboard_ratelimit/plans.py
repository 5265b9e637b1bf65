"""What a rule comes to, made ready as far as that goes before there is a request."""

from dataclasses import dataclass
from http import HTTPStatus

from pegboard import Answer
from pegboard_ratelimit.headers import Headers
from pegboard_ratelimit.limits import SECOND, Limit
from pegboard_ratelimit.memory import MemoryStorage
from pegboard_ratelimit.refusals import Refusals
from pegboard_ratelimit.rules import OnFailure, Rule
from pegboard_ratelimit.storage import Storage

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

    def __init__(self, rule: Rule, limit: Limit, storage: Storage, *, legacy: bool) -> None:
        self.limit = limit
        self.counter = storage.counter(rule.key, limit)
        self.headers = Headers(rule.name, limit, legacy=legacy)
        self._refusal = Answer.error(
            HTTPStatus.TOO_MANY_REQUESTS, f"Too many requests: at most {limit} are allowed."
        )

    def refuse(self, wait: int) -> Answer:
        """Return the answer to a client that has to wait so many microseconds."""
        refusal = self._refusal
        retry_after = ("Retry-After", str(-(-wait // SECOND)))
        return Answer(refusal.status, [*refusal.headers, retry_after], refusal.body)


class Plan:
    """A rule with a limit: how it is counted, and what is done when it cannot be."""

    __slots__ = ("counting", "local", "on_failure", "refusals", "rule")

    def __init__(self, rule: Rule, counting: Counting, local: Counting, default: OnFailure) -> None:
        self.rule = rule
        self.counting = counting
        self.local = local
        """How a worker counts its share by itself."""
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
        share = rule.limit.shared_by(self.workers)
        local = Counting(rule, share, self.memory, legacy=self.legacy)
        if self.storage is self.memory:
            return Plan(rule, local, local, self.on_failure)
        counting = Counting(rule, rule.limit, self.storage, legacy=self.legacy)
        return Plan(rule, counting, local, self.on_failure)
