"""The session strategy: Flask's sessions, stored in Redis."""

from pegboard_cache_redis.sessions.interface import (
    end_session,
    make_session_interface,
    rotate_session,
)

__all__ = [
    "end_session",
    "make_session_interface",
    "rotate_session",
]
