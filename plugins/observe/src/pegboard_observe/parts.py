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

    __slots__ = ("counts", "is_changed", "labels", "lock", "seconds")

    def __init__(self, part: Part) -> None:
        self.labels = part.plugin, str(part.kind), part.name
        self.reset()

    def reset(self) -> None:
        """Begin at zero, as in a process that was forked from the one that has measured."""
        self.lock = threading.Lock()
        self.counts = [0] * len(PART_BUCKETS)
        self.seconds = 0.0
        self.is_changed = False

    def note(self, seconds: float) -> None:
        """Count one run."""
        place = bisect_left(PART_BUCKETS, seconds)
        with self.lock:
            self.counts[place] += 1
            self.seconds += seconds
            self.is_changed = True


class Parts:
    """All parts of one app."""

    def __init__(self) -> None:
        self._times: dict[Part, Times] = {}

    def find(self, part: Part) -> Callable[[float], None]:
        """Return what counts the runs of a part."""
        return self._times.setdefault(part, Times(part)).note

    def reset(self) -> None:
        """Begin all at zero."""
        for one in self._times.values():
            one.reset()

    def changed(self) -> Iterator[tuple[tuple[str, ...], list[int], float]]:
        """Yield labels, counts and seconds of what has changed since the last call."""
        for one in [*self._times.values()]:
            if not one.is_changed:
                continue
            with one.lock:
                one.is_changed = False
                counts, seconds = [*one.counts], one.seconds
            yield one.labels, counts, seconds
