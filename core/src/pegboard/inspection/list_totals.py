"""How the list of a resource tells how many rows there are."""

from flask import Flask

from pegboard.cache import CacheStage, find_collections, get_cache
from pegboard.resources import LIST, TOTAL_ON_REQUEST
from pegboard.settings import CoreSettings, get_settings
from pegboard.stages import Route


def explain_totals(app: Flask, route: Route | None) -> str | None:
    """Return when the list at a route has a total, and where it comes from; None for no list."""
    if route is None or not hasattr(app.view_functions[route.endpoint], LIST):
        return None
    is_on_request = get_settings(CoreSettings, app).resources_total == TOTAL_ON_REQUEST
    when = "for Prefer: count=exact alone" if is_on_request else "always"
    return f"{when}, except on a page by cursor (after); {_source(app, route)}"


def _source(app: Flask, route: Route) -> str:
    cache = get_cache(app)
    # Rules are compared by identity: two of the same text are equal.
    found = (one for rule, one in find_collections(app) if rule is route.rule)
    collection = next(found, None)
    if collection is None:
        return "counted for each request, as the resource has no ttl"
    if (reason := CacheStage(cache).why_off()) is not None:
        return f"counted for each request, as {reason}"
    return (
        f"kept by {cache.strategy.name} for {collection.ttl} s, or until {collection.table.name} "
        "or a table that the filters depend on is written to; that of a search is counted each time"
    )
