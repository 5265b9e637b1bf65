"""How many requests the limiter of one process has admitted and refused, by the names of rules."""

import threading
from collections.abc import Mapping

from pegboard.stages import Answer


class Tally:
    """The requests of one rule."""

    __slots__ = ("_lock", "admitted", "refused")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.admitted = 0
        self.refused = 0

    def note(self, answer: Answer | None) -> Answer | None:
        """Count a request by what the limiter answers, and return that; None admits it."""
        with self._lock:
            if answer is None:
                self.admitted += 1
            else:
                self.refused += 1
        return answer


class Tallies:
    """Those of all rules that have decided about a request; they outlive the rules."""

    def __init__(self) -> None:
        self._by_name: dict[str, Tally] = {}

    def of(self, name: str) -> Tally:
        """Return the tally of the rules of one name."""
        return self._by_name.setdefault(name, Tally())

    def stats(self) -> Mapping[str, Mapping[str, int]]:
        """Return how many were admitted and refused, by the names of rules."""
        known = dict(self._by_name)
        return {
            "admitted": {name: one.admitted for name, one in known.items()},
            "refused": {name: one.refused for name, one in known.items()},
        }
