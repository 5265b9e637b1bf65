"""Cross-origin requests (CORS): the origins from which browsers may call."""

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
    """Allow the origins, as in `https://app.example`, or `*` for all.

    Returns the headers that are added to answers to requests without an `Origin`.
    """
    others = set(app.after_request_funcs.get(None, ()))
    headers = _allow(app, origins) if origins else ()
    app.extensions[EXTENSION] = frozenset(app.after_request_funcs.get(None, ())) - others
    return headers


def acts_only_on_origin(app: Flask, after_request: Callable[..., Any]) -> bool:
    """Return whether an `after_request` function of the app was registered by `init_cors`.

    To an answer to a request without an `Origin` such a function adds nothing but the headers that
    `init_cors` has returned.
    """
    return after_request in app.extensions[EXTENSION]


def _allow(app: Flask, origins: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    allows_all = "*" in origins
    CORS(
        app,
        origins=list(origins),
        expose_headers=list(EXPOSED_HEADERS),
        send_wildcard=allows_all,
        # Only browsers need the headers; without them a stage's answer need not pass through Flask.
        always_send=False,
        # A browser must not send credentials to a service that any origin may call.
        supports_credentials=not allows_all,
    )
    if allows_all:
        return ()
    # Caches must keep answers to different origins apart, even those without CORS headers.
    app.after_request(vary_by_origin)
    return (("Vary", "Origin"),)


def vary_by_origin(response: Response) -> Response:
    """Add `Origin` to the `Vary` header."""
    response.vary.add("Origin")
    return response
