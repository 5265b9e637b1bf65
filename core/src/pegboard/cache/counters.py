"""Counting what a cache does."""

import threading
from collections.abc import Mapping


class Counters:
    """Counters with fixed names, from 0; callable from any thread."""

    def __init__(self, *names: str) -> None:
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(names, 0)

    def add(self, name: str, number: int = 1) -> None:
        """Count up. Raises `KeyError` for a name that was not given at the start."""
        with self._lock:
            self._counts[name] += number

    def stats(self) -> Mapping[str, int]:
        """Return the counts by name."""
        with self._lock:
            return dict(self._counts)
