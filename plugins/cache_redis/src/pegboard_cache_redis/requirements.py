"""What the plugin cannot do without."""

from flask import Flask

import pegboard
from pegboard.redis import Channel, get_channel

_CURE = (
    "Set REDIS_URL, as in redis://host:6379/0; or do without both by PEGBOARD_CACHE=none and "
    "PEGBOARD_SESSIONS=cookie; or leave the plugin out by PEGBOARD_PLUGINS_DISABLED=cache_redis."
)


def require_channel(app: Flask) -> Channel:
    """Return the app's channel to Redis. Raises `pegboard.StartupError` when there is none."""
    channel = get_channel(app)
    if channel is None:
        summary = "REDIS_URL is not set, and the cache and the sessions are to be kept there"
        raise pegboard.StartupError([pegboard.Problem(summary, _CURE)])
    return channel
