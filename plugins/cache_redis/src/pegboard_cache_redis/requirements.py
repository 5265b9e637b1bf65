"""What the plugin requires of the app: a channel to Redis."""

from flask import Flask

import pegboard
from pegboard.redis import Channel, get_channel
from pegboard_cache_redis.problems import Code


def require_channel(app: Flask) -> Channel:
    """Return the app's channel to Redis. Raises `pegboard.StartupError` when there is none."""
    channel = get_channel(app)
    if channel is None:
        code = Code.NO_REDIS
        raise pegboard.StartupError([pegboard.Problem(code, code.example, code.hint)])
    return channel
