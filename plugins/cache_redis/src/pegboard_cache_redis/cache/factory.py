"""Making the strategy of one app."""

import logging
from typing import TYPE_CHECKING

from flask import Flask
from sqlalchemy.engine import URL

import pegboard
from pegboard.redis import get_channel
from pegboard_cache_redis.cache.codec import FORMAT, Codec
from pegboard_cache_redis.cache.epoch import EpochStore
from pegboard_cache_redis.cache.null_channel import NullChannel
from pegboard_cache_redis.cache.strategy import RedisStrategy
from pegboard_cache_redis.settings import CacheRedisSettings

if TYPE_CHECKING:
    from pegboard.redis import Channel

logger = logging.getLogger(__name__)


def make_strategy(app: Flask) -> RedisStrategy | None:
    """Return the strategy, or None to cache in the memory of each process.

    That is if the database is in memory, where no other process shares it, and in development on
    SQLite without a `REDIS_URL`. With `PEGBOARD_CACHE=none`, and in development on PostgreSQL, the
    strategy works without a `REDIS_URL`, and only lets other processes learn of this one's writes.
    """
    core = pegboard.get_settings(pegboard.CoreSettings, app)
    with app.app_context():
        engine = pegboard.db.engine
    is_sqlite = engine.dialect.name == "sqlite"
    channel: Channel | None = None
    if core.cache != "none" or core.redis_url is not None:
        channel = get_channel(app)
        if channel is None and is_sqlite:
            return None
    if is_sqlite and _is_in_memory(engine.url):
        logger.info("the database is in memory, and so is the cache")
        return None
    settings = pegboard.get_settings(CacheRedisSettings, app)
    epochs = EpochStore(engine, f"{settings.prefix}:{FORMAT}")
    codec = Codec(
        core.secret_key, max_size=settings.max_value_bytes, earlier=core.secret_key_fallbacks
    )
    return RedisStrategy(channel or NullChannel(), epochs, codec, prefix=settings.prefix)


def _is_in_memory(url: URL) -> bool:
    names = {None, "", ":memory:", "file::memory:"}
    return url.database in names or url.query.get("mode") == "memory"
