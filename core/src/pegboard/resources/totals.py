"""How many rows a list has: counted, or from the cache."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pegboard.cache import Cache, Collection
from pegboard.resources.conditions import Condition
from pegboard.resources.query import Wanted


@dataclass(frozen=True)
class Totals:
    """The totals of one resource's lists; each write to its table invalidates all of them."""

    collection: Collection | None
    """None where nothing is cached."""
    conditions: Mapping[str, Condition]

    def get(
        self, cache: Cache, wanted: Wanted, count: Callable[[], int], *, in_session: bool
    ) -> int:
        """Return how many rows the filters and the search of a request leave.

        What is searched for hardly comes twice, so it is always counted. `in_session` is whether
        `count` does so in the session of the request.
        """
        if self.collection is None or wanted.search:
            return count()
        name = self._name(wanted.conditions)
        return cache.total(self.collection, name, count, in_session=in_session)

    def _name(self, filters: Mapping[str, Any]) -> str:
        """Return a name that no other filters have, nor these with other values."""
        given = sorted((self.conditions[name].parameter, value) for name, value in filters.items())
        return hashlib.blake2b(repr(given).encode(), digest_size=16).hexdigest()
