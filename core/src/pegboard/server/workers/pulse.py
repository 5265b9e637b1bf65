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
from typing import Protocol

from pegboard.logs import LEVELS
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


class PulseFields(ctypes.Structure):
    """What a pulse has in memory: eight bytes each, so that no reader sees one half-written."""

    number: int
    pid: int
    born: float
    beats: int
    requests: int
    fresh_memory: int
    is_replaced: int
    is_ending: int
    still_seconds: float
    log_level: int
    """An index of `LEVELS`."""
    _fields_ = (
        ("number", ctypes.c_uint64),
        ("pid", ctypes.c_uint64),
        ("born", ctypes.c_double),
        ("beats", ctypes.c_uint64),
        ("requests", ctypes.c_uint64),
        ("fresh_memory", ctypes.c_uint64),
        ("is_replaced", ctypes.c_uint64),
        ("is_ending", ctypes.c_uint64),
        ("still_seconds", ctypes.c_double),
        ("log_level", ctypes.c_uint64),
    )


class Pulse:
    """The heartbeat of one process; of another one after that has ended."""

    def __init__(self, shared: PulseFields) -> None:
        """Make it before the process forks, of memory that is shared."""
        self._shared = shared
        self._stacks = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the service
        self._writing = threading.Lock()

    def take(self, number: int) -> None:
        """Let it be that of the worker of this number, which is about to start."""
        self.release()
        self._shared.number = number

    def release(self) -> None:
        """Let it be nobody's, as its process has ended."""
        ctypes.memset(ctypes.byref(self._shared), 0, ctypes.sizeof(self._shared))

    def close(self) -> None:
        """Close the file of the stacks."""
        faulthandler.unregister(STACKS)
        self._stacks.close()

    def begin(self) -> None:
        """Note which process it is, in that process; from now on its stacks can be read."""
        faulthandler.register(STACKS, file=self._stacks, all_threads=True)
        self._shared.born = time.monotonic()
        self._shared.pid = os.getpid()

    @property
    def beats(self) -> int:
        """How often it has beaten; 0 before a worker serves."""
        return self._shared.beats

    @property
    def requests(self) -> int:
        """How many requests the worker has taken."""
        return self._shared.requests

    @property
    def is_replaced(self) -> bool:
        """Whether another worker has taken the place of this one, which is about to stop."""
        return bool(self._shared.is_replaced)

    @property
    def pid(self) -> int:
        """The process; 0 as long as there is none."""
        return self._shared.pid

    @property
    def number(self) -> int:
        """Which of the workers it is, from 1 on; 0 if it is nobody's."""
        return self._shared.number

    @property
    def born(self) -> float:
        """When the process began, by `time.monotonic`."""
        return self._shared.born

    @property
    def fresh_memory(self) -> int:
        """The resident memory, in bytes, that the worker had before its first request."""
        return self._shared.fresh_memory

    @property
    def still_seconds(self) -> float:
        """For how long the worker has not moved, as the main process has seen."""
        return self._shared.still_seconds

    @property
    def log_level(self) -> str | None:
        """From which level on the worker logs; None is as configured."""
        return LEVELS[self._shared.log_level] or None

    @property
    def is_ending(self) -> bool:
        """Whether the worker has drained, and ends: its loop beats no more when it is closed."""
        return bool(self._shared.is_ending)

    def mark_ending(self) -> None:
        """Tell that the worker has drained, and ends."""
        self._shared.is_ending = 1

    def mark_replaced(self) -> None:
        """Let the worker know that another one has taken its place."""
        self._shared.is_replaced = 1

    def set_fresh_memory(self, size: int) -> None:
        """Tell how much memory the worker has before its first request, in bytes."""
        self._shared.fresh_memory = size

    def set_still(self, seconds: float) -> None:
        """Tell for how long the worker has not moved."""
        self._shared.still_seconds = seconds

    def set_log_level(self, level: str | None) -> None:
        """Tell from which level on the worker logs."""
        self._shared.log_level = LEVELS.index(level or "")

    def beat(self) -> None:
        """Beat once, in the process."""
        self._shared.beats += 1

    def start(
        self, loop: asyncio.AbstractEventLoop, worker: Moving, follow: Callable[[], object]
    ) -> None:
        """Beat every second once the loop runs, in the worker, and call `follow` each time."""

        def beat() -> None:
            self._shared.requests = worker.requests
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
            return self._read_stacks(self.pid) if self.pid else ""

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
        return self._stillness.follow(self.pulse.beats)
