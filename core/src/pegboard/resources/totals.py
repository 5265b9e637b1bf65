"""How many rows a list has: counted, or from the cache."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pegboard.cache import Cache, Collection, get_cache
from pegboard.resources.conditions import Condition
from pegboard.resources.query import Wanted
from pegboard.stages import Waiting


@dataclass(frozen=True)
class Totals:
    """The totals of one resource's lists; each write to its table invalidates all of them."""

    collection: Collection | None
    """None where nothing is cached."""
    conditions: Mapping[str, Condition]

    def get(self, wanted: Wanted, count: Callable[[], int]) -> int:
        """Return how many rows the filters and the search of a request leave.

        What is searched for hardly comes twice, so it is always counted.
        """
        if self.collection is None or wanted.search:
            return count()
        return get_cache().total(self.collection, self._name(wanted.conditions), count)

    async def get_without_flask(
        self, cache: Cache, wanted: Wanted, count: Callable[[], Awaitable[int]], waiting: Waiting
    ) -> int:
        """Return the total as `get` does, without an app context.

        `count` counts in a transaction of its own.
        """
        if self.collection is None or wanted.search:
            return await count()
        name = self._name(wanted.conditions)
        return await cache.total_without_flask(self.collection, name, count, waiting)

    def _name(self, filters: Mapping[str, Any]) -> str:
        """Return a name for filters and their values that no others have."""
        given = sorted((self.conditions[name].parameter, value) for name, value in filters.items())
        return hashlib.blake2b(repr(given).encode(), digest_size=16).hexdigest()
