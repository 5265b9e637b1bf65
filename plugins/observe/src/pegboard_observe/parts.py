"""How long stages and hooks take in one process, in its memory."""

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator
from math import inf

from pegboard.observation import Part

PART_BUCKETS = (0.00001, 0.0001, 0.001, 0.01, 0.1, 1.0, inf)
"""Upper bounds of the classes of durations, in seconds: most stages take microseconds."""


class Times:
    """How long one part has taken."""

    __slots__ = ("_counts", "_is_changed", "_lock", "_seconds", "labels")

    def __init__(self, part: Part) -> None:
        self.labels = part.plugin, str(part.kind), part.name
        self.reset()

    def reset(self) -> None:
        """Begin at zero, as in a process that was forked from the one that has measured."""
        self._lock = threading.Lock()
        self._counts = [0.0] * len(PART_BUCKETS)
        self._seconds = 0.0
        self._is_changed = False

    def note(self, seconds: float, stands_for: float) -> None:
        """Count as many runs as one stands for."""
        place = bisect_left(PART_BUCKETS, seconds)
        with self._lock:
            self._counts[place] += stands_for
            self._seconds += seconds * stands_for
            self._is_changed = True

    def changed(self) -> tuple[list[float], float] | None:
        """Return counts and seconds; None if they are those of the last call."""
        with self._lock:
            if not self._is_changed:
                return None
            self._is_changed = False
            return [*self._counts], self._seconds

    def note_changed(self) -> None:
        """Have `changed` return them again."""
        with self._lock:
            self._is_changed = any(self._counts)


class Parts:
    """All parts of one app."""

    def __init__(self) -> None:
        self._times: dict[Part, Times] = {}

    def find(self, part: Part) -> Callable[[float, float], None]:
        """Return what notes the runs of a part."""
        return self._times.setdefault(part, Times(part)).note

    def reset(self) -> None:
        """Begin all at zero."""
        for one in self._times.values():
            one.reset()

    def changed(self) -> Iterator[tuple[tuple[str, ...], list[float], float]]:
        """Yield labels, counts and seconds of what has changed since the last call."""
        for one in [*self._times.values()]:
            if (found := one.changed()) is not None:
                yield one.labels, *found

    def note_all_changed(self) -> None:
        """Have `changed` yield everything again."""
        for one in [*self._times.values()]:
            one.note_changed()
