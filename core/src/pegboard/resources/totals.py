"""How many rows a list has: counted, or from the cache."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pegboard.cache import Collection, get_cache
from pegboard.resources.conditions import Condition


@dataclass(frozen=True)
class Totals:
    """The totals of one resource's lists; each write to its table invalidates all of them."""

    collection: Collection | None
    """None where nothing is cached."""
    conditions: Mapping[str, Condition]

    def get(self, filters: Mapping[str, Any], search: str, count: Callable[[], int]) -> int:
        """Return how many rows the filters and the search leave.

        Filters are given by the names of their parameters. What is searched for hardly comes twice,
        so it is always counted.
        """
        if self.collection is None or search:
            return count()
        return get_cache().total(self.collection, self._name(filters), count)

    def _name(self, filters: Mapping[str, Any]) -> str:
        """Return a name that no other filters have, nor these with other values."""
        given = sorted((self.conditions[name].parameter, value) for name, value in filters.items())
        return hashlib.blake2b(repr(given).encode(), digest_size=16).hexdigest()
