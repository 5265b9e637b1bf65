"""Counting what a cache does."""

import threading
from collections.abc import Mapping


class Counters:
    """Counters with the given names, all 0 at first; many threads may add to them."""

    def __init__(self, *names: str) -> None:
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(names, 0)

    def add(self, name: str, number: int = 1) -> None:
        """Add a number to a counter. Raises `KeyError` for a name that was not given."""
        with self._lock:
            self._counts[name] += number

    def stats(self) -> Mapping[str, int]:
        """Return a copy of the counts by name."""
        with self._lock:
            return dict(self._counts)
