"""The stage that counts each request, and refuses those that are too many.

A request is of a client and at a route: so it meets one rule, and has the plan of that rule. The
plan's counter admits it or not, and the plan's answers tell the client. Where the counter cannot
count, the plan says what is done.
"""

from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any

from pegboard.redis import ChannelError, Command, Reply
from pegboard.stages import Answer, Call, Route, StageOrder
from pegboard_ratelimit.counting import Verdict, microseconds
from pegboard_ratelimit.enforcement.limiter import Limiter
from pegboard_ratelimit.enforcement.plan import Plan
from pegboard_ratelimit.enforcement.responses import UNCOUNTED
from pegboard_ratelimit.rules import OnFailure, Rule, RuleBook, choose

NAME = "ratelimit"

_REMEMBERED = 4096


class LimitStage:
    """Counts the requests of all routes."""

    name = NAME
    order = StageOrder.LIMIT

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter

    def bind(self, route: Route | None) -> "LimitHandler":
        """Return what counts the requests of one route."""
        return LimitHandler(self._limiter, route)


class _Choice:
    """What a rule book comes to at one route."""

    __slots__ = ("_limiter", "_plans", "_rules", "book", "common")

    def __init__(self, limiter: Limiter, book: RuleBook, rules: tuple[Rule, ...]) -> None:
        self.book = book
        self._limiter = limiter
        # Most often there is one rule for all clients, and nothing to choose.
        self._rules = () if len(rules) == 1 and rules[0].who.is_anyone else rules
        self.common = limiter.plan(rules[0]) if rules and not self._rules else None
        self._plans: dict[str, Plan | None] = {}

    def plan(self, client: str) -> Plan | None:
        """Return the plan for a client; None if its requests are not counted."""
        if not self._rules:
            return self.common
        try:
            return self._plans[client]
        except KeyError:
            rule = choose(self._rules, client)
            plan = self._limiter.plan(rule) if rule is not None else None
            if len(self._plans) >= _REMEMBERED:
                self._plans = {}
            self._plans[client] = plan
            return plan


class LimitHandler:
    """Counts the requests of one route."""

    __slots__ = ("_choice", "_is_told_to_browsers", "_limiter", "_marks", "_route")

    def __init__(self, limiter: Limiter, route: Route | None) -> None:
        self._limiter = limiter
        self._route = route
        # Not where a view of its own answers OPTIONS: that can be any amount of work.
        self._is_told_to_browsers = (
            route is not None
            and route.method == "OPTIONS"
            and bool(getattr(route.rule, "provide_automatic_options", False))
        )
        self._marks = limiter.marks(route)
        self._choice = self._choose()

    def _choose(self) -> _Choice:
        book = self._limiter.keeper.book
        self._choice = choice = _Choice(self._limiter, book, book.at(self._route, self._marks))
        return choice

    def is_non_blocking(self) -> bool:
        """Return whether nobody need wait: for the rules, the storage or the client's identity."""
        return self._limiter.is_non_blocking and monotonic() < self._limiter.keeper.due

    def prepare(self, call: Call) -> Sequence[Command] | Answer | None:
        """Count the request, or ask Redis to."""
        if self._is_told_to_browsers and is_preflight(call.environ):
            return None
        limiter = self._limiter
        keeper = limiter.keeper
        if (now := monotonic()) >= keeper.due:
            keeper.refresh(now)
        choice = self._choice
        if choice.book is not keeper.book:
            choice = self._choose()
        client = limiter.client_of(call.environ)
        plan = choice.plan(client)
        if plan is None:
            return None
        refusals = plan.refusals
        if client in refusals.by_client and (refused := refusals.recall(client, microseconds())):
            return plan.answers.tell(call, refused)
        try:
            asked = plan.counter.prepare(client)
        except Exception as error:  # noqa: BLE001 - a storage is a plugin's, and requests must be served
            return self._do_without(call, plan, client, error)
        if isinstance(asked, Command):
            call.state[NAME] = plan, client
            return (asked,)
        return self._heed(call, plan, client, asked)

    def complete(self, call: Call, replies: Sequence[Reply] | ChannelError) -> Answer | None:
        """Refuse the request, or let it pass with the headers that say how its client stands."""
        plan: Plan
        client: str
        plan, client = call.state[NAME]
        if isinstance(replies, ChannelError):
            return self._do_without(call, plan, client, replies)
        try:
            verdict = plan.counter.complete(replies[0].value)
        except Exception as error:  # noqa: BLE001 - likewise
            return self._do_without(call, plan, client, error)
        if verdict.wait:
            plan.refusals.note(client, verdict, microseconds())
        return self._heed(call, plan, client, verdict)

    def _heed(self, call: Call, plan: Plan, client: str, verdict: Verdict) -> Answer | None:
        """Do what the storage says, and keep it in mind."""
        if self._limiter.is_failing:
            self._limiter.note_success()
        if plan.local is not None:
            plan.local.note(client, verdict)
        return plan.answers.tell(call, verdict)

    def _do_without(self, call: Call, plan: Plan, client: str, error: Exception) -> Answer | None:
        """Do what the rule says for when nobody can count."""
        self._limiter.note_failure(error)
        if plan.on_failure is OnFailure.CLOSED:
            return UNCOUNTED
        if plan.on_failure is OnFailure.OPEN or plan.local is None:
            return None
        return plan.local.answers.tell(call, plan.local.prepare(client))


def is_preflight(environ: Mapping[str, Any]) -> bool:
    """Tell whether a browser asks what a page may call: an answer that no view gives."""
    return "HTTP_ORIGIN" in environ and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ
