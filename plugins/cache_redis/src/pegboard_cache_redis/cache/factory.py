"""Making the strategy of one app."""

import logging

from flask import Flask
from sqlalchemy.engine import URL

import pegboard
from pegboard_cache_redis.cache.codec import FORMAT, Codec
from pegboard_cache_redis.cache.epoch import EpochStore
from pegboard_cache_redis.cache.null_channel import NullChannel
from pegboard_cache_redis.cache.strategy import RedisStrategy
from pegboard_cache_redis.requirements import require_channel
from pegboard_cache_redis.settings import CacheRedisSettings

logger = logging.getLogger(__name__)


def make_strategy(app: Flask) -> RedisStrategy | None:
    """Return the strategy; None if the database is in memory, where no other process shares it.

    Also with `PEGBOARD_CACHE=none`, when Redis is not required: other processes may cache what this
    one writes. Raises `pegboard.StartupError` if Redis is required and there is no `REDIS_URL`.
    """
    core = pegboard.get_settings(pegboard.CoreSettings, app)
    needs_no_redis = core.cache == "none" and core.redis_url is None
    channel = NullChannel() if needs_no_redis else require_channel(app)
    with app.app_context():
        engine = pegboard.db.engine
    if engine.dialect.name == "sqlite" and _is_in_memory(engine.url):
        logger.info("the database is in memory, and so is the cache")
        return None
    settings = pegboard.get_settings(CacheRedisSettings, app)
    epochs = EpochStore(engine, f"{settings.prefix}:{FORMAT}")
    codec = Codec(core.secret_key, max_size=settings.max_value_bytes)
    return RedisStrategy(channel, epochs, codec, prefix=settings.prefix)


def _is_in_memory(url: URL) -> bool:
    names = {None, "", ":memory:", "file::memory:"}
    return url.database in names or url.query.get("mode") == "memory"
