"""Choosing the one provider of the cache and of the sessions, and those of client identity."""

import logging
from typing import Any

from flask import Flask

from pegboard.api import get_health
from pegboard.app.cached_views import check_lookups
from pegboard.app.hook_calls import call_with_app
from pegboard.cache import (
    CacheStrategy,
    MemoryStrategy,
    embedded_strategy,
    init_cache,
)
from pegboard.clients import Identify, TrustedProxies, ask_in_order, init_clients
from pegboard.plugins import Registry
from pegboard.problems import Code, Problem, StartupError
from pegboard.settings import CoreSettings
from pegboard.start_times import timed

logger = logging.getLogger(__name__)


@timed("clients, sessions, cache")
def init_providers(app: Flask, core: CoreSettings, assembled: Registry) -> None:
    """Set up client identity, sessions and the cache, after all views are registered.

    Raises `StartupError` or `PluginError` for a view that cannot be cached as it says, and
    `StartupError` for a cache in memory that several workers would each have.
    """
    proxies = TrustedProxies.parse(core.trusted_proxies, core.proxy_header)
    init_clients(app, proxies, ask_in_order(_identify_functions(app, assembled)))
    if core.sessions == "auto":
        sessions = _provided(app, assembled, "pegboard_session_strategy")
        app.session_interface = sessions or app.session_interface
    check_lookups(app, assembled)
    tables = [
        table
        for plugin in assembled.plugins
        if plugin.metadata is not None
        for table in plugin.metadata.tables.values()
    ]
    strategy = _cache(app, assembled, core)
    init_cache(
        app,
        strategy,
        tables,
        serve_hits=core.cache != "none",
        send_status_header=core.cache_status_header,
    )
    if strategy is not None:
        health = get_health(app)
        health.details["cache"] = strategy.stats
        health.shared["cache"] = getattr(strategy, "shared_stats", ())


def _identify_functions(app: Flask, assembled: Registry) -> list[tuple[str, Identify]]:
    """Return what identifies clients, in the order of the plugins, each with its plugin's name."""
    return [
        (plugin.name, identify)
        for plugin in assembled.implementing("pegboard_client_identity")
        for identify in call_with_app(app, assembled, plugin, "pegboard_client_identity")
        if identify is not None
    ]


def _provided(app: Flask, assembled: Registry, hook: str) -> Any:
    """Return the result of the one plugin that implements a single-provider hook, else None."""
    for plugin in assembled.implementing(hook):
        for result in call_with_app(app, assembled, plugin, hook):
            return result
    return None


def _cache(app: Flask, assembled: Registry, core: CoreSettings) -> CacheStrategy | None:
    strategy: CacheStrategy | None = None
    if core.cache != "memory":
        # Also with `none`: other processes may cache, and must learn of this one's writes.
        strategy = _provided(app, assembled, "pegboard_cache_strategy")
    if core.cache == "none":
        return strategy
    strategy = strategy or embedded_strategy(app, core.cache_memory_size)
    if strategy is None and core.cache == "memory":
        if core.workers > 1:
            summary = "PEGBOARD_CACHE is memory, but several workers would each have their own"
            hint = "Set WORKERS=1, or PEGBOARD_CACHE=auto with a caching plugin, or none."
            raise StartupError([Problem(Code.CACHE_NOT_SHARED, summary, hint)])
        _warn_of_unused(assembled)
        strategy = MemoryStrategy(size=core.cache_memory_size)
    return strategy


def _warn_of_unused(assembled: Registry) -> None:
    """Warn that a cache which all processes could share is not used."""
    unused = [one.plugin_name for one in assembled.hook.pegboard_cache_strategy.get_hookimpls()]
    if unused:
        logger.warning(
            "PEGBOARD_CACHE=memory caches in this process alone, and %s is not used: beside "
            "any other process on this database answers may be stale; unset PEGBOARD_CACHE to "
            "share one cache",
            ", ".join(unused),
        )
