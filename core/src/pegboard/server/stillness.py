"""Noticing that something does not go on."""

import time
from collections.abc import Callable

BEAT = 1.0
"""Seconds between two beats of a process, and between two looks at it."""


class Stillness:
    """For how long something has not changed, as seen by one who looks at it again and again."""

    def __init__(self) -> None:
        self._last: object = None
        self._looked_at = 0.0
        self._seconds = 0.0

    def follow(self, state: object, clock: Callable[[], float] = time.monotonic) -> float:
        """Return for how many seconds the state has been this one.

        Time for which nobody looked does not count: who looks may have stood still as well, as all
        processes of a suspended service have.
        """
        now = clock()
        passed = min(now - self._looked_at, 2 * BEAT)
        self._looked_at = now
        self._seconds = self._seconds + passed if state == self._last else 0.0
        self._last = state
        return self._seconds
