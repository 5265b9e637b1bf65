"""Replacing workers without losing a request: at SIGHUP, and when one has served enough.

An old worker is stopped only when the new one has served for a beat. While new ones die or do not
start, however long that lasts, the old one goes on serving.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pegboard.server.workers.companion import describe_exit
from pegboard.server.workers.watch import Watch, name_of

if TYPE_CHECKING:
    from granian.server.mp import WorkerProcess

logger = logging.getLogger(__name__)


class Reload:
    """Replaces workers one after the other, in steps that never wait."""

    def __init__(self, watch: Watch, kill_timeout: float | None) -> None:
        """`kill_timeout` is how many seconds an old worker may take to end; None is for ever."""
        self._watch = watch
        self._kill_timeout = kill_timeout or math.inf
        self._outdated: list[int] = []
        self._leaving: _Leaving | None = None
        self.is_active = False
        """Whether workers are being replaced."""

    def begin(self, indexes: Iterable[int]) -> None:
        """Have the workers with these indexes replaced, also those that a reload has started."""
        self._outdated = [*indexes]
        self.is_active = True

    def note_started(self, index: int) -> None:
        """Note that the worker with an index is a new one, whoever has started it."""
        if index in self._outdated:
            self._outdated.remove(index)

    @property
    def leaving(self) -> list["WorkerProcess"]:
        """The old worker that still runs, if any."""
        return [self._leaving.worker] if self._leaving is not None else []

    def advance(self, workers: Sequence["WorkerProcess"], start: Callable[[int], None]) -> bool:
        """Take the next step: start a worker, or stop the one that it replaces.

        `workers` are the newest ones; `start` puts a new one there and calls `note_started`.
        Returns whether this was the last step: all workers are new, and serve.
        """
        if (leaving := self._leaving) is not None:
            self._end(leaving, workers[leaving.index])
        elif self._outdated:
            index = self._outdated[0]
            if workers[index].inner.is_alive():
                self._leaving = _Leaving(index, workers[index])
            start(index)
        elif self.is_active and all(map(self._watch.is_serving, workers)):
            self.is_active = False
            return True
        return False

    def _end(self, leaving: "_Leaving", new: "WorkerProcess") -> None:
        """Stop an old worker once the new one serves, and kill it if it does not end."""
        old, now = leaving.worker, time.monotonic()
        if not old.inner.is_alive():
            self._leaving = None
            if leaving.stopped_at is None:
                exit_ = describe_exit(old.inner.exitcode)
                logger.error("%s %s; it was about to be replaced", name_of(old), exit_)
        elif leaving.stopped_at is None:
            if self._watch.is_serving(new):
                self._watch.note_replaced(old)
                old.terminate()  # type: ignore[no-untyped-call]
                leaving.stopped_at = now
        elif now - leaving.stopped_at >= self._kill_timeout:
            logger.warning("worker %d does not end, and is killed", leaving.index + 1)
            old.kill()  # type: ignore[no-untyped-call]


@dataclass
class _Leaving:
    """An old worker, while it still runs."""

    index: int
    worker: "WorkerProcess"
    stopped_at: float | None = None
    """The time at which it was told to stop."""
