"""The cache strategy: cached answers in Redis, kept coherent by fences and an epoch."""

from pegboard_cache_redis.cache.factory import make_strategy

__all__ = [
    "make_strategy",
]
