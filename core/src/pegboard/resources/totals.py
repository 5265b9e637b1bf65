"""How many rows a list has: counted, or from the cache."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pegboard.cache import Cache, Collection
from pegboard.resources.conditions import Condition
from pegboard.resources.query import Wanted
from pegboard.stages import Waiting


@dataclass(frozen=True)
class Totals:
    """The totals of one resource's lists; each write to its table invalidates all of them."""

    collection: Collection | None
    """None where nothing is cached."""
    conditions: Mapping[str, Condition]

    async def get(
        self,
        cache: Cache,
        wanted: Wanted,
        count: Callable[[], Awaitable[int]],
        waiting: Waiting | None = None,
    ) -> int:
        """Return how many rows the filters and the search of a request leave.

        What is searched for hardly comes twice, so it is always counted. `count` and `waiting` are
        those of `Cache.total`.
        """
        if self.collection is None or wanted.search:
            return await count()
        return await cache.total(self.collection, self._name(wanted.conditions), count, waiting)

    def _name(self, filters: Mapping[str, Any]) -> str:
        """Return a name for filters and their values that no others have."""
        given = sorted((self.conditions[name].parameter, value) for name, value in filters.items())
        return hashlib.blake2b(repr(given).encode(), digest_size=16).hexdigest()
