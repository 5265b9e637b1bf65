"""What serves where only one can: the cache, the sessions, who the clients are."""

import logging
import re
from collections.abc import Iterable, Sequence
from typing import Any

from flask import Flask
from werkzeug.routing import Rule

from pegboard.api import Api
from pegboard.cache import (
    CacheStrategy,
    Lookup,
    MemoryStrategy,
    NullStrategy,
    embedded_strategy,
    find_lookups,
    init_cache,
)
from pegboard.clients import Proxies, init_clients
from pegboard.config import CoreSettings
from pegboard.contributions import call_plugin
from pegboard.health import get_health
from pegboard.problems import PluginError, Problem, StartupError
from pegboard.registry import Registry
from pegboard.stages import Stage

logger = logging.getLogger(__name__)


def init_strategies(app: Flask, assembled: Registry, core: CoreSettings) -> None:
    """Give the app its clients, its sessions and its cache; all views are in place."""
    proxies = Proxies.parse(core.trusted_proxies, core.proxy_header)
    init_clients(app, proxies, provided(app, assembled, "pegboard_client_identity"))
    if core.sessions == "auto":
        sessions = provided(app, assembled, "pegboard_session_strategy")
        app.session_interface = sessions or app.session_interface
    _check_lookups(app, assembled)
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
        get_health(app).details["cache"] = strategy.figures


def provided(app: Flask, assembled: Registry, hook: str) -> Any:
    """Return what the one plugin that implements a single-provider hook gives, if any."""
    for plugin in assembled.plugins:
        for result in call_plugin(assembled.manager, plugin, hook, app=app):
            return result
    return None


def collect_stages(app: Flask, assembled: Registry, *own: Stage) -> list[Stage]:
    """Return the core's own stages and those of all plugins.

    Raises `PluginError` for one that is not as it should be, or has the place or name of another.
    """
    stages = list(own)
    for plugin in assembled.plugins:
        for result in call_plugin(assembled.manager, plugin, "pegboard_stages", app=app):
            if not isinstance(result, Iterable):
                summary = f"pegboard_stages returned {type(result).__name__}"
                raise PluginError(plugin.problem(summary, "Return a list of stages."))
            for stage in result:
                if problem := _stage_problem(stage, stages):
                    raise PluginError(plugin.problem(*problem))
                stages.append(stage)
    return stages


def _stage_problem(stage: Any, others: Sequence[Stage]) -> tuple[str, str] | None:
    """Return what is wrong with a stage, and the cure."""
    name, order = getattr(stage, "name", None), getattr(stage, "order", None)
    if not isinstance(name, str) or not name:
        kind = type(stage).__name__
        return f"its stage {kind} has no name", "Give it a `name`, a text that is not empty."
    if not isinstance(order, int) or isinstance(order, bool):
        return (
            f"its stage {name} has no place: its order is {order!r}",
            "Give it an `order`, a number.",
        )
    if not callable(getattr(stage, "bind", None)):
        cure = "Give it `bind(route)`, which returns a handler or None."
        return f"its stage {name} cannot be bound to routes", cure
    for other in others:
        if other.order == order:
            summary = f"its stage {name} has the place {order} of {other.name}"
            return summary, "Give its `order` another number."
        if other.name == name:
            return f"it has a second stage of the name {name}", "Give it another `name`."
    return None


def described(app: Flask, api: Api, assembled: Registry) -> dict[str, Any]:
    """Return the OpenAPI document with what plugins add to it."""
    document: dict[str, Any] = api.spec.to_dict()
    for plugin in assembled.plugins:
        call_plugin(assembled.manager, plugin, "pegboard_openapi", app=app, document=document)
    return document


def _cache(app: Flask, assembled: Registry, core: CoreSettings) -> CacheStrategy:
    strategy: CacheStrategy | None = None
    if core.cache != "memory":
        # Also where none is wanted: other processes may cache, and this one's writes matter to it.
        strategy = provided(app, assembled, "pegboard_cache_strategy")
    if core.cache == "none":
        return strategy or NullStrategy()
    strategy = strategy or embedded_strategy(app, core.cache_memory_size)
    if strategy is None and core.cache == "memory":
        if core.workers > 1:
            summary = "PEGBOARD_CACHE is memory, but several workers would each have their own"
            cure = "Set WORKERS=1, or PEGBOARD_CACHE=auto with a caching plugin, or none."
            raise StartupError([Problem(summary, cure)])
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


def _check_lookups(app: Flask, assembled: Registry) -> None:
    """Look whether each cached view can be told by its name, and its rows by the URL."""
    named: dict[tuple[str, str], Lookup] = {}
    for rule, lookup in find_lookups(app):
        view = f"{lookup.function.__module__}.{lookup.function.__qualname__}"
        other = named.setdefault(lookup.identity, lookup)
        if other is not lookup:
            its = f"{other.function.__module__}.{other.function.__qualname__}"
            summary = f"the cached views {its} and {view} of {lookup.table.name} have one name"
            cure = 'Give one of the two a `name` of its own: @pegboard.cached(..., name="...").'
        elif rule.defaults or not _spells_key(rule, lookup):
            summary = (
                f"the cached view {view} is at {rule.rule}, whose variables are not the primary "
                f"key of {lookup.table.name}"
            )
            cure = "Give the URL one variable for each column of the key, in their order."
        else:
            continue
        raise _problem(assembled, rule, lookup, summary, cure)


def _spells_key(rule: Rule, lookup: Lookup) -> bool:
    """Return whether the variables of a URL can be the columns of the key."""
    columns = [column.name for column in lookup.table.primary_key.columns]
    variables = re.findall(r"<(?:[^<>]*:)?(\w+)>", rule.rule)
    # Names that are those of the columns must be in their order; others are the author's business.
    return variables == columns or (
        len(variables) == len(columns) and set(variables) != set(columns)
    )


def _problem(
    assembled: Registry, rule: Rule, lookup: Lookup, summary: str, cure: str
) -> PluginError | StartupError:
    """Return a problem of the plugin that a view belongs to."""
    owner = assembled.owner_of(rule.endpoint, lookup.function.__module__)
    if owner is None:
        return StartupError([Problem(summary, cure)])
    return PluginError(owner.problem(summary, cure))
