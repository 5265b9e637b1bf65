"""The edge of an app, from its settings: compression, CORS and the path prefix."""

from flask import Flask

from pegboard.clients import PathPrefix, TrustedProxies, parse_prefix
from pegboard.http import CORS, Compression, Edge, available_codings, init_edge
from pegboard.plugins import rules_of
from pegboard.problems import Code, Problem, StartupError
from pegboard.settings import CoreSettings


def add_edge(app: Flask, core: CoreSettings) -> Edge:
    """Give the app its edge; returns it."""
    codings = available_codings() if core.compression else ()
    cors = None
    if core.cors_origins:
        cors = CORS(core.cors_origins, core.cors_exposed_headers, core.cors_max_age)
    proxies = TrustedProxies.parse(core.trusted_proxies, core.proxy_header)
    prefix = PathPrefix(parse_prefix(core.path_prefix), proxies)
    edge = Edge(
        Compression(codings, core.compression_min_size),
        cors,
        prefix.mount if prefix.is_possible else None,
    )
    init_edge(app, edge)
    return edge


def check_prefix(app: Flask, core: CoreSettings) -> None:
    """Raise `StartupError` if a route begins with the path prefix.

    A request to such a route, from whose path the proxy has removed the prefix, would look like one
    from which it has yet to be removed, and would be answered with 404.
    """
    prefix = parse_prefix(core.path_prefix)
    hidden = [rule.rule for rule in rules_of(app) if f"{rule.rule}/".startswith(f"{prefix}/")]
    if prefix and hidden:
        summary = (
            f"setting PATH_PREFIX: {prefix!r} is also how routes of this service begin, such as "
            f"{min(hidden)}, which could not be reached"
        )
        hint = (
            "Set the prefix only if clients reach that route at "
            f"{prefix}{min(hidden)}, and then use another one; else leave it empty."
        )
        raise StartupError([Problem(Code.SETTING_INVALID, summary, hint)])
