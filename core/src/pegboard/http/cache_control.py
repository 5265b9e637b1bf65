"""What caches between the service and its clients may keep: `Cache-Control` (RFC 9111).

The cache inside the service is invalidated by each write; one outside is not, so by default nothing
outside may be used without asking the service, and errors must not be kept at all.
"""

import functools
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from pegboard.http.headers import Headers, replace_header

CACHED_KEY = "pegboard.cached"
"""The key in the WSGI environment of whether the cache had the answer; unset if not asked."""

CACHE_CONTROL_KEY = "pegboard.cache_control"
"""The key in the WSGI environment of what the view's `cache_control` says, if it has one."""

PER_CLIENT = frozenset(
    {
        *("ratelimit", "ratelimit-policy"),
        *("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"),
    }
)
"""Headers that tell one client about itself; a shared cache must never give them to another."""

_NOT_SHARED = frozenset({"no-store", "private"})
NO_STORE = "no-store"
NO_CACHE = "no-cache"
PRIVATE = "private, no-cache"
NEVER_USED_UNASKED = frozenset({NO_STORE, NO_CACHE, PRIVATE})
"""The values that this module sets: no cache gives such an answer without asking the service."""


def set_control(
    environ: Mapping[str, Any], status: int, headers: Headers, found: Mapping[str, str]
) -> str:
    """Add `Cache-Control` to an answer without one, and keep what is for one client out of caches.

    `found` maps the names of its headers, in lower case, to their values. Returns the value.
    """
    given = found.get("cache-control")
    if given is None and "expires" in found:
        given = ""  # that is what the author says
    control = default_control(environ, status, found) if given is None else given
    if "set-cookie" in found and directives(control).isdisjoint(_NOT_SHARED | {"no-cache"}):
        control = NO_STORE
    if not PER_CLIENT.isdisjoint(found):
        if control == NO_CACHE:
            control = PRIVATE
        elif directives(control).isdisjoint(_NOT_SHARED):
            headers[:] = [pair for pair in headers if pair[0].lower() not in PER_CLIENT]
    if control != given:
        if given:
            replace_header(headers, "Cache-Control", control)
        else:
            headers.append(("Cache-Control", control))
    return control


def default_control(environ: Mapping[str, Any], status: int, found: Mapping[str, str]) -> str:
    """Return the `Cache-Control` of an answer that has none."""
    if status >= HTTPStatus.BAD_REQUEST or "set-cookie" in found:
        return NO_STORE
    given: str | None = environ.get(CACHE_CONTROL_KEY)
    if given is not None:
        return given
    if "HTTP_AUTHORIZATION" in environ or "cookie" in found.get("vary", "").lower():
        return NO_STORE
    return NO_CACHE


@functools.lru_cache(maxsize=256)
def directives(control: str) -> frozenset[str]:
    """Return the names of the directives of a `Cache-Control`, in lower case."""
    return frozenset(
        part.partition("=")[0].strip().lower() for part in control.split(",") if part.strip()
    )
