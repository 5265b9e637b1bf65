"""Workers that come back after each death.

Granian ends the service when a worker dies twice within 5.5 seconds. So one request that kills its
worker, sent three times by a client that tries again, would take everybody's service away; and a
supervisor outside would only start it again. Here a worker comes back after a pause that grows with
its deaths in a row, and the service ends only if no worker could ever serve. `SupervisedServer` can
go when Granian does that by itself.

A worker that stands still is killed, and so comes back; Granian would keep it. One that has served
enough is replaced as at a reload: Granian's own way waits for each worker, and notices no other's
death meanwhile.
"""

import logging
import math
import mmap
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from granian._granian import SocketHolder
from granian.server.mp import MPServer, WorkerProcess

from pegboard.server.companion import Companion, describe_exit
from pegboard.server.notify import Supervisor
from pegboard.server.pulse import BEAT, STACKS
from pegboard.server.roster import TOGGLE, LevelFollower, Roster
from pegboard.server.unix_socket import UnixListener
from pegboard.server.watch import Watch, name_of

logger = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds until a worker comes back after its second death in a row, and at most."""

SETTLED = 60.0
"""Seconds after which a worker's earlier deaths no longer count."""

_POLL = 0.1

_YOUNG, _UNTIL_TOLD_AGAIN = 10.0, 0.5
"""Seconds for which a worker is young, and after which young ones are told once more to stop."""


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
    """Granian with workers that come back, if any of them could ever serve.

    At SIGHUP the workers are replaced one after the other. The loop goes on meanwhile: Granian's
    own reload waits for each worker, and notices neither deaths nor signals before its end.
    """

    listener: UnixListener | None = None
    """The Unix socket from which all workers accept; without it each has a socket of its own."""

    def __init__(
        self,
        *args: Any,
        served: Served,
        watch: Watch,
        roster: Roster,
        companion: Companion,
        supervisor: Supervisor,
        drain_delay: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self._served = served
        self._watch = watch
        self._roster = roster
        self._companion = companion
        self._level = LevelFollower(roster)
        self._supervisor = supervisor
        self._drain_delay = drain_delay
        self._is_asked_for_stacks = self._is_toggled = False
        self._deaths: dict[int, int] = {}
        self._due: dict[int, float] = {}
        self._outdated: list[int] = []
        self._leaving: _Leaving | None = None
        self._is_reloading = False
        self._is_useless = False

    def _init_shared_socket(self) -> None:
        if self.listener is None:
            super()._init_shared_socket()  # type: ignore[no-untyped-call]
            return
        self._sso = self.listener.socket
        # The types that Granian declares have no arguments here, and know nothing but None.
        make: Any = SocketHolder
        self._shd: Any = make(self._sso.fileno(), True, self.backlog)  # noqa: FBT003

    def _serve_loop(
        self, spawn_target: Callable[..., None], target_loader: Callable[..., Any]
    ) -> None:
        """Replace workers that died, and at SIGHUP all of them, until a signal says to stop."""
        start = partial(self._start_worker, spawn_target, target_loader)
        for number in (STACKS, TOGGLE):
            signal.signal(number, self._note_signal)
        while not self.interrupt_signal:
            is_busy = self._due or self._is_reloading
            self.main_loop_interrupt.wait(_POLL if is_busy else BEAT)
            self.main_loop_interrupt.clear()
            self._obey_signals()
            self._supervisor.tell_alive()
            self._watch.kill_still()
            self._companion.keep()
            while self.interrupt_children:
                self._note_death(self.interrupt_children.pop())
            if len(self._due) == self.workers and not self._served.is_set():
                logger.error("no worker could serve, so the service ends")
                self._is_useless = True
                break
            if self.reload_signal:
                self.reload_signal = False
                self._outdated = [*range(self.workers)]
                self._is_reloading = True
                self._supervisor.tell_reloading()
                logger.info("reloading: %d workers", self.workers)
                self._companion.renew()
            is_quiet = not (self._is_reloading or self._due)
            if is_quiet and (old := self._watch.find_old(self.wrks)) is not None:
                self._outdated = [old.idx]
                self._is_reloading = True
            if not self.interrupt_signal:
                self._replace_dead(start)
                self._reload_next(start)
        self._roster.note_stopping()
        if self._leaving is not None:
            self.wrks.append(self._leaving.worker)  # so that it is stopped with the others

    def _serve(self, *args: Any, **options: Any) -> None:
        try:
            super()._serve(*args, **options)  # type: ignore[no-untyped-call]
        finally:
            self._companion.stop()

    def shutdown(self, exit_code: int = 0) -> None:
        """Stop the workers; the exit code is a failure's only if no worker ever could serve.

        Granian takes each death that it has not handled for a failure, such as that of a worker
        which got the same signal as the service.
        """
        self._supervisor.tell_stopping()
        if self.listener is not None:
            # Workers go on with those who have connected; new ones are served for the delay.
            removal = threading.Timer(self._drain_delay, self.listener.remove)
            removal.start() if self._drain_delay else self.listener.remove()
        with suppress(SystemExit):
            super().shutdown(exit_code)  # type: ignore[no-untyped-call]
        if exit_code or self._is_useless:
            sys.exit(exit_code or 1)

    def _stop_workers(self) -> None:
        """Stop the workers; a young one is told twice.

        Until it has restored the default handlers, a fork has its parent's, by which a signal is
        lost: the worker would start and serve, and be killed only after the longest drain.
        """
        now = time.monotonic()
        young = [worker for worker in self.wrks if now - worker.birth < _YOUNG]
        for worker in self.wrks if young else ():
            worker.terminate()  # type: ignore[no-untyped-call]
        for worker in young:
            worker.join(max(0.0, now + _UNTIL_TOLD_AGAIN - time.monotonic()))  # type: ignore[no-untyped-call]
        super()._stop_workers()  # type: ignore[no-untyped-call]

    def _spawn_worker(  # type: ignore[override]  # as Granian's own subclass has it
        self, idx: int, target: Callable[..., None], callback_loader: Callable[..., Any]
    ) -> WorkerProcess:
        self._watch.running()  # so that the memory of those that have ended is free
        pulse = self._roster.take(idx + 1)
        load = partial(callback_loader, pulse)
        worker: WorkerProcess = super()._spawn_worker(idx, target, load)
        self._watch.add(worker, pulse)
        return worker

    def _note_signal(self, number: int, _frame: object) -> None:
        if number == STACKS:
            self._is_asked_for_stacks = True
        else:
            self._is_toggled = not self._is_toggled
        self.main_loop_interrupt.set()

    def _obey_signals(self) -> None:
        """Log the stacks of all workers, or let all log more or less, if that was asked for."""
        if self._is_asked_for_stacks:
            self._is_asked_for_stacks = False
            self._watch.log_stacks()
        if self._is_toggled:
            self._is_toggled = False
            self._roster.log_level = None if self._roster.log_level == "DEBUG" else "DEBUG"
            self._roster.notify()
        self._level.follow()

    def _note_death(self, index: int) -> None:
        """Log how a worker died, and decide when it comes back."""
        worker = self.wrks[index]
        if worker.inner.is_alive() or index in self._due:
            return  # the one that died is replaced already, by a reload
        now = time.monotonic()
        is_settled = now - worker.birth >= SETTLED
        deaths = self._deaths[index] = 1 if is_settled else self._deaths.get(index, 0) + 1
        pause = 0.0 if deaths == 1 else min(FIRST_PAUSE * 2 ** (deaths - 2), LONGEST_PAUSE)
        self._due[index] = now + pause
        logger.error(
            "%s %s; it is replaced %s",
            name_of(worker),
            describe_exit(worker.inner.exitcode),
            f"in {pause:g} s, as it died {deaths} times in a row" if pause else "at once",
        )

    def _replace_dead(self, start: Callable[[int], None]) -> None:
        # Before one can serve, it is not known yet whether any ever will.
        if not self._served.is_set():
            return
        now = time.monotonic()
        for index in [index for index, when in self._due.items() if when <= now]:
            start(index)

    def _reload_next(self, start: Callable[[int], None]) -> None:
        """Take the next step of a reload: start a worker, and stop the one that it replaces.

        The old worker stays until the new one has lived for `respawn_interval`, or for good if new
        ones keep dying.
        """
        leaving, now = self._leaving, time.monotonic()
        if leaving is None:
            if self._outdated:
                index = self._outdated[0]
                self._leaving = _Leaving(index, self.wrks[index])
                start(index)
            elif self._is_reloading and not self._due:
                self._is_reloading = False
                self._supervisor.tell_ready()
                logger.info("reloaded")
        elif not leaving.worker.inner.is_alive():
            self._leaving = None
        elif leaving.stopped_at is None:
            is_replaced = leaving.index not in self._due
            if is_replaced and now - self.wrks[leaving.index].birth >= self.respawn_interval:
                self._watch.note_replaced(leaving.worker)
                leaving.worker.terminate()  # type: ignore[no-untyped-call]
                leaving.stopped_at = now
        elif now - leaving.stopped_at >= (self.workers_kill_timeout or math.inf):
            logger.warning("worker %d does not end, and is killed", leaving.index + 1)
            leaving.worker.kill()  # type: ignore[no-untyped-call]

    def _start_worker(
        self, spawn_target: Callable[..., None], target_loader: Callable[..., Any], index: int
    ) -> None:
        """Start a worker in the place of the one that died or is outdated."""
        self._due.pop(index, None)
        if index in self._outdated:
            self._outdated.remove(index)
        worker = self._spawn_worker(idx=index, target=spawn_target, callback_loader=target_loader)
        worker.start()  # type: ignore[no-untyped-call]
        self.wrks[index] = worker


@dataclass
class _Leaving:
    """A worker that a reload replaces, while it still runs."""

    index: int
    worker: WorkerProcess
    stopped_at: float | None = None
    """The time at which it was told to stop."""
