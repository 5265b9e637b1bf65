"""Giving an app its cache, and finding the look-ups that its views declare."""

import logging
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Any

from flask import Flask, Response
from sqlalchemy import Table
from werkzeug.routing import Rule

from pegboard.cache.coherence import init_coherence
from pegboard.cache.invalidation import Tables
from pegboard.cache.lookup import Lookup, lookup_above, lookup_of
from pegboard.cache.memory import MemoryStrategy, SQLiteVersion
from pegboard.cache.service import EXTENSION, Cache
from pegboard.cache.strategy import (
    CacheStrategy,
    NullStrategy,
    SharedStrategy,
    UnconfirmedError,
)
from pegboard.database import db, is_in_memory
from pegboard.http import RETRY_AFTER_SECONDS, error_response

logger = logging.getLogger(__name__)


def init_cache(
    app: Flask, strategy: CacheStrategy, tables: Iterable[Table], *, gives: bool, tells: bool
) -> None:
    """Give the app its cache, after all views are in place; `tables` are those of all plugins."""
    app.register_error_handler(UnconfirmedError, _answer_unconfirmed)
    lookups = {lookup.identity: lookup for _, lookup in find_lookups(app)}
    app.extensions[EXTENSION] = Cache(strategy, lookups.values(), gives=gives, tells=tells)
    if not isinstance(strategy, NullStrategy):
        with app.app_context():
            engine = db.engine
        watched = Tables(lookups.values(), tables)
        if isinstance(strategy, SharedStrategy):
            strategy.join(watched.schema_fingerprint)
        init_coherence(engine, strategy, watched)


def _answer_unconfirmed(error: UnconfirmedError) -> Response:
    logger.error("a write is committed and not acknowledged: %s", " ".join(str(error).split()))
    return error_response(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Whether the change is seen by all cannot be confirmed. Read it before you try again.",
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
    )


def find_lookups(app: Flask) -> Iterator[tuple[Rule, Lookup]]:
    """Return the cached look-ups that the app's views declare, each with its rule."""
    return _find(app, lookup_of)


def find_missed_lookups(app: Flask) -> Iterator[tuple[Rule, Lookup]]:
    """Return those that were declared above a route, which therefore goes without."""
    return _find(app, lookup_above)


def _find(
    app: Flask, lookup_at: Callable[[Callable[..., Any]], Lookup | None]
) -> Iterator[tuple[Rule, Lookup]]:
    for rule in app.url_map.iter_rules():
        for function in _functions(app.view_functions[rule.endpoint]):
            lookup = lookup_at(function)
            if lookup is not None:
                yield rule, lookup


def _functions(view: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    view_class: type | None = getattr(view, "view_class", None)
    if view_class is None:
        yield view
        return
    for name in ("get", "dispatch_request"):
        if (function := getattr(view_class, name, None)) is not None:
            yield function


def embedded_strategy(app: Flask, size: int) -> CacheStrategy | None:
    """Return a cache in the process where it is right beside other processes: on SQLite."""
    with app.app_context():
        url = db.engine.url
    if is_in_memory(url):
        return MemoryStrategy(size=size)
    if url.get_backend_name() == "sqlite" and url.database:
        return MemoryStrategy(size=size, version=SQLiteVersion(url))
    return None
