"""Caching that is never stale: what is cached, how it is kept coherent, and where it is stored."""

from pegboard.cache.counters import Counters
from pegboard.cache.decorator import cached
from pegboard.cache.extension import (
    embedded_strategy,
    find_lookups,
    find_missed_lookups,
    init_cache,
)
from pegboard.cache.lookup import Lookup
from pegboard.cache.memory import MemoryStrategy
from pegboard.cache.service import Cache, get_cache
from pegboard.cache.stage import CacheStage
from pegboard.cache.strategy import (
    LEASED,
    CacheStrategy,
    FleetStrategy,
    Key,
    Lease,
    Miss,
    NullStrategy,
    RemoteStrategy,
    Touched,
    Transaction,
)

__all__ = [
    "LEASED",
    "Cache",
    "CacheStage",
    "CacheStrategy",
    "Counters",
    "FleetStrategy",
    "Key",
    "Lease",
    "Lookup",
    "MemoryStrategy",
    "Miss",
    "NullStrategy",
    "RemoteStrategy",
    "Touched",
    "Transaction",
    "cached",
    "embedded_strategy",
    "find_lookups",
    "find_missed_lookups",
    "get_cache",
    "init_cache",
]
