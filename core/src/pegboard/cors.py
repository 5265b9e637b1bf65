"""Which origins browsers may call from."""

from flask import Flask, Response
from flask_cors import CORS

EXPOSED_HEADERS = (
    *("ETag", "Link", "Location", "RateLimit", "RateLimit-Policy"),
    *("Retry-After", "X-Pagination", "X-Request-ID"),
    *("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"),
)


def init_cors(app: Flask, origins: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Allow the origins; returns the headers that answers to requests without an `Origin` get."""
    if not origins:
        return ()
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
