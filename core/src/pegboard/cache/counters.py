"""Counting what a cache does."""

import threading
from collections.abc import Mapping


class Counters:
    """Counters that many threads count up."""

    def __init__(self, *names: str) -> None:
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(names, 0)

    def add(self, name: str, number: int = 1) -> None:
        """Count."""
        with self._lock:
            self._counts[name] += number

    def stats(self) -> Mapping[str, int]:
        """Return the counts by name."""
        with self._lock:
            return dict(self._counts)
