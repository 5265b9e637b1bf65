"""What the plugin requires: Redis."""

from flask import Flask

import pegboard
from pegboard.redis import Channel, get_channel

_HINT = (
    "Set REDIS_URL, as in redis://host:6379/0; or use neither, with PEGBOARD_CACHE=none and "
    "PEGBOARD_SESSIONS=cookie; or disable the plugin, with PEGBOARD_PLUGINS_DISABLED=cache_redis."
)


def require_channel(app: Flask) -> Channel:
    """Return the app's channel to Redis. Raises `pegboard.StartupError` when there is none."""
    channel = get_channel(app)
    if channel is None:
        summary = "REDIS_URL is not set, and the cache and the sessions are to be kept in Redis"
        raise pegboard.StartupError([pegboard.Problem(summary, _HINT)])
    return channel
