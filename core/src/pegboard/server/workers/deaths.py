"""Workers that have died, and when each comes back."""

import logging
import time
from typing import TYPE_CHECKING

from pegboard.server.workers.companion import describe_exit
from pegboard.server.workers.watch import name_of

if TYPE_CHECKING:
    from granian.server.mp import WorkerProcess

logger = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds until a worker comes back after its second death in a row, and at most."""

SETTLED = 60.0
"""Seconds after which a worker's earlier deaths no longer count."""


class Deaths:
    """Which workers are gone, by their indexes; each comes back later after each death in a row."""

    def __init__(self) -> None:
        self._in_a_row: dict[int, int] = {}
        self._due_at: dict[int, float] = {}

    def __len__(self) -> int:
        """Return how many workers are gone."""
        return len(self._due_at)

    def __contains__(self, index: int) -> bool:
        """Return whether a worker is gone."""
        return index in self._due_at

    def take(self, worker: "WorkerProcess", *, is_expected: bool) -> None:
        """Log how a worker died, and decide when it comes back.

        At once if that was expected, as it was killed for a reason of its own.
        """
        index, now = worker.idx, time.monotonic()
        is_settled = now - worker.birth >= SETTLED
        earlier = 0 if is_settled else self._in_a_row.get(index, 0)
        deaths = self._in_a_row[index] = earlier if is_expected else earlier + 1
        is_paused = deaths > 1 and not is_expected
        pause = min(FIRST_PAUSE * 2 ** (deaths - 2), LONGEST_PAUSE) if is_paused else 0.0
        self._due_at[index] = now + pause
        logger.log(
            logging.INFO if is_expected else logging.ERROR,
            "%s %s; it is replaced %s",
            name_of(worker),
            "has ended" if is_expected else describe_exit(worker.inner.exitcode),
            f"in {pause:g} s, as it died {deaths} times in a row" if pause else "at once",
        )

    def due(self) -> list[int]:
        """Return the workers that are to come back now."""
        now = time.monotonic()
        return [index for index, when in self._due_at.items() if when <= now]

    def end_pauses(self) -> None:
        """Have all come back now, as at a reload: the cause of their deaths may be gone."""
        self._due_at = dict.fromkeys(self._due_at, time.monotonic())

    def note_start(self, index: int) -> None:
        """Note that a worker is started again."""
        self._due_at.pop(index, None)
