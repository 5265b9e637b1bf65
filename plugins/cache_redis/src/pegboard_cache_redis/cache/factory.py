"""Putting the strategy of one app together."""

import logging

from flask import Flask
from sqlalchemy.pool import StaticPool

import pegboard
from pegboard_cache_redis.cache.codec import FORMAT, Codec
from pegboard_cache_redis.cache.epoch import Fleet
from pegboard_cache_redis.cache.null_channel import NoChannel
from pegboard_cache_redis.cache.strategy import RedisStrategy
from pegboard_cache_redis.requirements import require_channel
from pegboard_cache_redis.settings import CacheRedisSettings

logger = logging.getLogger(__name__)


def make_strategy(app: Flask) -> RedisStrategy | None:
    """Return the strategy; None where nobody can share the database.

    A process that wants no cache needs no Redis, but others may cache what it writes.
    """
    core = pegboard.get_settings(pegboard.CoreSettings, app)
    is_needless = core.cache == "none" and core.redis_url is None
    channel = NoChannel() if is_needless else require_channel(app)
    with app.app_context():
        engine = pegboard.db.engine
    if engine.dialect.name == "sqlite" and isinstance(engine.pool, StaticPool):
        logger.info("the database is in memory, and so is the cache")
        return None
    settings = pegboard.get_settings(CacheRedisSettings, app)
    fleet = Fleet(engine, f"{settings.prefix}:{FORMAT}")
    codec = Codec(core.secret_key, max_size=settings.max_value_bytes)
    return RedisStrategy(channel, fleet, codec, prefix=settings.prefix)
