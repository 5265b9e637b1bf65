"""The stage that counts each request and refuses those above a limit.

The client and the route of a request select one rule. The plan of that rule holds a counter, which
admits the request or not, and the responses that tell the client. If the counter fails, the plan
says what to do.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pegboard import clock
from pegboard.redis import ChannelError, Command, Reply
from pegboard.stages import Answer, Call, Route, StageOrder
from pegboard_ratelimit.counting import Verdict, microseconds
from pegboard_ratelimit.enforcement.limiter import Limiter
from pegboard_ratelimit.enforcement.plan import Plan
from pegboard_ratelimit.enforcement.responses import CANNOT_COUNT
from pegboard_ratelimit.rules import OnFailure, Rule, RuleBook, choose

NAME = "ratelimit"

_REMEMBERED_CLIENTS = 4096


class LimitStage:
    """The stage `ratelimit`; one for all routes of an app."""

    name = NAME
    order = StageOrder.LIMIT

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter

    def bind(self, route: Route | None) -> "LimitHandler":
        """Return the handler for one route; None is for requests that match no route."""
        return LimitHandler(self._limiter, route)


class _RoutePlans:
    """The plans of one route under one state of the rule book."""

    __slots__ = ("_by_client", "_limiter", "_rules", "_single", "book")

    def __init__(self, limiter: Limiter, book: RuleBook, rules: tuple[Rule, ...]) -> None:
        self.book = book
        self._limiter = limiter
        # Usually one rule is for all clients, so there is nothing to choose.
        self._rules = () if len(rules) == 1 and rules[0].clients.is_anyone else rules
        self._single = limiter.plan(rules[0]) if rules and not self._rules else None
        self._by_client: dict[str, Plan | None] = {}

    def plan(self, client: str) -> Plan | None:
        """Return the plan for a client; None if its requests are not counted."""
        if not self._rules:
            return self._single
        try:
            return self._by_client[client]
        except KeyError:
            rule = choose(self._rules, client)
            plan = self._limiter.plan(rule) if rule is not None else None
            if len(self._by_client) >= _REMEMBERED_CLIENTS:
                self._by_client = {}
            self._by_client[client] = plan
            return plan


class LimitHandler:
    """Counts the requests of one route."""

    __slots__ = ("_annotated", "_has_automatic_options", "_limiter", "_plans", "_route")

    def __init__(self, limiter: Limiter, route: Route | None) -> None:
        self._limiter = limiter
        self._route = route
        # A view that answers OPTIONS itself may do any amount of work, so it is counted.
        self._has_automatic_options = (
            route is not None
            and route.method == "OPTIONS"
            and bool(getattr(route.rule, "provide_automatic_options", False))
        )
        self._annotated = limiter.annotated_rules(route)
        self._plans = self._make_plans()

    def _make_plans(self) -> _RoutePlans:
        book = self._limiter.refresher.book
        rules = book.at(self._route, self._annotated)
        self._plans = plans = _RoutePlans(self._limiter, book, rules)
        return plans

    def explain(self) -> Sequence[str]:
        """Return the rules of the route, the most specific first; reads those of the table."""
        lines = []
        try:
            self._limiter.refresher.load()
        except Exception as error:  # noqa: BLE001 - the database may be unavailable in many ways
            reason = " ".join(str(getattr(error, "orig", error)).split())
            lines.append(f"the rules of the table cannot be read: {reason}")
        rules = self._limiter.rules_at(self._route)
        lines += (f"{rule.name}: {rule.in_words}" for rule in rules)
        if not rules or not rules[-1].clients.is_anyone:
            lines.append(f"no limit for {'other' if rules else 'any'} clients")
        return lines

    def is_non_blocking(self) -> bool:
        """Tell whether neither the rules, the storage nor the client's identity can block."""
        limiter = self._limiter
        now, refresher = clock.monotonic(), limiter.refresher
        return limiter.is_non_blocking and (now < refresher.due or not refresher.would_wait(now))

    def prepare(self, call: Call) -> Sequence[Command] | Answer | None:
        """Count the request, or return the command that has Redis count it."""
        if self._has_automatic_options and is_preflight(call.environ):
            return None
        limiter = self._limiter
        refresher = limiter.refresher
        if (now := clock.monotonic()) >= refresher.due:
            refresher.refresh(now)
        plans = self._plans
        if plans.book is not refresher.book:
            plans = self._make_plans()
        client = limiter.client_of(call.environ)
        plan = plans.plan(client)
        if plan is None:
            return None
        refusals = plan.refusals
        if client in refusals.by_client and (refused := refusals.recall(client, microseconds())):
            return plan.tally.note(plan.responses.apply(call, refused))
        try:
            result = plan.counter.prepare(client)
        except Exception as error:  # noqa: BLE001 - another plugin's storage may raise anything
            return self._apply_failure_policy(call, plan, client, error)
        if isinstance(result, Command):
            call.state[NAME] = plan, client
            return (result,)
        return self._apply_verdict(call, plan, client, result)

    def complete(self, call: Call, replies: Sequence[Reply] | ChannelError) -> Answer | None:
        """Refuse the request, or let it pass with headers that say what the client has left."""
        plan: Plan
        client: str
        plan, client = call.state[NAME]
        if isinstance(replies, ChannelError):
            return self._apply_failure_policy(call, plan, client, replies)
        try:
            verdict = plan.counter.complete(replies[0].value)
        except Exception as error:  # noqa: BLE001 - another plugin's storage may raise anything
            return self._apply_failure_policy(call, plan, client, error)
        if verdict.wait:
            plan.refusals.note(client, verdict, microseconds())
        return self._apply_verdict(call, plan, client, verdict)

    def _apply_verdict(
        self, call: Call, plan: Plan, client: str, verdict: Verdict
    ) -> Answer | None:
        if self._limiter.is_failing:
            self._limiter.note_success()
        if plan.local is not None:
            plan.local.note(client, verdict)
        return plan.tally.note(plan.responses.apply(call, verdict))

    def _apply_failure_policy(
        self, call: Call, plan: Plan, client: str, error: Exception
    ) -> Answer | None:
        self._limiter.note_failure(error)
        if plan.on_failure is OnFailure.CLOSED:
            return plan.tally.note(CANNOT_COUNT)
        if plan.on_failure is OnFailure.OPEN or plan.local is None:
            return plan.tally.note(None)
        verdict = plan.local.count(client)
        return plan.tally.note(plan.local.responses.apply(call, verdict))


def is_preflight(environ: Mapping[str, Any]) -> bool:
    """Tell whether the request is a CORS preflight, which is answered without calling a view."""
    return "HTTP_ORIGIN" in environ and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ
