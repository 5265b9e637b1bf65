"""A cache and sessions in Redis for Pegboard, never stale."""

from pegboard_cache_redis.sessions import end_session, rotate_session

__all__ = ["end_session", "rotate_session"]
