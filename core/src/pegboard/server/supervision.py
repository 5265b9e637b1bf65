"""Workers that come back after each death.

Granian ends the service when a worker dies twice within 5.5 seconds. So one request that kills its
worker, sent three times by a client that tries again, would take everybody's service away; and a
supervisor outside would only start it again. Here a worker comes back after a pause that grows with
its deaths in a row, and the service ends only if no worker could ever serve. `SupervisedServer` can
go when Granian does that by itself.
"""

import logging
import mmap
import signal
import time
from collections.abc import Callable
from typing import Any

from granian.server.mp import MPServer

logger = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds until a worker comes back after its second death in a row, and at most."""

SETTLED = 60.0
"""Seconds after which a worker's earlier deaths no longer count."""

_POLL = 0.1


class Served:
    """A mark that any worker sets once it can serve, in memory that all processes share."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 1)

    def set(self) -> None:
        """Note that a worker can serve."""
        self._memory[0] = 1

    def is_set(self) -> bool:
        """Return whether a worker ever could."""
        return self._memory[0] == 1


class SupervisedServer(MPServer):
    """Granian with workers that come back, if any of them could ever serve."""

    def __init__(self, *args: Any, served: Served, **options: Any) -> None:
        super().__init__(*args, **options)
        self._served = served
        self._deaths: dict[int, int] = {}
        self._due: dict[int, float] = {}

    def _serve_loop(
        self, spawn_target: Callable[..., None], target_loader: Callable[..., Any]
    ) -> None:
        """Replace workers that died, and at SIGHUP all of them, until a signal says to stop."""
        while not self.interrupt_signal:
            self.main_loop_interrupt.wait(_POLL if self._due else None)
            self.main_loop_interrupt.clear()
            while self.interrupt_children:
                self._note_death(self.interrupt_children.pop())
            if len(self._due) == self.workers and not self._served.is_set():
                logger.error("no worker could serve, so the service ends")
                # This makes Granian's exit code that of a failure.
                self.interrupt_children.extend(self._due)
                return
            if self.reload_signal:
                self._due.clear()
                self._reload(spawn_target, target_loader)  # type: ignore[no-untyped-call]
            self._replace_workers(spawn_target, target_loader)

    def _note_death(self, index: int) -> None:
        """Log how a worker died, and decide when it comes back."""
        worker = self.wrks[index]
        if worker.inner.is_alive():
            return  # it died while a reload went on, which has replaced it already
        now = time.monotonic()
        is_settled = now - worker.birth >= SETTLED
        deaths = self._deaths[index] = 1 if is_settled else self._deaths.get(index, 0) + 1
        pause = 0.0 if deaths == 1 else min(FIRST_PAUSE * 2 ** (deaths - 2), LONGEST_PAUSE)
        self._due[index] = now + pause
        logger.error(
            "worker %d (process %d) %s; it is replaced %s",
            index + 1,
            worker.inner.pid,
            _describe_exit(worker.inner.exitcode),
            f"in {pause:g} s, as it died {deaths} times in a row" if pause else "at once",
        )

    def _replace_workers(
        self, spawn_target: Callable[..., None], target_loader: Callable[..., Any]
    ) -> None:
        # Before one can serve, it is not known yet whether any ever will.
        if self.interrupt_signal or not self._served.is_set():
            return
        now = time.monotonic()
        if due := [index for index, when in self._due.items() if when <= now]:
            for index in due:
                del self._due[index]
            self._respawn_workers(due, spawn_target, target_loader)


def _describe_exit(code: int | None) -> str:
    """Say how a process ended, from its `multiprocessing.Process.exitcode`."""
    if code is None or code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:  # a real-time signal has no name
        return f"was killed by signal {-code}"
