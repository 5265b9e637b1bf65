"""Counting requests in sliding windows: in Redis, in the process, or by another plugin."""

from pegboard_ratelimit.counting.checked import CheckedCounter
from pegboard_ratelimit.counting.memory import (
    MAX_CLIENTS,
    MemoryCounter,
    MemoryStorage,
    microseconds,
)
from pegboard_ratelimit.counting.redis import RedisStorage
from pegboard_ratelimit.counting.storage import Counter, Storage, StorageError, Verdict

__all__ = [
    "MAX_CLIENTS",
    "CheckedCounter",
    "Counter",
    "MemoryCounter",
    "MemoryStorage",
    "RedisStorage",
    "Storage",
    "StorageError",
    "Verdict",
    "microseconds",
]
