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
from functools import partial
from typing import Any

from granian._granian import SocketHolder
from granian.server.mp import MPServer, WorkerProcess

from pegboard.server.listening import UnixListener
from pegboard.server.stillness import BEAT
from pegboard.server.workers import (
    STACKS,
    TOGGLE,
    Companion,
    Deaths,
    LevelFollower,
    Reload,
    Roster,
    ServiceManager,
    Watch,
    describe_exit,
    exit_code_of,
    has_ended,
    kill_leaving,
    name_of,
)

logger = logging.getLogger(__name__)

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

    The loop goes on while workers are replaced: Granian's own reload waits for each of them, and
    notices neither deaths nor signals before its end.
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
        service_manager: ServiceManager,
        drain_delay: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self._served = served
        self._watch = watch
        self._roster = roster
        self._companion = companion
        self._level = LevelFollower(roster)
        self._service_manager = service_manager
        self._drain_delay = drain_delay
        self._is_asked_for_stacks = self._is_toggled = False
        self._deaths = Deaths()
        self._reload_steps = Reload(watch, self.workers_kill_timeout, self._deaths.end_pauses)
        self._is_useless = self._is_reloading = False
        self._stopped_by: int | None = None

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
        """Look after the workers until a signal says to stop, or none could ever serve."""
        start = partial(self._start_worker, spawn_target, target_loader)
        for number in (STACKS, TOGGLE):
            signal.signal(number, self._take_signal)
        self._companion.keep()
        while not self._is_ending:
            self._wait()
            self._obey_signals()
            self._service_manager.tell_alive()
            self._watch.kill_still()
            self._companion.keep()
            self._take_deaths()
            if not self._is_ending:
                self._begin_reload()
                self._replace_dead(start)
                self._go_on_reloading(start)
        self._roster.tell_stopping()
        self.wrks.extend(self._reload_steps.leaving)  # so that they are stopped with the others

    @property
    def _is_ending(self) -> bool:
        return self.interrupt_signal or self._is_useless

    def _wait(self) -> None:
        """Wait until something has happened, or it is time for the next look."""
        is_busy = self._deaths or self._reload_steps.is_active
        self.main_loop_interrupt.wait(_POLL if is_busy else BEAT)
        self.main_loop_interrupt.clear()

    def _begin_reload(self) -> None:
        """Have all workers replaced if a signal asked for it, or one that has served enough."""
        if self.reload_signal:
            self.reload_signal, self._is_reloading = False, True
            self._service_manager.tell_reloading()
            logger.info("reloading: %d workers", self.workers)
            self._deaths.end_pauses()
            self._reload_steps.begin(range(self.workers))
            return
        is_quiet = not (self._deaths or self._reload_steps.is_active)
        if is_quiet and (old := self._watch.find_old(self.wrks)) is not None:
            self._reload_steps.begin([old.idx])

    def _go_on_reloading(self, start: Callable[[int], None]) -> None:
        if self._reload_steps.advance(self.wrks, start) and self._is_reloading:
            self._is_reloading = False
            # Only now it is known that the app can be built.
            self._companion.renew()
            self._service_manager.tell_ready()
            logger.info("reloaded")

    def _serve(self, *args: Any, **options: Any) -> None:
        try:
            super()._serve(*args, **options)  # type: ignore[no-untyped-call]
        finally:
            self._companion.close()
            if self._stopped_by is not None:
                name = signal.Signals(self._stopped_by).name
                logger.info("the service has ended, after %s", name)

    def signal_handler_interrupt(self, number: int, *rest: Any, **options: Any) -> None:
        """Note which signal says first that the service is to stop."""
        if self._stopped_by is None:
            self._stopped_by = number
        super().signal_handler_interrupt(number, *rest, **options)  # type: ignore[no-untyped-call]

    def shutdown(self, exit_code: int = 0) -> None:
        """Stop the workers; the exit code is a failure's only if no worker ever could serve.

        Granian takes each death that it has not handled for a failure, such as that of a worker
        which got the same signal as the service.
        """
        self._service_manager.tell_stopping()
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

        Granian's own way kills, and logs, also workers that have ended: where its thread that waits
        for a worker is told of the end, `is_alive` is wrong here until that thread has noted it.
        """
        now = time.monotonic()
        running = [worker for worker in self.wrks if not has_ended(worker, by=now)]
        young = [worker for worker in self.wrks if now - worker.birth < _YOUNG]
        for worker in self.wrks:
            worker.terminate()  # type: ignore[no-untyped-call]
        for worker in young:
            if not has_ended(worker, by=now + _UNTIL_TOLD_AGAIN):
                worker.terminate()  # type: ignore[no-untyped-call]
        for worker in self.wrks:
            self._await_end(worker, now)
            worker.join()  # type: ignore[no-untyped-call]
            code = exit_code_of(worker)
            expected = {None, 0, -signal.SIGTERM, -signal.SIGINT}  # a young one has no handlers
            is_known = worker not in running or self._watch.has_killed(worker)
            if not is_known and code not in expected:
                logger.error("%s %s, as it was about to stop", name_of(worker), describe_exit(code))
        self.wrks.clear()

    def _await_end(self, worker: WorkerProcess, since: float) -> None:
        """Wait until a worker has ended; it is killed if it stands still, or takes too long."""
        longest = self.workers_kill_timeout or math.inf
        latest = since + longest
        while not has_ended(worker, by=min(latest, time.monotonic() + BEAT)):
            self._watch.kill_still()
            if time.monotonic() >= latest:
                kill_leaving(worker, longest)
                self._watch.note_kill(worker)
                return

    def _spawn_worker(  # type: ignore[override]  # as Granian's own subclass has it
        self, idx: int, target: Callable[..., None], callback_loader: Callable[..., Any]
    ) -> WorkerProcess:
        self._watch.release_ended()
        pulse = self._roster.take(idx + 1)
        load = partial(callback_loader, pulse)
        worker: WorkerProcess = super()._spawn_worker(idx, target, load)
        self._watch.add(worker, pulse)
        return worker

    def _take_signal(self, number: int, _frame: object) -> None:
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

    def _take_deaths(self) -> None:
        while self.interrupt_children:
            index = self.interrupt_children.pop()
            worker = self.wrks[index]
            # One that lives has already taken the place of the one that died, by a reload.
            if not worker.inner.is_alive() and index not in self._deaths:
                self._deaths.take(worker, is_expected=self._watch.has_killed(worker))
        if len(self._deaths) == self.workers and not self._served.is_set():
            logger.error("no worker could serve, so the service ends")
            self._is_useless = True

    def _replace_dead(self, start: Callable[[int], None]) -> None:
        # Before one can serve, it is not known yet whether any ever will.
        if self._served.is_set():
            for index in self._deaths.due():
                start(index)

    def _start_worker(
        self, spawn_target: Callable[..., None], target_loader: Callable[..., Any], index: int
    ) -> None:
        """Start a worker in the place of the one that died or is outdated."""
        self._deaths.note_start(index)
        self._reload_steps.note_start(index)
        worker = self._spawn_worker(idx=index, target=spawn_target, callback_loader=target_loader)
        worker.start()  # type: ignore[no-untyped-call]
        self.wrks[index] = worker
