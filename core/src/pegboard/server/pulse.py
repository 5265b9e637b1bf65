"""What a worker tells the process that supervises it, in memory and a file that both share.

A worker beats once a second. It does not while its event loop stands still, as when a thread is in
a regular expression that never ends and holds the interpreter's lock, nor while requests wait for
threads of which none goes on. A worker that is only busy beats late, but it does.
"""

import asyncio
import faulthandler
import mmap
import os
import signal
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

BEAT = 1.0
"""Seconds between two beats."""

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
    """The heartbeat of one worker."""

    def __init__(self) -> None:
        """Make it before the worker forks."""
        self._shared = memoryview(mmap.mmap(-1, 24)).cast("Q")
        self._stacks = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the service

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

    def note_replaced(self) -> None:
        """Let the worker know that another one has taken its place."""
        self._shared[2] = 1

    def start(self, loop: asyncio.AbstractEventLoop, worker: Moving) -> None:
        """Beat from now on, in the worker."""
        faulthandler.register(STACKS, file=self._stacks, all_threads=True)

        def beat() -> None:
            self._shared[1] = worker.requests
            if not worker.is_still():
                self._shared[0] += 1
            loop.call_later(BEAT, beat)

        beat()

    def stacks(self, pid: int) -> str:
        """Return the stacks of all threads of the worker, the innermost frames first.

        It does not have to go on for that; empty if it has ended.
        """
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
