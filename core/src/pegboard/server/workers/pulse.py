"""What a process tells those beside it, in memory and a file that they share.

A worker beats once a second. It does not while its event loop stands still, as when a thread is in
a regular expression that never ends and holds the interpreter's lock, nor while requests wait for
threads of which none goes on. A worker that is only busy beats late, but it does.
"""

import asyncio
import ctypes
import faulthandler
import fcntl
import logging
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import IntEnum
from typing import Protocol

from pegboard.server.stillness import BEAT, Stillness

logger = logging.getLogger(__name__)

STILL = 5.0
"""Seconds without a beat after which a worker is said to stand still."""

STACKS = signal.SIGUSR1
"""The signal at which a worker writes down the stacks of its threads."""

_LONGEST_WRITE = 1.0
_POLL = 0.02


class Moving(Protocol):
    """What a worker serves with."""

    requests: int
    """How many requests it has taken."""

    def notice_stillness(self) -> bool:
        """Return whether requests need threads of which none has gone on since the last call."""


class Phase(IntEnum):
    """How far a worker has come on its way out."""

    STAYS = 0
    REPLACED = 1
    """Another worker has taken its place, so that it is about to stop."""
    DRAINED = 2
    """It ends, and beats no more, as its loop is closed."""


class Vitals(ctypes.Structure):
    """What a process and those beside it know of it: eight bytes each, never half-written."""

    number: int
    """Which of the workers it is, from 1 on; 0 if it is nobody's."""
    pid: int
    """The process; 0 as long as there is none."""
    born: float
    """When the process began, by `time.monotonic`."""
    beats: int
    """How often it has beaten; 0 before it serves."""
    requests: int
    """How many requests it has taken."""
    fresh_memory: int
    """The resident memory, in bytes, that it had before its first request."""
    phase: int
    """One of `Phase`."""
    still_seconds: float
    """For how long it has not moved, as the main process has seen."""
    level: int
    """From which level on it logs, as an index of `LEVELS`."""
    _fields_ = (
        ("number", ctypes.c_uint64),
        ("pid", ctypes.c_uint64),
        ("born", ctypes.c_double),
        ("beats", ctypes.c_uint64),
        ("requests", ctypes.c_uint64),
        ("fresh_memory", ctypes.c_uint64),
        ("phase", ctypes.c_uint64),
        ("still_seconds", ctypes.c_double),
        ("level", ctypes.c_uint64),
    )


class Pulse:
    """The heartbeat of one process; of another one after that has ended."""

    def __init__(self, vitals: Vitals) -> None:
        """Make it before the process forks, of memory that is shared."""
        self.vitals = vitals
        self._stacks = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the service
        self._writing = threading.Lock()

    def take(self, number: int) -> None:
        """Let it be that of the worker of this number, which is about to start."""
        self.release()
        self.vitals.number = number

    def release(self) -> None:
        """Let it be nobody's, as its process has ended."""
        ctypes.memset(ctypes.byref(self.vitals), 0, ctypes.sizeof(self.vitals))

    def close(self) -> None:
        """Close the file of the stacks."""
        faulthandler.unregister(STACKS)
        self._stacks.close()

    def begin(self) -> None:
        """Note which process it is, in that process; from now on its stacks can be read."""
        faulthandler.register(STACKS, file=self._stacks, all_threads=True)
        self.vitals.born = time.monotonic()
        self.vitals.pid = os.getpid()

    def beat(self) -> None:
        """Beat once, in the process."""
        self.vitals.beats += 1

    def start(
        self, loop: asyncio.AbstractEventLoop, worker: Moving, follow: Callable[[], object]
    ) -> None:
        """Beat every second once the loop runs, in the worker, and call `follow` each time."""

        def beat() -> None:
            self.vitals.requests = worker.requests
            follow()
            if not worker.notice_stillness():
                self.beat()
            loop.call_later(BEAT, beat)

        follow()
        loop.call_soon(beat)

    def log_stacks(self, level: int, message: str, *args: object) -> None:
        """Log a message with the stacks of all threads of the process."""
        stacks = self.stacks() or None
        name = logger.name
        logger.handle(
            logger.makeRecord(name, level, __file__, 0, message, args, None, sinfo=stacks)
        )

    def stacks(self) -> str:
        """Return the stacks of all threads of the process, the innermost frames first.

        It does not have to go on for that; empty if it has ended, or has not begun: it would end by
        the signal.
        """
        with self._alone():
            return self._read_stacks(self.vitals.pid) if self.vitals.pid else ""

    def _read_stacks(self, pid: int) -> str:
        os.ftruncate(self._stacks.fileno(), 0)
        os.lseek(self._stacks.fileno(), 0, os.SEEK_SET)  # the process shares the position
        with suppress(ProcessLookupError):
            os.kill(pid, STACKS)
        size, deadline = 0, time.monotonic() + _LONGEST_WRITE
        while time.monotonic() < deadline:
            time.sleep(_POLL)
            before, size = size, os.fstat(self._stacks.fileno()).st_size
            if 0 < before == size:
                break
        return os.pread(self._stacks.fileno(), size, 0).decode(errors="replace")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other threads, and other processes that share the file, from asking meanwhile."""
        with self._writing:
            fcntl.lockf(self._stacks, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._stacks, fcntl.LOCK_UN)


class WatchedPulse:
    """A pulse as another process sees it, which looks at it again and again."""

    def __init__(self, pulse: Pulse) -> None:
        self.pulse = pulse
        self._stillness = Stillness()

    def look(self) -> float:
        """Return for how many seconds it has not beaten; before the first beat, since it began."""
        return self._stillness.follow(self.pulse.vitals.beats)
