"""What the plugin requires of the app: a channel to Redis, which development may lack."""

import logging

from flask import Flask

import pegboard
from pegboard.redis import Channel, get_channel
from pegboard_cache_redis.problems import Code

logger = logging.getLogger(__name__)


_WARNED = "cache_redis.warned"


def find_channel(app: Flask) -> Channel | None:
    """Return the app's channel to Redis.

    Without a `REDIS_URL` it is None in development, and one warning for each app says what is done
    instead, so that a fresh installation runs. Elsewhere `pegboard.StartupError` is raised.
    """
    channel = get_channel(app)
    if channel is not None:
        return channel
    code = Code.NO_REDIS
    core = pegboard.get_settings(pegboard.CoreSettings, app)
    if core.env != "development":
        raise pegboard.StartupError([pegboard.Problem(code, code.example, code.hint)])
    if not app.extensions.get(_WARNED):
        app.extensions[_WARNED] = True
        with app.app_context():
            is_sqlite = pegboard.db.engine.dialect.name == "sqlite"
        logger.warning(
            "cache_redis: no REDIS_URL in development: %s%s [%s]",
            "sessions are in signed cookies, " if core.sessions == "auto" else "",
            "answers cached in memory" if is_sqlite and core.cache == "auto" else "nothing cached",
            code,
        )
    return None
