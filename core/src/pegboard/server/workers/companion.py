"""A process beside the workers, which forks from the main process.

It is replaced when it ends, and killed when it stands still.
"""

import ctypes
import logging
import mmap
import multiprocessing
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.context import ForkProcess

from pegboard.server.workers.pulse import Pulse, Vitals, WatchedPulse

logger = logging.getLogger(__name__)

COMPANION_TIMEOUT = 10.0
"""Seconds for which it may stand still at most: no client loses anything when it is killed."""

PAUSE = 5.0
"""Seconds after the last start before which the process is not started again."""

_TIME_TO_END = 1.0
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Leash:
    """By what the process learns that it should end.

    Not by signals: a terminal or a service manager may send them to all processes of a service at
    once, and this one is the last to go.
    """

    parent: int
    receiver: int
    """The file descriptor at which the main process says so."""
    beat: Callable[[], None]
    """To be called every second, as long as the process does what it is for."""

    def wait(self, seconds: float) -> bool:
        """Wait for that long at most; returns whether the process should end."""
        is_told = bool(select.select([self.receiver], [], [], seconds)[0])
        return is_told or os.getppid() != self.parent


class Companion:
    """Keeps one process that runs a function; its methods are called in the main process."""

    def __init__(
        self, title: str, run: Callable[[Leash], object] | None, still_timeout: float
    ) -> None:
        """`title` is what the log calls it; `run` returns when its leash says so.

        None is for no process at all. It is killed when it has not beaten for `still_timeout`
        seconds; 0 is for never.
        """
        self._title = title
        self._run = run
        self._still_timeout = still_timeout
        self._pulse = Pulse(Vitals.from_buffer(mmap.mmap(-1, ctypes.sizeof(Vitals))))
        self._watched = WatchedPulse(self._pulse)
        self._process: ForkProcess | None = None
        self._sender = -1
        self._started_at = -PAUSE

    def keep(self) -> None:
        """Start the process if there is none, and kill it if it stands still; call every second."""
        process, now = self._process, time.monotonic()
        if process is not None:
            if process.exitcode is None:
                self._kill_still(process)
                return
            logger.error("%s %s; it is replaced", self._title, describe_exit(process.exitcode))
            self._forget()
        if self._run is not None and now - self._started_at >= PAUSE:
            self._start(self._run, now)

    def renew(self) -> None:
        """Replace the process, as what it has read may be outdated."""
        self.stop()
        self._started_at = -PAUSE
        self.keep()

    def stop(self) -> None:
        """End the process, if there is one."""
        if (process := self._process) is not None:
            with suppress(BrokenPipeError):  # it has ended by itself
                os.write(self._sender, b"\0")
            process.join(_TIME_TO_END)
            process.kill()
            process.join()
            self._forget()

    def close(self) -> None:
        """End the process for good."""
        self.stop()
        self._pulse.close()

    def _kill_still(self, process: ForkProcess) -> None:
        still = self._watched.look()
        if self._still_timeout and still >= self._still_timeout:
            message, seconds = "%s stands still for %g s, and is killed", self._still_timeout
            self._pulse.log_stacks(logging.ERROR, message, self._title, seconds)
            process.kill()
            process.join()

    def _start(self, run: Callable[[Leash], object], now: float) -> None:
        self._started_at = now
        receiver, self._sender = os.pipe()
        self._pulse.release()
        self._watched = WatchedPulse(self._pulse)
        leash = Leash(os.getpid(), receiver, self._pulse.beat)
        context = multiprocessing.get_context("fork")
        self._process = context.Process(
            target=_begin, args=(run, leash, self._pulse), name="pegboard-beside"
        )
        self._process.start()
        os.close(receiver)

    def _forget(self) -> None:
        os.close(self._sender)
        self._process = None


def _begin(run: Callable[[Leash], object], leash: Leash, pulse: Pulse) -> None:
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    pulse.begin()
    try:
        run(leash)
    except Exception:
        logger.exception("the process beside the workers ends by an error")
        sys.exit(1)


def describe_exit(code: int | None) -> str:
    """Say how a process ended, from its `multiprocessing.Process.exitcode`."""
    if code is None or code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:  # a real-time signal has no name
        return f"was killed by signal {-code}"
