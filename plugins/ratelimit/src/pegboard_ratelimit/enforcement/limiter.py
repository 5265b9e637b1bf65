"""The limiter of one app: its rules, where they are counted, and which one a request meets."""

import logging
import threading
import time
from collections.abc import Iterable, Iterator

from flask import Flask, current_app
from sqlalchemy import Engine

import pegboard
from pegboard.clients import get_clients
from pegboard.redis import ChannelError, get_channel
from pegboard.stages import Route, route_of
from pegboard_ratelimit.counting import MemoryStorage, SharedStorage, Storage, StorageError
from pegboard_ratelimit.enforcement.plan import Plan, Planner
from pegboard_ratelimit.enforcement.refresh import Keeper
from pegboard_ratelimit.problems import Code
from pegboard_ratelimit.rules import MarkError, OnFailure, Rule, marks_of
from pegboard_ratelimit.settings import RatelimitSettings, rules_of

logger = logging.getLogger(__name__)

EXTENSION = "pegboard_ratelimit"

QUIET = 1.0
"""Seconds without a failure after which requests are counted again."""

_PLANS = 10_000
_COUNTED_BY = {MemoryStorage: "each worker", SharedStorage: "Redis"}


class Limiter:
    """Knows the rules of one app and what they come to."""

    def __init__(self, app: Flask, engine: Engine, settings: RatelimitSettings) -> None:
        self._app = app
        memory = MemoryStorage(settings.memory_clients)
        self.storage = _storage(app, settings) or memory
        workers = pegboard.get_settings(pegboard.CoreSettings, app).workers
        self._planner = Planner(
            storage=self.storage,
            memory=memory,
            workers=workers,
            on_failure=OnFailure(settings.on_failure),
            legacy=settings.legacy_headers,
        )
        self.has_legacy_headers = settings.legacy_headers
        self._plans: dict[Rule, Plan | None] = {}
        self.is_failing = False
        self._failed_at = 0.0
        self._lock = threading.Lock()
        self.keeper = Keeper(engine, rules_of(settings))
        clients = get_clients(app)
        self.client_of = clients.client_of
        self.is_non_blocking = clients.is_non_blocking and getattr(
            self.storage, "is_non_blocking", False
        )
        """Whether to tell clients apart and to count their requests waits for nothing."""

    def plan(self, rule: Rule) -> Plan | None:
        """Return what a rule comes to: the same as long as the rule is the same."""
        if rule not in self._plans:
            if len(self._plans) >= _PLANS:
                self._plans = {}
            self._plans[rule] = self._planner.plan(rule)
        return self._plans[rule]

    def marks(self, route: Route | None) -> tuple[Rule, ...]:
        """Return the rules that a route is marked with; one that cannot be read is left out."""
        try:
            return tuple(marks_of(self._app, route))
        except MarkError as error:
            logger.exception("a mark of %s is left out", error.problem.plugin or "no plugin")
            return ()

    def rules_at(self, route: Route | None) -> tuple[Rule, ...]:
        """Return the rules for a route, up to the first that is for all clients."""
        return self.keeper.book.at(route, self.marks(route))

    def stats(self) -> dict[str, object]:
        """Return what an operator wants to know at a glance."""
        return {
            "counted_by": _COUNTED_BY.get(type(self.storage), type(self.storage).__name__),
            "workers": self._planner.workers,
            "can_count": not self.is_failing,
            "rules": len(self.keeper.book.rules),
            "broken_rules": self.keeper.broken,
        }

    def warn_of_shares(self, rules: Iterable[Rule]) -> None:
        """Tell the operator which limits the workers together exceed.

        Each of them admits one request at least, however small its share.
        """
        if not isinstance(self.storage, MemoryStorage):
            return
        for rule in rules:
            if rule.limit is not None and rule.limit.is_exceeded_by(self._planner.workers):
                logger.warning(
                    "%d workers, each counting for itself, together exceed the limit %s of %s: "
                    "set REDIS_URL or fewer workers",
                    *(self._planner.workers, rule.limit, rule.name),
                )

    def note_failure(self, error: Exception) -> None:
        """Tell the operator, once, that nobody counts."""
        with self._lock:
            self._failed_at = time.monotonic()
            is_news, self.is_failing = not self.is_failing, True
        if not is_news:
            return
        is_expected = isinstance(error, ChannelError | StorageError)
        logger.warning(
            "requests cannot be counted, the policy on failure holds: %s",
            error if is_expected else repr(error),
            exc_info=None if is_expected else error,
        )

    def note_success(self) -> None:
        """Tell the operator, once, that all is well again.

        Of requests that are under way when Redis goes or comes some are counted and some are not.
        """
        with self._lock:
            if not self.is_failing or time.monotonic() - self._failed_at < QUIET:
                return
            self.is_failing = False
        logger.info("requests are counted again")


def init_limiter(app: Flask) -> Limiter | None:
    """Give the app its limiter, unless the settings say that it has none.

    Raises `StartupError` for a mark that cannot be heeded; its problem names the view's plugin.
    """
    settings = pegboard.get_settings(RatelimitSettings, app)
    if not settings.enabled:
        app.extensions[EXTENSION] = None
        return None
    try:
        marks = {rule for route in routes_of(app) for rule in marks_of(app, route)}
    except MarkError as error:
        raise pegboard.StartupError([error.problem]) from error
    with app.app_context():
        engine = pegboard.db.engine
    app.extensions[EXTENSION] = limiter = Limiter(app, engine, settings)
    for rule in rules_of(settings):
        if not is_of_use(app, rule):
            logger.warning("no route of this service is meant by the limit of %s", rule.name)
    limiter.warn_of_shares((*rules_of(settings), *sorted(marks, key=lambda rule: rule.name)))
    pegboard.get_health(app).details["ratelimit"] = limiter.stats
    return limiter


def get_limiter(app: Flask | None = None) -> Limiter | None:
    """Return the limiter of the app, or of the current app; None when it is switched off."""
    limiter: Limiter | None = (app or current_app).extensions[EXTENSION]
    return limiter


def _storage(app: Flask, settings: RatelimitSettings) -> Storage | None:
    """Return the storage that a plugin provides, else Redis where there is one."""
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
    return SharedStorage(settings.prefix)


def routes_of(app: Flask) -> Iterator[Route]:
    """Yield every method of every route."""
    for rule in app.url_map.iter_rules():
        for method in sorted(rule.methods or ()):
            yield route_of(app, rule, method)


def is_of_use(app: Flask, rule: Rule) -> bool:
    """Tell whether a rule is about any route of the app."""
    return rule.where.is_anywhere or any(rule.covers(route) for route in routes_of(app))
