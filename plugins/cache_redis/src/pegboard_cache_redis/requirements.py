"""What the plugin requires of the app: a Redis, which development may lack."""

import logging

from flask import Flask

import pegboard
from pegboard.redis import get_channel
from pegboard_cache_redis.problems import Code

logger = logging.getLogger(__name__)


def require_redis(app: Flask) -> None:
    """Check that the app has a Redis, if the plugin is to keep sessions or cached answers there.

    In development it may lack one, and a warning says what is done instead, so that a fresh
    installation runs. Elsewhere `pegboard.StartupError` is raised.
    """
    core = pegboard.get_settings(pegboard.CoreSettings, app)
    is_asked = core.sessions == "auto" or core.cache not in {"memory", "none"}
    if get_channel(app) is not None or not is_asked:
        return
    code = Code.NO_REDIS
    if core.env != "development":
        raise pegboard.StartupError([pegboard.Problem(code, code.example, code.hint)])
    with app.app_context():
        is_sqlite = pegboard.db.engine.dialect.name == "sqlite"
    logger.warning(
        "cache_redis: no REDIS_URL in development: %s%s [%s]",
        "sessions are in signed cookies, " if core.sessions == "auto" else "",
        "answers cached in memory" if is_sqlite and core.cache == "auto" else "nothing cached",
        code,
    )
