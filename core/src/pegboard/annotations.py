"""What a plugin can say about its views without requiring the plugin that acts on it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

__all__ = ["RateLimit", "cache_control", "cache_control_of", "rate_limit_of"]

T = TypeVar("T")

_VALUE = re.compile(r"[ -~]+")
_CACHE_CONTROL = "__pegboard_cache_control__"
_RATE_LIMIT = "__pegboard_rate_limit__"


@dataclass(frozen=True)
class RateLimit:
    """The limit that `rate_limit` notes on a view; it has no effect unless a limiter is active."""

    limit: str | None
    """As in `10/minute;100/day`; None exempts the view."""
    on_failure: str | None = None
    """While the storage of the counts is unavailable: `local`, `open` or `closed`; or None."""


def rate_limit(limit: str | None, *, on_failure: str | None = None) -> Callable[[T], T]:
    """Limit how often each client may call a view, or exempt the view with `rate_limit(None)`.

    Decorates a view function, a `MethodView` or one of its methods; for a blueprint it is called::

        blueprint = pegboard.rate_limit("60/minute")(pegboard.Blueprint("search", __name__))

        @blueprint.get("/api/search/")
        @pegboard.rate_limit("10/minute;100/day")
        def search(): ...

    `on_failure` says what to do while the storage of the counts is unavailable: `local`, `open` or
    `closed`; None is as configured. HEAD counts as GET and has no limit of its own. The decorator
    only notes the limit; a limiter such as pegboard-ratelimit enforces it. Raises `TypeError` for a
    limit that is neither text nor None.
    """
    given: object = limit
    if not isinstance(given, str | None):
        message = f"rate_limit wants text such as '10/minute', or None, and got {given!r}"
        raise TypeError(message)

    def annotate(target: T) -> T:
        setattr(target, _RATE_LIMIT, RateLimit(limit, on_failure))
        return target

    return annotate


def rate_limit_of(target: object) -> RateLimit | None:
    """Return what `rate_limit` noted on a view, a class or a blueprint, or None."""
    found: RateLimit | None = getattr(target, _RATE_LIMIT, None)
    return found


def cache_control(control: str) -> Callable[[T], T]:
    """Set the `Cache-Control` of a view's answers, which is `no-cache` by default.

    Decorates a view function, a `MethodView` or one of its methods, or a blueprint::

        @blueprint.get("/api/countries/")
        @cache_control("public, max-age=3600")
        def countries(): ...

    It holds for all answers but errors and those that set a cookie, and unless the view itself
    sets the header. Until it expires, an answer may be older than the last write. Raises
    `ValueError` for text that is no value of a header.
    """
    given: object = control
    if not isinstance(given, str) or not given.strip() or not _VALUE.fullmatch(given):
        message = f"cache_control wants text such as 'public, max-age=60', and got {control!r}"
        raise ValueError(message)

    def annotate(target: T) -> T:
        setattr(target, _CACHE_CONTROL, control)
        return target

    return annotate


def cache_control_of(target: object) -> str | None:
    """Return what `cache_control` noted on a view, a class or a blueprint, or None."""
    found: str | None = getattr(target, _CACHE_CONTROL, None)
    return found
