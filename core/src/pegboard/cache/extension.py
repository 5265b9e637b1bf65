"""Giving an app its cache, and finding the cached views among its routes."""

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from flask import Flask, Response
from sqlalchemy import Table
from werkzeug.routing import Rule

from pegboard.cache.coherence import init_coherence
from pegboard.cache.collection import Collection, collection_of
from pegboard.cache.declaration import list_lookup_of, lookup_above, lookup_of
from pegboard.cache.invalidation import Tables
from pegboard.cache.list_lookup import ListLookup
from pegboard.cache.lookup import Lookup
from pegboard.cache.memory import MemoryStrategy, SQLiteVersion
from pegboard.cache.service import EXTENSION, Cache
from pegboard.cache.strategy import (
    CacheStrategy,
    NullStrategy,
    SharedStrategy,
    UnconfirmedError,
)
from pegboard.database import db, is_in_memory
from pegboard.http import response_of, unavailable
from pegboard.redaction import reason_of

logger = logging.getLogger(__name__)

D = TypeVar("D", Lookup, ListLookup, Collection)


def init_cache(
    app: Flask,
    strategy: CacheStrategy | None,
    tables: Iterable[Table],
    *,
    serve_hits: bool,
    send_status_header: bool,
) -> None:
    """Give the app its cache, after all views are registered; None for one that stores nothing.

    `tables` are those of all plugins, whose foreign keys may cascade. Without `serve_hits` the app
    takes nothing from the cache and stores nothing, but its writes still invalidate what others
    have stored. `send_status_header` adds `Cache-Status` to the answers of cached views.
    """
    app.register_error_handler(UnconfirmedError, _answer_unconfirmed)
    lookups = {lookup.identity: lookup for _, lookup in find_lookups(app)}
    collections = {collection.group: collection for _, collection in find_collections(app)}
    with app.app_context():
        settings = {one.group: one.settings() for _, one in find_cached_lists(app)}
    app.extensions[EXTENSION] = Cache(
        NullStrategy() if strategy is None else strategy,
        (*lookups.values(), *collections.values()),
        settings=settings,
        serve_hits=serve_hits,
        send_status_header=send_status_header,
    )
    if strategy is not None:
        with app.app_context():
            engine = db.engine
        watched = Tables(lookups.values(), tables, collections.values())
        if isinstance(strategy, SharedStrategy):
            strategy.join(watched.schema_fingerprint)
        init_coherence(app, engine, strategy, watched)


def _answer_unconfirmed(error: UnconfirmedError) -> Response:
    logger.error("a write is committed and not acknowledged: %s", reason_of(error))
    message = "Whether the change is seen by all cannot be confirmed. Read it before you try again."
    return response_of(unavailable(message))


def find_lookups(app: Flask) -> Iterator[tuple[Rule, Lookup]]:
    """Return the look-ups of the app's cached views of one row, each with its rule."""
    return _find(app, lookup_of)


def find_cached_lists(app: Flask) -> Iterator[tuple[Rule, ListLookup]]:
    """Return the cached lists of the app, each with its rule."""
    return _find(app, list_lookup_of)


def find_collections(app: Flask) -> Iterator[tuple[Rule, Collection]]:
    """Return the collections whose totals the app caches, each with the rule of its lists."""
    return _find(app, collection_of)


def find_missed_lookups(app: Flask) -> Iterator[tuple[Rule, Lookup]]:
    """Return the look-ups that were declared above a route, whose view is therefore not cached."""
    return _find(app, lookup_above)


def _find(
    app: Flask, declared_at: Callable[[Callable[..., Any]], D | None]
) -> Iterator[tuple[Rule, D]]:
    for rule in app.url_map.iter_rules():
        if (view := app.view_functions.get(rule.endpoint)) is None:
            continue  # a rule with `redirect_to` needs no view
        for function in _functions(view):
            declared = declared_at(function)
            if declared is not None:
                yield rule, declared


def _functions(view: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """Yield the functions of a view, or of its class, that may be cached."""
    view_class: type | None = getattr(view, "view_class", None)
    if view_class is None:
        yield view
        return
    for name in ("get", "dispatch_request"):
        if (function := getattr(view_class, name, None)) is not None:
            yield function


def embedded_strategy(app: Flask, size: int) -> CacheStrategy | None:
    """Return a cache in memory of `size` answers if the app's database is SQLite, else None.

    Only there is it right beside other processes that write to the same database.
    """
    with app.app_context():
        url = db.engine.url
    if is_in_memory(url):
        return MemoryStrategy(size=size)
    if url.get_backend_name() == "sqlite" and url.database:
        return MemoryStrategy(size=size, version=SQLiteVersion(url))
    return None
