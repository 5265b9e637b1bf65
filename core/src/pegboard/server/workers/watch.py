"""Looks after the workers that run: which serves, stands still, or has served enough."""

import logging
import math
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING
from weakref import WeakSet

from pegboard.server.limits import Limits
from pegboard.server.workers.pulse import STILL, Phase, Pulse, Vitals, WatchedPulse
from pegboard.server.workers.roster import Roster, memory_of

if TYPE_CHECKING:
    from granian.server.mp import WorkerProcess

logger = logging.getLogger(__name__)

_YOUNG = 60.0
"""Seconds: a worker that has served enough so soon will be replaced again and again."""


class Watch:
    """The workers of one service, as its main process sees them once a second."""

    def __init__(self, limits: Limits, roster: Roster) -> None:
        self._limits = limits
        self._roster = roster
        self._watched: dict[WorkerProcess, WatchedPulse] = {}
        self._killed: WeakSet[WorkerProcess] = WeakSet()
        self._is_warned = False

    def add(self, worker: "WorkerProcess", pulse: Pulse) -> None:
        """Look after a worker from now on."""
        self._watched[worker] = WatchedPulse(pulse)

    def mark_replaced(self, worker: "WorkerProcess") -> None:
        """Let a worker know, before it is stopped, that another one has taken its place."""
        vitals = self._watched[worker].pulse.vitals
        # It has drained already if somebody else has told it to end.
        vitals.phase = max(vitals.phase, Phase.REPLACED)

    def has_killed(self, worker: "WorkerProcess") -> bool:
        """Return whether a worker was killed here."""
        return worker in self._killed

    def kill(self, worker: "WorkerProcess") -> None:
        """Kill a worker, and know that its death is no surprise."""
        worker.inner.kill()
        self.note_kill(worker)

    def note_kill(self, worker: "WorkerProcess") -> None:
        """Note that the death of a worker is no surprise."""
        self._killed.add(worker)

    def release_ended(self) -> None:
        """Free the memory of the workers that have ended."""
        for worker in [*self._watched]:
            if worker.inner.exitcode is not None:
                self._watched.pop(worker).pulse.release()

    def has_begun(self, worker: "WorkerProcess") -> bool:
        """Return whether a worker serves, or is about to: it may have requests."""
        watched = self._watched.get(worker)
        return watched is not None and watched.pulse.vitals.beats > 0

    def is_serving(self, worker: "WorkerProcess") -> bool:
        """Return whether a worker serves, and has done so for a beat at least."""
        watched = self._watched.get(worker)
        return (
            watched is not None and worker.inner.exitcode is None and watched.pulse.vitals.beats > 1
        )

    def kill_still(self) -> None:
        """Kill the workers that stand still or do not start, and log where their threads are."""
        is_served = False
        for worker, watched in self._running():
            vitals = watched.pulse.vitals
            if vitals.phase == Phase.DRAINED:
                continue  # how long that may last is for who stops it
            still, has_started = watched.look(), vitals.beats > 0
            if has_started:
                vitals.still_seconds = still
                is_served = is_served or still < STILL
            limits = self._limits
            longest = limits.worker_timeout if has_started else limits.worker_start_timeout
            if longest and still >= longest and not self.has_killed(worker):
                reason = "stands still for" if has_started else "does not serve after"
                message = f"%s {reason} %g s, and is killed"
                watched.pulse.log_stacks(logging.ERROR, message, name_of(worker), longest)
                self.kill(worker)
        self._roster.tell_alive(is_served=is_served)

    def log_stacks(self) -> None:
        """Log where the threads of all workers are."""
        for worker, watched in self._running():
            watched.pulse.log_stacks(logging.WARNING, "threads of %s", name_of(worker))

    def _running(self) -> Iterator[tuple["WorkerProcess", WatchedPulse]]:
        """Yield the workers whose processes have begun, and have not ended."""
        self.release_ended()
        for worker, watched in self._watched.items():
            if watched.pulse.vitals.pid:
                yield worker, watched

    def find_old(self, workers: Sequence["WorkerProcess"]) -> "WorkerProcess | None":
        """Return the oldest of these that have served enough, and log why.

        The first one would keep the others waiting for ever where it soon has served enough again.
        """
        self.release_ended()
        for worker in sorted(workers, key=lambda one: one.birth):
            watched = self._watched.get(worker)
            if watched is None or not watched.pulse.vitals.beats:
                continue
            if reason := self._reason_to_replace(worker, watched.pulse.vitals):
                setting, text = reason
                age = time.monotonic() - worker.birth
                if age < _YOUNG:
                    text = f"{text}, {age:.0f} s after its start; raise {setting}"
                level = logging.WARNING if age < _YOUNG else logging.INFO
                logger.log(level, "%s is replaced, as %s", name_of(worker), text)
                return worker
        return None

    def _reason_to_replace(self, worker: "WorkerProcess", vitals: Vitals) -> tuple[str, str] | None:
        """Return the setting by which a worker has served enough, and why; None if it has not."""
        limits, age = self._limits, time.monotonic() - worker.birth
        if age >= (limits.worker_lifetime or math.inf):
            return "PEGBOARD_WORKER_LIFETIME", f"it is {age:.0f} s old"
        if vitals.requests >= (limits.worker_max_requests or math.inf):
            return "PEGBOARD_WORKER_MAX_REQUESTS", f"it has taken {vitals.requests} requests"
        if limits.worker_max_rss and (rss := _rss_of(worker)) >= limits.worker_max_rss:
            if self._is_too_low(vitals.fresh_memory / 2**20):
                return None
            return "PEGBOARD_WORKER_MAX_RSS", f"it has {rss:.0f} MiB of memory"
        return None

    def _is_too_low(self, fresh: float) -> bool:
        """Return whether a worker had too much memory before its first request; warns once.

        The one that replaces it would have as much, so that all would be replaced for ever.
        """
        limit = self._limits.worker_max_rss
        if fresh < limit:
            return False
        if not self._is_warned:
            self._is_warned = True
            logger.warning(
                "no worker is replaced for its memory, as one that has just started has "
                "%.0f MiB, and PEGBOARD_WORKER_MAX_RSS is %d; "
                "raise PEGBOARD_WORKER_MAX_RSS",
                fresh,
                limit,
            )
        return True


def _rss_of(worker: "WorkerProcess") -> float:
    """Return how much memory a worker has, in MiB; 0 if it has ended."""
    return sum(memory_of([worker.inner.pid]).values()) / 2**20


def name_of(worker: "WorkerProcess") -> str:
    """Return the name of a worker for the log."""
    return f"worker {worker.idx + 1} (process {worker.inner.pid})"
