"""Looks after the workers that run: which one stands still, and which one has served enough."""

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from granian.server.mp import WorkerProcess

from pegboard.server.address import Limits
from pegboard.server.pulse import STILL, Pulse, Stillness
from pegboard.server.roster import Roster, memory_of

logger = logging.getLogger(__name__)


class Watch:
    """The workers of one service, as its main process sees them once a second."""

    def __init__(self, limits: Limits, roster: Roster) -> None:
        self._limits = limits
        self._roster = roster
        self._watched: dict[WorkerProcess, _Watched] = {}

    def add(self, worker: WorkerProcess, pulse: Pulse) -> None:
        """Look after a worker from now on."""
        self._watched[worker] = _Watched(pulse)

    def note_replaced(self, worker: WorkerProcess) -> None:
        """Let a worker know, before it is stopped, that another one has taken its place."""
        self._watched[worker].pulse.note_replaced()

    def running(self) -> list[WorkerProcess]:
        """Return the workers that can serve, or could while they stand still."""
        for worker in [*self._watched]:
            if worker.inner.exitcode is not None:
                self._watched.pop(worker).pulse.release()
        return [worker for worker, watched in self._watched.items() if watched.pulse.beats]

    def kill_still(self) -> None:
        """Kill the workers that stand still, and log where their threads are."""
        seconds, is_served = self._limits.worker_timeout, False
        for worker in self.running():
            still = self._watched[worker].look()
            is_served = is_served or still < STILL
            if seconds and still >= seconds:
                message = "%s stands still for %g s, and is killed"
                self._log_stacks(worker, logging.ERROR, message, name_of(worker), seconds)
                worker.inner.kill()
        self._roster.note_supervision(is_served=is_served)

    def log_stacks(self) -> None:
        """Log where the threads of all workers are."""
        for worker in self.running():
            self._log_stacks(worker, logging.WARNING, "threads of %s", name_of(worker))

    def _log_stacks(self, worker: WorkerProcess, level: int, message: str, *args: object) -> None:
        stacks = self._watched[worker].pulse.stacks(worker.inner.pid)
        name = logger.name
        logger.handle(
            logger.makeRecord(name, level, __file__, 0, message, args, None, sinfo=stacks or None)
        )

    def find_old(self, workers: Sequence[WorkerProcess]) -> WorkerProcess | None:
        """Return the first of these that has served enough, and log why."""
        running = self.running()
        for worker in workers:
            if worker in running and (reason := self._reason_to_replace(worker)):
                logger.info("%s is replaced, as %s", name_of(worker), reason)
                return worker
        return None

    def _reason_to_replace(self, worker: WorkerProcess) -> str | None:
        """Say why a worker has served enough; None if it has not."""
        limits, requests = self._limits, self._watched[worker].pulse.requests
        age = time.monotonic() - worker.birth
        if age >= (limits.worker_lifetime or math.inf):
            return f"it is {age:.0f} s old"
        if requests >= (limits.worker_max_requests or math.inf):
            return f"it has taken {requests} requests"
        if limits.worker_max_rss and (rss := _rss_of(worker)) >= limits.worker_max_rss:
            return f"it has {rss:.0f} MiB of memory"
        return None


@dataclass
class _Watched:
    pulse: Pulse
    stillness: Stillness = field(default_factory=Stillness)

    def look(self) -> float:
        """Return for how many seconds the worker has not moved; called every second."""
        still = self.pulse.still_seconds = self.stillness.note(self.pulse.beats)
        return still


def _rss_of(worker: WorkerProcess) -> float:
    """Return how much memory a worker has, in MiB; 0 if it has ended."""
    return sum(memory_of([worker.inner.pid]).values()) / 2**20


def name_of(worker: WorkerProcess) -> str:
    """Return the name of a worker for the log."""
    return f"worker {worker.idx + 1} (process {worker.inner.pid})"
