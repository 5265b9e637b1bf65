"""What a worker tells the processes beside it, in memory and a file that they share.

A worker beats once a second. It does not while its event loop stands still, as when a thread is in
a regular expression that never ends and holds the interpreter's lock, nor while requests wait for
threads of which none goes on. A worker that is only busy beats late, but it does.
"""

import asyncio
import faulthandler
import fcntl
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from pegboard.logs import LEVELS

BEAT = 1.0
"""Seconds between two beats."""

STILL = 5.0
"""Seconds without a beat after which a worker is said to stand still."""

FIELDS = 8
"""Numbers of eight bytes that a pulse has in memory."""

STACKS = signal.SIGUSR1
"""The signal at which a worker writes down the stacks of its threads."""

_LONGEST_WRITE = 1.0
_POLL = 0.02


class Moving(Protocol):
    """What a worker serves with."""

    requests: int
    """How many requests it has taken."""

    def is_still(self) -> bool:
        """Return whether requests wait for threads of which none has gone on since last asked."""


class Pulse:
    """The heartbeat of one worker; of another one after that has ended."""

    def __init__(self, shared: memoryview) -> None:
        """Make it before the worker forks; `shared` has `FIELDS` numbers."""
        self._shared = shared
        self._stacks = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the service
        self._writing = threading.Lock()

    def take(self, number: int) -> None:
        """Let it be that of the worker of this number, which is about to start."""
        self.release()
        self._shared[4] = number

    def release(self) -> None:
        """Let it be nobody's, as its worker has ended."""
        for field in range(FIELDS):
            self._shared[field] = 0

    def close(self) -> None:
        """Close the file of the stacks."""
        self._stacks.close()

    def begin(self) -> None:
        """Note which process the worker is, in that process."""
        self._shared[5] = time.monotonic_ns()
        self._shared[3] = os.getpid()

    @property
    def beats(self) -> int:
        """How often it has beaten; 0 before the worker serves."""
        return self._shared[0]

    @property
    def requests(self) -> int:
        """How many requests the worker has taken."""
        return self._shared[1]

    @property
    def is_replaced(self) -> bool:
        """Whether another worker has taken the place of this one, which is about to stop."""
        return bool(self._shared[2])

    @property
    def pid(self) -> int:
        """The process of the worker; 0 as long as there is none."""
        return self._shared[3]

    @property
    def number(self) -> int:
        """Which of the workers it is, from 1 on; 0 if it is nobody's."""
        return self._shared[4]

    @property
    def born(self) -> float:
        """When the worker began, by `time.monotonic`."""
        return self._shared[5] / 10**9

    @property
    def still_seconds(self) -> float:
        """For how long the worker has not moved, as the main process has seen."""
        return self._shared[6] / 1000

    @still_seconds.setter
    def still_seconds(self, seconds: float) -> None:
        self._shared[6] = round(seconds * 1000)

    @property
    def log_level(self) -> str | None:
        """From which level on the worker logs; None is as configured."""
        return LEVELS[self._shared[7]] or None

    def note_replaced(self) -> None:
        """Let the worker know that another one has taken its place."""
        self._shared[2] = 1

    def note_log_level(self, level: str | None) -> None:
        """Note from which level on the worker logs."""
        self._shared[7] = LEVELS.index(level or "")

    def start(
        self, loop: asyncio.AbstractEventLoop, worker: Moving, follow: Callable[[], object]
    ) -> None:
        """Beat from now on, in the worker, and call `follow` each time."""
        faulthandler.register(STACKS, file=self._stacks, all_threads=True)

        def beat() -> None:
            self._shared[1] = worker.requests
            follow()
            if not worker.is_still():
                self._shared[0] += 1
            loop.call_later(BEAT, beat)

        beat()

    def stacks(self, pid: int) -> str:
        """Return the stacks of all threads of the worker, the innermost frames first.

        It does not have to go on for that; empty if it has ended.
        """
        with self._alone():
            return self._read_stacks(pid)

    def _read_stacks(self, pid: int) -> str:
        os.ftruncate(self._stacks.fileno(), 0)
        os.lseek(self._stacks.fileno(), 0, os.SEEK_SET)  # the worker shares the position
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


class Stillness:
    """For how long something has not changed, as seen by one who looks at it again and again."""

    def __init__(self) -> None:
        self._last: object = None
        self._looked_at = 0.0
        self._seconds = 0.0

    def note(self, state: object, clock: Callable[[], float] = time.monotonic) -> float:
        """Return for how many seconds the state has been this one.

        Time for which nobody looked does not count: who looks may have stood still as well, as all
        processes of a suspended service have.
        """
        now = clock()
        passed = min(now - self._looked_at, 2 * BEAT)
        self._looked_at = now
        self._seconds = self._seconds + passed if state == self._last else 0.0
        self._last = state
        return self._seconds
