"""The settings of the cache_redis plugin."""

from marshmallow.validate import Range, Regexp

import pegboard

_LIFETIME = Range(60, 10 * 365 * 24 * 3600)


class CacheRedisSettings(pegboard.Settings):
    """Bounds on the cache and on sessions, and the prefix of their keys; durations in seconds."""

    prefix: str = pegboard.setting(
        "pb",
        doc="What every key in Redis begins with; another one for each deployment on a server.",
        validate=Regexp(r"[A-Za-z0-9._-]{1,40}\Z", error="1 to 40 of A-Z a-z 0-9 . _ and -"),
    )
    max_value_bytes: int = pegboard.setting(
        1024 * 1024, doc="Largest answer that is cached.", validate=Range(1, 64 * 1024**2)
    )
    session_lifetime: int = pegboard.setting(
        24 * 3600,
        doc="How long an unused session lives at most, and half of it at least; the cookie ends "
        "with the browser.",
        validate=_LIFETIME,
    )
    session_permanent_lifetime: int = pegboard.setting(
        14 * 24 * 3600,
        doc="The same for a session with `session.permanent = True`, whose cookie stays; replaces "
        "Flask's `PERMANENT_SESSION_LIFETIME`.",
        validate=_LIFETIME,
    )
    session_max_bytes: int = pegboard.setting(
        64 * 1024,
        doc="Largest session; more is an error of the view.",
        validate=Range(1024, 1024**2),
    )
