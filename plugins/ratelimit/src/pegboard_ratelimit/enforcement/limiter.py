"""The limiter of one app: its rules, their plans, and the storage that counts."""

import logging
import threading
from collections.abc import Iterable, Iterator

from flask import Flask, current_app
from sqlalchemy import Engine

import pegboard
from pegboard.clients import get_clients
from pegboard.redis import ChannelError, get_channel
from pegboard.stages import Route, route_of
from pegboard_ratelimit.counting import MemoryStorage, RedisStorage, Storage, StorageError
from pegboard_ratelimit.enforcement.plan import Plan, Planner
from pegboard_ratelimit.enforcement.refresh import RuleRefresher
from pegboard_ratelimit.enforcement.tally import Tallies
from pegboard_ratelimit.problems import Code
from pegboard_ratelimit.rules import AnnotationError, OnFailure, Rule, annotated_rules
from pegboard_ratelimit.settings import RatelimitSettings, rules_of

logger = logging.getLogger(__name__)

EXTENSION = "pegboard_ratelimit"

QUIET = 1.0
"""Seconds without a failure after which counting is reported as working again."""

_MAX_PLANS = 10_000
_COUNTED_BY = {MemoryStorage: "each worker", RedisStorage: "Redis"}


class Limiter:
    """The rules of one app and the plan of each."""

    def __init__(self, app: Flask, engine: Engine, settings: RatelimitSettings) -> None:
        self._app = app
        memory = MemoryStorage(settings.memory_clients)
        self.storage = _storage(app, settings) or memory
        workers = pegboard.get_settings(pegboard.CoreSettings, app).workers
        self._tallies = Tallies()
        self._planner = Planner(
            storage=self.storage,
            memory=memory,
            workers=workers,
            on_failure=OnFailure(settings.on_failure),
            legacy=settings.legacy_headers,
            tallies=self._tallies,
        )
        self.has_legacy_headers = settings.legacy_headers
        self._plans: dict[Rule, Plan | None] = {}
        self.is_failing = False
        self._failed_at = 0.0
        self._lock = threading.Lock()
        self.refresher = RuleRefresher(engine, rules_of(settings))
        clients = get_clients(app)
        self.client_of = clients.client_of
        self.is_non_blocking = clients.is_non_blocking and getattr(
            self.storage, "is_non_blocking", False
        )
        """Whether neither identifying a client nor counting its request can block."""

    def plan(self, rule: Rule) -> Plan | None:
        """Return the plan of a rule, the same object for equal rules; None for an exemption."""
        if rule not in self._plans:
            if len(self._plans) >= _MAX_PLANS:
                self._plans = {}
            self._plans[rule] = self._planner.plan(rule)
        return self._plans[rule]

    def annotated_rules(self, route: Route | None) -> tuple[Rule, ...]:
        """Return the rules of a route's decorators; none, with a log entry, if one is unreadable.

        The start checks those of all routes that there are then; a route may be added later.
        """
        try:
            return tuple(annotated_rules(self._app, route))
        except AnnotationError as error:
            logger.exception(
                "a rate_limit decorator of %s is left out", error.problem.plugin or "no plugin"
            )
            return ()

    def rules_at(self, route: Route | None) -> tuple[Rule, ...]:
        """Return the rules for a route, up to the first that is for all clients."""
        return self.refresher.book.at(route, self.annotated_rules(route))

    def stats(self) -> dict[str, object]:
        """Return what an operator wants to know of the limiter."""
        return {
            "counted_by": _COUNTED_BY.get(type(self.storage), type(self.storage).__name__),
            "workers": self._planner.workers,
            "can_count": not self.is_failing,
            "rules": len(self.refresher.book.rules),
            "broken_rules": self.refresher.broken,
            **self._tallies.stats(),
        }

    def warn_about_small_limits(self, rules: Iterable[Rule]) -> None:
        """Warn of limits that the workers together exceed, as each admits at least one request."""
        if not isinstance(self.storage, MemoryStorage):
            return
        for rule in rules:
            if rule.limit is not None and rule.limit.is_exceeded_by(self._planner.workers):
                logger.warning(
                    "%d workers, each counting by itself, together exceed the limit %s of %s: "
                    "set REDIS_URL or fewer workers",
                    *(self._planner.workers, rule.limit, rule.name),
                )

    def note_failure(self, error: Exception) -> None:
        """Log, once per outage, that requests cannot be counted."""
        with self._lock:
            self._failed_at = pegboard.clock.monotonic()
            is_news, self.is_failing = not self.is_failing, True
        if not is_news:
            return
        is_expected = isinstance(error, ChannelError | StorageError)
        logger.warning(
            "requests cannot be counted, the on_failure policy applies: %s",
            error if is_expected else repr(error),
            exc_info=None if is_expected else error,
        )

    def note_success(self) -> None:
        """Log, once per outage, that requests are counted again.

        Not before `QUIET` seconds without a failure: while Redis fails or comes back, some of the
        requests under way are counted and some are not.
        """
        with self._lock:
            if not self.is_failing or pegboard.clock.monotonic() - self._failed_at < QUIET:
                return
            self.is_failing = False
        logger.info("requests are counted again")


