"""A sliding window in bounded memory: it never admits more than the quota, at any timing.

Requests that follow each other closely are counted as one run: of a run only the time of its last
request and the number of its requests is kept. A run counts until the window since its last request
is over. So at any time each request of the window is counted, and no request is admitted while
`quota` are: there are never more than `quota` in any window, whenever they come.

A run may last for the grain, a fiftieth of the window; then the next one begins. So there are at
most 52 runs in a window, and a request is admitted at most a fiftieth of the window late. With a
quota up to 50 each request is a run by itself, and nothing is late.

`window.lua` is the same algorithm for Redis. Change both together.
"""

from array import array
from collections.abc import Sequence

from pegboard_ratelimit.counting.storage import Verdict
from pegboard_ratelimit.rules import SECOND, Limit

_TRIMMED = 64


class Log:
    """The runs of one policy. Times are microseconds of a clock that is never set back."""

    __slots__ = ("_first", "_last", "_newest", "_oldest", "_runs", "total")

    def __init__(self) -> None:
        self.total = 0
        """The number of requests counted."""
        self._newest = self._first = self._last = 0
        # Last time and requests of each earlier run in turn; those before `_oldest` are over.
        self._runs = array("q")
        self._oldest = 0

    def forget(self, until: int) -> None:
        """Drop the runs that ended at that time or before."""
        if self._last <= until:
            self.total = self._newest = self._oldest = 0
            del self._runs[:]
            return
        runs, oldest = self._runs, self._oldest
        while oldest < len(runs) and runs[oldest] <= until:
            self.total -= runs[oldest + 1]
            oldest += 2
        if oldest > _TRIMMED:
            del runs[:oldest]
            oldest = 0
        self._oldest = oldest

    def add(self, now: int, grain: int) -> None:
        """Count a request."""
        if self._newest and now - self._first > grain:
            self._runs.extend((self._last, self._newest))
            self._newest = 0
        if not self._newest:
            self._first = now
        self._last = now
        self._newest += 1
        self.total += 1

    def raise_to(self, total: int, at: int) -> None:
        """Count the requests that are missing from a total, as of that time."""
        missing = total - self.total
        if missing <= 0:
            return
        if self._newest:
            self._runs.extend((self._last, self._newest))
        self._first = self._last = max(at, self._last)
        self._newest = missing
        self.total = total

    def freeing_run(self, quota: int) -> int:
        """Return the end of the run whose expiry lets the total fall below the quota."""
        rest = self.total
        for place in range(self._oldest, len(self._runs), 2):
            rest -= self._runs[place + 1]
            if rest < quota:
                return self._runs[place]
        return self._last


def weigh(logs: Sequence[Log], limit: Limit, now: int, *, charge: bool) -> Verdict:
    """Admit a request if every policy does; if it is admitted and charged, count it in all logs."""
    terms = limit.terms
    wait = 0
    for log, (quota, span, _) in zip(logs, terms, strict=True):
        log.forget(now - span)
        if log.total >= quota:
            wait = max(wait, log.freeing_run(quota) + span - now)
    numbers: list[int] = []
    for log, (quota, span, grain) in zip(logs, terms, strict=True):
        if charge and not wait:
            log.add(now, grain)
        total = log.total
        free_at = (log.freeing_run(min(quota, total)) if total else now) + span
        numbers += (max(0, quota - total), -((now - free_at) // SECOND))
    return Verdict(wait, tuple(numbers))
