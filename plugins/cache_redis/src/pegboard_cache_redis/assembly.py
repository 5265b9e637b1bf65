"""Putting the strategy of one app together."""

import logging

from flask import Flask

import pegboard
from pegboard_cache_redis.codec import Codec
from pegboard_cache_redis.keeper import Keeper
from pegboard_cache_redis.requirements import require_channel
from pegboard_cache_redis.settings import CacheRedisSettings
from pegboard_cache_redis.state import Fleet
from pegboard_cache_redis.strategy import RedisStrategy

logger = logging.getLogger(__name__)


def make_strategy(app: Flask) -> RedisStrategy | None:
    """Return the strategy; None where no other process can share the database."""
    channel = require_channel(app)
    with app.app_context():
        engine = pegboard.db.engine
    if engine.dialect.name == "sqlite" and engine.url.database in {None, "", ":memory:"}:
        logger.info("the database is in memory, and so is the cache")
        return None
    settings = pegboard.get_settings(CacheRedisSettings, app)
    secret = pegboard.get_settings(pegboard.CoreSettings, app).secret_key
    fleet = Fleet(engine)
    keeper = Keeper(channel, fleet, prefix=settings.prefix)
    codec = Codec(secret, max_size=settings.max_value_bytes)
    return RedisStrategy(channel, fleet, codec, keeper, prefix=settings.prefix)