def init_limiter(app: Flask) -> Limiter | None:
    """Create the app's limiter; return None if the settings disable it.

    Raises `StartupError` for a `rate_limit` decorator that cannot be read; its problem names the
    plugin of the view.
    """
    settings = pegboard.get_settings(RatelimitSettings, app)
    if not settings.enabled:
        app.extensions[EXTENSION] = None
        return None
    try:
        annotated = {rule for route in routes_of(app) for rule in annotated_rules(app, route)}
    except AnnotationError as error:
        raise pegboard.StartupError([error.problem]) from error
    with app.app_context():
        engine = pegboard.db.engine
    app.extensions[EXTENSION] = limiter = Limiter(app, engine, settings)
    for rule in rules_of(settings):
        if not matches_any_route(app, rule):
            logger.warning("no route of this service matches the limit of %s", rule.name)
    limiter.warn_about_small_limits(
        (*rules_of(settings), *sorted(annotated, key=lambda rule: rule.name))
    )
    health = pegboard.get_health(app)
    health.details["ratelimit"] = limiter.stats
    health.shared["ratelimit"] = {"workers", "rules", "broken_rules"}
    return limiter


def get_limiter(app: Flask | None = None) -> Limiter | None:
    """Return the limiter of the app, or of the current app; None when it is disabled."""
    limiter: Limiter | None = (app or current_app).extensions[EXTENSION]
    return limiter


def _storage(app: Flask, settings: RatelimitSettings) -> Storage | None:
    """Return the storage of another plugin, else Redis, else None."""
    hook = pegboard.get_registry(app).hook.pegboard_ratelimit_storage
    provided = [storage for storage in hook(app=app) if storage is not None]
    if len(provided) > 1:
        names = ", ".join(type(storage).__qualname__ for storage in provided)
        code = Code.SEVERAL_STORAGES
        summary = f"several plugins provide a storage: {names}"
        raise pegboard.StartupError([pegboard.Problem(code, summary, code.hint)])
    if provided:
        storage: Storage = provided[0]
        return storage
    if get_channel(app) is None:
        return None
    return RedisStorage(settings.prefix)


def routes_of(app: Flask) -> Iterator[Route]:
    """Yield each route of the app once per method; a rule with `redirect_to` has no view."""
    for rule in app.url_map.iter_rules():
        if rule.endpoint not in app.view_functions:
            continue
        for method in sorted(rule.methods or ()):
            yield route_of(app, rule, method)


def matches_any_route(app: Flask, rule: Rule) -> bool:
    """Tell whether a rule covers any route of the app."""
    return rule.routes.is_anywhere or any(rule.covers(route) for route in routes_of(app))
