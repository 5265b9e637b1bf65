"""Caching that is never stale: what is cached, how it is kept coherent, and where it is stored.

What `__all__` lists is public; the other names are for the packages of the core.
"""

from pegboard.cache.coherence import get_coherence as get_coherence
from pegboard.cache.collection import Collection as Collection
from pegboard.cache.collection import declare_collection as declare_collection
from pegboard.cache.counters import Counters
from pegboard.cache.declaration import declared_of as declared_of
from pegboard.cache.declaration import lookup_of as lookup_of
from pegboard.cache.decorator import Dependence as Dependence
from pegboard.cache.decorator import cached as cached
from pegboard.cache.decorator import cached_list as cached_list
from pegboard.cache.entry import Entry as Entry
from pegboard.cache.extension import embedded_strategy as embedded_strategy
from pegboard.cache.extension import find_cached_lists as find_cached_lists
from pegboard.cache.extension import find_collections as find_collections
from pegboard.cache.extension import find_lookups as find_lookups
from pegboard.cache.extension import find_missed_lookups as find_missed_lookups
from pegboard.cache.extension import init_cache as init_cache
from pegboard.cache.list_lookup import ListLookup as ListLookup
from pegboard.cache.lookup import Lookup as Lookup
from pegboard.cache.memory import MemoryStrategy as MemoryStrategy
from pegboard.cache.remote import (
    PreparedFence,
    PreparedLookup,
    RemoteFences,
    RemoteFills,
    RemoteStrategy,
)
from pegboard.cache.service import Cache, get_cache
from pegboard.cache.single_write import SingleWrite as SingleWrite
from pegboard.cache.stage import CacheStage as CacheStage
from pegboard.cache.strategy import (
    CacheStrategy,
    Key,
    Lease,
    Miss,
    MissReason,
    SharedStrategy,
    Touched,
    Transaction,
    UnconfirmedError,
    is_of_collection,
)

__all__ = [
    "Cache",
    "CacheStrategy",
    "Counters",
    "Key",
    "Lease",
    "Miss",
    "MissReason",
    "PreparedFence",
    "PreparedLookup",
    "RemoteFences",
    "RemoteFills",
    "RemoteStrategy",
    "SharedStrategy",
    "Touched",
    "Transaction",
    "UnconfirmedError",
    "get_cache",
    "is_of_collection",
]
