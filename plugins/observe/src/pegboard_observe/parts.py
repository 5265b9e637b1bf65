"""How long stages and hooks take in one process, in its memory."""

import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from math import inf

from pegboard.observation import Part

PART_BUCKETS = (0.00001, 0.0001, 0.001, 0.01, 0.1, 1.0, inf)
"""Upper bounds of the classes of durations, in seconds: most stages take microseconds."""

_MOST = 100_000
"""How many durations of a part are kept at most until they are counted, once a second."""


class Times:
    """How long one part has taken.

    Each request runs several parts. So a run is only noted, and runs are counted together.
    """

    __slots__ = ("_counts", "_is_changed", "_lock", "_noted", "_seconds", "labels", "note")

    def __init__(self, part: Part) -> None:
        self.labels = part.plugin, str(part.kind), part.name
        # Where nobody counts them, as in a command, the oldest are forgotten.
        self._noted: deque[float] = deque(maxlen=_MOST)
        self.note = self._noted.append
        """Notes one run, in seconds; a call less than a method would be."""
        self.reset()

    def reset(self) -> None:
        """Begin at zero, as in a process that was forked from the one that has measured."""
        self._lock = threading.Lock()
        self._noted.clear()
        self._counts = [0] * len(PART_BUCKETS)
        self._seconds = 0.0
        self._is_changed = False

    def changed(self) -> tuple[list[int], float] | None:
        """Return counts and seconds; None if they are those of the last call."""
        with self._lock:
            self._count()
            if not self._is_changed:
                return None
            self._is_changed = False
            return [*self._counts], self._seconds

    def note_changed(self) -> None:
        """Have `changed` return them again."""
        with self._lock:
            self._count()
            self._is_changed = any(self._counts)

    def _count(self) -> None:
        """Count what is noted; other threads may go on to note."""
        durations = sorted(self._noted.popleft() for _ in range(len(self._noted)))
        if not durations:
            return
        below = 0
        for place, bound in enumerate(PART_BUCKETS):
            up_to = bisect_right(durations, bound)
            self._counts[place] += up_to - below
            below = up_to
        self._seconds += sum(durations)
        self._is_changed = True


class Parts:
    """All parts of one app."""

    def __init__(self) -> None:
        self._times: dict[Part, Times] = {}

    def find(self, part: Part) -> Callable[[float], None]:
        """Return what notes the runs of a part."""
        return self._times.setdefault(part, Times(part)).note

    def reset(self) -> None:
        """Begin all at zero."""
        for one in self._times.values():
            one.reset()

    def changed(self) -> Iterator[tuple[tuple[str, ...], list[int], float]]:
        """Yield labels, counts and seconds of what has changed since the last call."""
        for one in [*self._times.values()]:
            if (found := one.changed()) is not None:
                yield one.labels, *found

    def note_all_changed(self) -> None:
        """Have `changed` yield everything again."""
        for one in [*self._times.values()]:
            one.note_changed()
