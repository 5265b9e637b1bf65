"""What serves where only one can: the cache, the sessions, who the clients are."""

import logging
from typing import Any

from flask import Flask

from pegboard.api import get_health
from pegboard.app.cached_views import check_lookups
from pegboard.cache import (
    CacheStrategy,
    MemoryStrategy,
    NullStrategy,
    embedded_strategy,
    init_cache,
)
from pegboard.clients import TrustedProxies, init_clients
from pegboard.plugins import Registry, call_plugin
from pegboard.problems import Code, Problem, StartupError
from pegboard.settings import CoreSettings

logger = logging.getLogger(__name__)


def init_strategies(app: Flask, assembled: Registry, core: CoreSettings) -> None:
    """Give the app its clients, its sessions and its cache; all views are in place."""
    proxies = TrustedProxies.parse(core.trusted_proxies, core.proxy_header)
    init_clients(app, proxies, _provided(app, assembled, "pegboard_client_identity"))
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
    gives = core.cache != "none"
    init_cache(app, strategy, tables, gives=gives, tells=core.cache_status_header)
    if not isinstance(strategy, NullStrategy):
        get_health(app).details["cache"] = strategy.stats


def _provided(app: Flask, assembled: Registry, hook: str) -> Any:
    """Return what the one plugin that implements a single-provider hook gives, if any."""
    for plugin in assembled.plugins:
        for result in call_plugin(assembled.manager, plugin, hook, app=app):
            return result
    return None


def _cache(app: Flask, assembled: Registry, core: CoreSettings) -> CacheStrategy:
    strategy: CacheStrategy | None = None
    if core.cache != "memory":
        # Also where none is wanted: other processes may cache, and this one's writes matter to it.
        strategy = _provided(app, assembled, "pegboard_cache_strategy")
    if core.cache == "none":
        return strategy or NullStrategy()
    strategy = strategy or embedded_strategy(app, core.cache_memory_size)
    if strategy is None and core.cache == "memory":
        if core.workers > 1:
            summary = "PEGBOARD_CACHE is memory, but several workers would each have their own"
            hint = "Set WORKERS=1, or PEGBOARD_CACHE=auto with a caching plugin, or none."
            raise StartupError([Problem(Code.CACHE_NOT_SHARED, summary, hint)])
        _warn_of_unused(assembled)
        strategy = MemoryStrategy(size=core.cache_memory_size)
    return strategy or NullStrategy()


def _warn_of_unused(assembled: Registry) -> None:
    """Tell the operator that a cache which all processes could share lies idle."""
    unused = [one.plugin_name for one in assembled.hook.pegboard_cache_strategy.get_hookimpls()]
    if unused:
        logger.warning(
            "PEGBOARD_CACHE=memory caches in this process alone, and %s is not used: beside "
            "any other process on this database answers may be stale; unset PEGBOARD_CACHE to "
            "share one cache",
            ", ".join(unused),
        )
