"""The settings of the cache_redis plugin."""

from marshmallow.validate import Range

import pegboard


class CacheRedisSettings(pegboard.Settings):
    """What the cache may hold, and how its keys begin."""

    prefix: str = pegboard.setting(
        "pb", doc="What every key in Redis begins with; tell deployments on one server apart by it."
    )
    max_value_bytes: int = pegboard.setting(
        1024 * 1024, doc="Largest answer that is cached.", validate=Range(1, 64 * 1024**2)
    )
