"""What one process has counted of the requests of one app, in its memory."""

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import count
from math import inf
from typing import TYPE_CHECKING

from pegboard.observation import Observation, Observer, Part
from pegboard.stages import Route
from pegboard_observe.parts import Parts

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, inf)
"""Upper bounds of the classes of durations, in seconds."""

UNMATCHED = "unmatched"
"""The label of requests that no route matches."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_OTHER = "other"
_CACHE = {True: "hit", False: "miss", None: "none"}

Key = tuple[int, str, int, bool | None]


class Series:
    """The requests of one route, method and status, and their times."""

    __slots__ = ("counts", "is_changed", "labels", "route", "seconds", "size")

    def __init__(self, route: Route | None, labels: tuple[str, ...]) -> None:
        self.route = route
        """Kept, so that no other route gets its id."""
        self.labels = labels
        """Method, route, status, plugin and cached."""
        self.counts = [0] * len(BUCKETS)
        """How many took as long as each class of durations has it."""
        self.seconds = 0.0
        self.size = 0
        self.is_changed = False


class Requests(Observer):
    """An observer that counts; each request costs it about a microsecond."""

    def __init__(self, run: Callable[[], None], stage_share: float) -> None:
        """`run` is called before the first request of the process is counted."""
        self._run = run
        self.stage_share = stage_share
        self.parts = Parts()
        """How long stages and hooks take."""
        self.reset()

    def reset(self) -> None:
        """Forget everything, as in a process that was forked from the one that counted."""
        self.parts.reset()
        self._series: dict[Key, Series] = {}
        self._lock = threading.Lock()
        self._begun = count()
        self._looks = self._ended = 0
        self._has_begun = False

    @property
    def in_flight(self) -> int:
        """How many requests have begun and not ended."""
        # Without a lock at each beginning: all that a count tells is its next number.
        with self._lock:
            begun = next(self._begun) - self._looks
            self._looks += 1
            return begun - self._ended

    def begin(self, _environ: "WSGIEnvironment", /) -> None:
        """Count a request that is in flight."""
        if not self._has_begun:
            self._run()
            self._has_begun = True
        next(self._begun)

    def end(self, one: Observation, /) -> None:
        """Count its answer."""
        method = one.environ["REQUEST_METHOD"]
        if method not in _METHODS:
            method = _OTHER
        key = id(one.route), method, one.status, one.is_cached
        place = bisect_left(BUCKETS, one.seconds)
        with self._lock:
            self._ended += 1
            series = self._series.get(key)
            if series is None:
                series = self._series[key] = Series(one.route, _labels(one, method))
            series.counts[place] += 1
            series.seconds += one.seconds
            series.size += one.size
            series.is_changed = True

    def part(self, part: Part, /) -> Callable[[float, float], None]:
        """Return what counts the runs of a stage or a hook."""
        return self.parts.find(part)

    def changed(self) -> Iterator[tuple[tuple[str, ...], list[int], float, int]]:
        """Yield labels, counts, seconds and bytes of what has changed since the last call."""
        with self._lock:
            found = [one for one in self._series.values() if one.is_changed]
            for one in found:
                one.is_changed = False
            states = [(one.labels, [*one.counts], one.seconds, one.size) for one in found]
        yield from states

    def note_all_changed(self) -> None:
        """Have `changed` yield everything again."""
        with self._lock:
            for one in self._series.values():
                one.is_changed = True
        self.parts.note_all_changed()


def _labels(one: Observation, method: str) -> tuple[str, ...]:
    route = UNMATCHED if one.route is None else one.route.rule.rule
    return method, route, str(one.status), one.plugin, _CACHE[one.is_cached]
