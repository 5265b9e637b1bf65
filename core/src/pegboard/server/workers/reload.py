"""Replacing workers: at SIGHUP, and when one has served enough.

An old worker is stopped only when the new one has served for a beat, which it begins when it is
ready (`succession`). While new ones die or do not start, however long that lasts, the old one goes
on serving. No request is lost that ends within the time that a stop waits for requests; with others
it is killed.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

from pegboard.server.workers.companion import describe_exit
from pegboard.server.workers.watch import Watch, name_of

if TYPE_CHECKING:
    from granian.server.mp import WorkerProcess

logger = logging.getLogger(__name__)

_POLL = 0.1


class Reload:
    """Replaces workers one after the other, in steps that never wait."""

    def __init__(
        self, watch: Watch, kill_timeout: float | None, end_pauses: Callable[[], object]
    ) -> None:
        """`kill_timeout` is how many seconds an old worker may take to end; None is for ever.

        `end_pauses` is called where only a new worker can serve in place of an old one, which may
        be in a pause after its death.
        """
        self._watch = watch
        self._end_pauses = end_pauses
        self._kill_timeout = kill_timeout or math.inf
        self._outdated: list[int] = []
        self._leaving: _Leaving | None = None
        self.is_active = False
        """Whether workers are being replaced."""

    def begin(self, indexes: Iterable[int]) -> None:
        """Have the workers with these indexes replaced, also those that a reload has started."""
        self._outdated = [*indexes]
        self.is_active = True

    def note_start(self, index: int) -> None:
        """Note that a worker is started: one that is to replace an old one is new.

        Another, which replaces one that died, may serve without being ready. So it is replaced in
        its turn.
        """
        leaving = self._leaving
        is_successor = leaving is not None and leaving.index == index and leaving.stopped_at is None
        if is_successor and index in self._outdated:
            self._outdated.remove(index)

    @property
    def leaving(self) -> list["WorkerProcess"]:
        """The old worker that still runs, if any."""
        return [self._leaving.worker] if self._leaving is not None else []

    def advance(self, workers: Sequence["WorkerProcess"], start: Callable[[int], None]) -> bool:
        """Take the next step: start a worker, or stop the one that it replaces.

        `workers` are the newest ones; `start` puts a new one there and calls `note_start`.
        Returns whether this was the last step: all workers are new, and serve.
        """
        if (leaving := self._leaving) is not None:
            self._end(leaving, workers[leaving.index])
        elif self._outdated:
            index = self._outdated.pop(0)
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
                is_expected = self._watch.has_killed(old)
                logger.log(
                    logging.INFO if is_expected else logging.ERROR,
                    "%s %s; it was about to be replaced",
                    name_of(old),
                    "has ended" if is_expected else describe_exit(old.inner.exitcode),
                )
                self._end_pauses()
        elif leaving.stopped_at is None:
            if self._watch.is_serving(new):
                self._watch.mark_replaced(old)
                old.terminate()  # type: ignore[no-untyped-call]
                leaving.stopped_at = now
            elif leaving.index in self._outdated and not self._watch.has_begun(new):
                # It has read what is outdated by now, and another one may be ready.
                self._outdated.remove(leaving.index)
                self._watch.kill(new)
        elif now - leaving.stopped_at >= self._kill_timeout and not leaving.is_killed:
            leaving.is_killed = True
            kill_leaving(old, self._kill_timeout)
            self._watch.note_kill(old)


@dataclass
class _Leaving:
    """An old worker, while it still runs."""

    index: int
    worker: "WorkerProcess"
    stopped_at: float | None = None
    """The time at which it was told to stop."""
    is_killed: bool = False


def kill_leaving(worker: "WorkerProcess", seconds: float) -> None:
    """Kill a worker that has not ended that long after it was told to, and log it."""
    message = "%s has requests that have not ended after %g s, and is killed"
    logger.warning(message, name_of(worker), seconds)
    worker.kill()  # type: ignore[no-untyped-call]


def exit_code_of(worker: "WorkerProcess") -> int | None:
    """Return the exit code of a worker that has ended; None if it is not known after a second.

    It is known to the thread that was told of the end, and to others once that has noted it.
    """
    latest = time.monotonic() + 1.0
    while worker.inner.exitcode is None and time.monotonic() < latest:
        time.sleep(0.01)
    code: int | None = worker.inner.exitcode
    return code


def has_ended(worker: "WorkerProcess", *, by: float) -> bool:
    """Wait until a worker has ended; returns whether it has by then, as of `time.monotonic`."""
    while worker.inner.exitcode is None:
        left = by - time.monotonic()
        # The latter is known at once, the former only when the thread that was told has noted it.
        if wait([worker.inner.sentinel], max(0.0, min(left, _POLL))):
            return True
        if left <= 0:
            return False
    return True
