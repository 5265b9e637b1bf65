"""Which origins browsers may call from."""

from collections.abc import Callable
from typing import Any

from flask import Flask, Response
from flask_cors import CORS

EXTENSION = "pegboard.cors"

EXPOSED_HEADERS = (
    *("ETag", "Link", "Location", "RateLimit", "RateLimit-Policy"),
    *("Retry-After", "X-Pagination", "X-Request-ID"),
    *("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"),
)


def init_cors(app: Flask, origins: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Allow the origins; returns the headers that answers to requests without an `Origin` get."""
    others = set(app.after_request_funcs.get(None, ()))
    headers = _allow(app, origins) if origins else ()
    app.extensions[EXTENSION] = frozenset(app.after_request_funcs.get(None, ())) - others
    return headers


def acts_only_on_origin(app: Flask, after_request: Callable[..., Any]) -> bool:
    """Return whether an `after_request` function of the app is one that `init_cors` has added.

    Such a function changes nothing in an answer to a request without an `Origin` but what
    `init_cors` has returned.
    """
    return after_request in app.extensions[EXTENSION]


def _allow(app: Flask, origins: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    anyone = "*" in origins
    CORS(
        app,
        origins=list(origins),
        expose_headers=list(EXPOSED_HEADERS),
        send_wildcard=anyone,
        # Who is no browser has no use for it, and a stage's answer needs no detour for it.
        always_send=False,
        # A browser must not send credentials to a service that any origin may call.
        supports_credentials=not anyone,
    )
    if anyone:
        return ()
    # A cache must keep the answers to different origins apart, also those without a header.
    app.after_request(vary_by_origin)
    return (("Vary", "Origin"),)


def vary_by_origin(response: Response) -> Response:
    """Name `Origin` in `Vary`."""
    response.vary.add("Origin")
    return response
