"""What the plugin requires of the app: a channel to Redis, which development may lack."""

import logging

from flask import Flask

import pegboard
from pegboard.redis import Channel, get_channel
from pegboard_cache_redis.problems import Code

logger = logging.getLogger(__name__)


def find_channel(app: Flask, instead: str) -> Channel | None:
    """Return the app's channel to Redis.

    Without a `REDIS_URL` it is None in development, and a warning says what is done `instead`, so
    that a fresh installation runs. Elsewhere `pegboard.StartupError` is raised.
    """
    channel = get_channel(app)
    if channel is not None:
        return channel
    code = Code.NO_REDIS
    if pegboard.get_settings(pegboard.CoreSettings, app).env != "development":
        raise pegboard.StartupError([pegboard.Problem(code, code.example, code.hint)])
    logger.warning(
        "cache_redis: REDIS_URL is not set: %s, as this is development [%s]. Set REDIS_URL, as in "
        "redis://host:6379/0; production does not start without it",
        instead,
        code,
    )
    return None
