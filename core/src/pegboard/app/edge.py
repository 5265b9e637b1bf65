"""The edge of an app, from its settings: compression, CORS and the path prefix."""

from flask import Flask

from pegboard.clients import PathPrefix, TrustedProxies, parse_prefix
from pegboard.http import CORS, Compression, Edge, available_codings, init_edge
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
