"""Counting requests in a sliding window, in Redis or in the process."""

from pegboard_ratelimit.counting.checked import ProvidedCounter
from pegboard_ratelimit.counting.memory import (
    MAX_CLIENTS,
    MemoryCounter,
    MemoryStorage,
    microseconds,
)
from pegboard_ratelimit.counting.redis import SharedStorage
from pegboard_ratelimit.counting.storage import Counter, Storage, StorageError, Verdict

__all__ = [
    "MAX_CLIENTS",
    "Counter",
    "MemoryCounter",
    "MemoryStorage",
    "ProvidedCounter",
    "SharedStorage",
    "Storage",
    "StorageError",
    "Verdict",
    "microseconds",
]
